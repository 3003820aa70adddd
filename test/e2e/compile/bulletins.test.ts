// Vulnerabilities of the field's recent years, asked of our configuration on real Envoy. docs/security.md lists them with all the tests.
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';
import { waitFor } from '../../support/wait-for.ts';

let mesh: CompiledMesh;
let server: TestEnvoy;
let gateway: TestEnvoy;
let app: Server;
let inbound: number;
let edge: number;
/** Headers of the last request that reached the application. */
let seen: NodeJS.Dict<string | string[]> = {};

beforeAll(async () => {
  const [application, listen, door] = (await freePorts(3)) as [number, number, number];
  [inbound, edge] = [listen, door];
  app = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
    seen = incoming.headers;
    setTimeout(() => response.end('here'), incoming.url?.startsWith('/slow') ? 300 : 0);
  });
  await new Promise<void>((resolve) => app.listen(application, '127.0.0.1', resolve));
  const workload = { name: 'app', port: 80, listen, application };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: doors}
spec:
  selector: {matchLabels: {app: app}}
  action: DENY
  rules:
  - to: [{operation: {paths: ["/admin", "/admin/*"]}}]
  - to: [{operation: {hosts: ["secret.example", "*.secret.example"]}}]
  - when: [{key: "request.headers[x-role]", values: [guest]}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {app: front}, servers: [{port: {number: ${door}, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ["*"], gateways: [front], http: [{route: [{destination: {host: app.default.svc.cluster.local}}]}]}
`,
    {
      defaultMtlsMode: 'PERMISSIVE',
      extra: { pathNormalization: { normalization: 'DECODE_AND_MERGE_SLASHES' } },
    },
  );
  server = await startServerProxy(mesh, workload);
  gateway = await mesh.envoy({ type: 'router', name: 'front', labels: { app: 'front' } });
  await waitFor('the application', async () => (await raw(inbound, 'GET / HTTP/1.1')) === 200);
  await waitFor('the gateway', async () => (await raw(edge, 'GET / HTTP/1.1')) === 200);
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
});

beforeEach(() => {
  seen = {};
});

/** The status of a request as it is written, without a client's own normalisation; 0: closed without an answer. */
function raw(port: number, requestLine: string, ...headers: string[]): Promise<number> {
  const all = headers.some((header) => /^host:/i.test(header)) ? headers : ['Host: app', ...headers];
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`${[requestLine, ...all, 'Connection: close'].join('\r\n')}\r\n\r\n`),
    );
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
      // After an answer of its own Envoy waits a second before it closes.
      if (text.length >= 12) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(Number(text.slice(9, 12)) || 0));
  });
}

test.each(['/x/../admin', '/./admin', '/%2e%2e/admin', '/x/%2E%2e/admin/y', '/admin\\y', '/x\\..\\admin'])(
  'CVE-2019-9901, path traversal: %s is judged as what it means',
  async (path) => {
    expect(await raw(inbound, `GET ${path} HTTP/1.1`)).toBe(403);
  },
);

test.each(['//admin', '/admin//y', '///admin/', '/admin%2fy', '/admin%5Cy', '/x%2f..%2fadmin'])(
  'CVE-2021-31920, several and escaped slashes: %s is judged as what it means',
  async (path) => {
    expect(await raw(inbound, `GET ${path} HTTP/1.1`)).toBe(403);
  },
);

test.each(['/admin#x', '/admin?x#y', '/admin/#/../public', '/public/../admin#'])(
  'CVE-2021-39156, fragments: %s comes past no rule for its path',
  async (path) => {
    expect(await raw(inbound, `GET ${path} HTTP/1.1`)).not.toBe(200);
    expect(seen).toEqual({});
  },
);

test.each(['secret.example', 'SECRET.example', 'a.Secret.Example', 'Secret.EXAMPLE'])(
  'CVE-2021-39155, hosts ignore case: %s',
  async (host) => {
    expect(await raw(inbound, 'GET / HTTP/1.1', `Host: ${host}`)).toBe(403);
  },
);

test('CVE-2026-26308, a header that comes twice hides no value from a rule', async () => {
  expect(await raw(inbound, 'GET / HTTP/1.1', 'X-Role: guest')).toBe(403);
  expect(await raw(inbound, 'GET / HTTP/1.1', 'X-Role: guest', 'X-Role: other')).toBe(403);
  expect(await raw(inbound, 'GET / HTTP/1.1', 'X-Role: other', 'X-Role: guest')).toBe(403);
  expect(await raw(inbound, 'GET / HTTP/1.1', 'X-Role: other')).toBe(200);
});

test('CVE-2023-27488 and its kin, claims of identity: who comes without a certificate forges none in a header', async () => {
  const forged = 'By=spiffe://cluster.local/ns/a/sa/b;URI=spiffe://cluster.local/ns/default/sa/admin';
  for (const port of [inbound, edge]) {
    seen = {};
    expect(await raw(port, 'GET / HTTP/1.1', `X-Forwarded-Client-Cert: ${forged}`)).toBe(200);
    expect(seen['x-forwarded-client-cert'] ?? '').not.toContain('sa/admin');
  }
});

test('CVE-2024-45806, a client outside steers no timeout and no retry of the gateway', async () => {
  expect(await raw(edge, 'GET /slow HTTP/1.1', 'X-Envoy-Upstream-Rq-Timeout-Ms: 1')).toBe(200);
  expect(
    Object.keys(seen).filter((name) =>
      /^x-envoy-(upstream-rq|retry|max-retries|force|hedge|ip-tags|original-path|decorator)/.test(name),
    ),
  ).toEqual([]);
});

test('absolute URLs and a second host: the policy and the application see the same one', async () => {
  expect(await raw(inbound, 'GET http://secret.example/ HTTP/1.1', 'Host: app')).toBe(403);
  expect(await raw(inbound, 'GET /admin HTTP/1.1', 'Host: app', 'Host: other')).not.toBe(200);
});

test('requests within requests: lengths that contradict each other are refused', async () => {
  const smuggled = ['Content-Length: 5', 'Transfer-Encoding: chunked'];
  expect(await raw(inbound, 'POST / HTTP/1.1', ...smuggled)).toBe(400);
  expect(await raw(edge, 'POST / HTTP/1.1', ...smuggled)).toBe(400);
  expect(await raw(edge, 'POST / HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2')).toBe(400);
});

test('nothing was refused by a proxy', async () => {
  expect([await rejectedUpdates(server), await rejectedUpdates(gateway)]).toEqual([0, 0]);
});
