import { readFile, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PolicyObject } from '../../support/authorization-reference.ts';
import { type CompiledMesh, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';

const fqdn = 'reviews.shop.svc.cluster.local';
const log = join(tmpdir(), `ostria-authorization-${process.pid}.log`);
let mesh: CompiledMesh;
let server: TestEnvoy;
let app: Server | undefined;
let listen: number;
/** Of a sidecar that calls as `web`. */
let caller: number;

beforeAll(async () => {
  const [inbound, application, web] = (await freePorts(3)) as [number, number, number];
  listen = inbound;
  const workload = { name: 'reviews', namespace: 'shop', port: 9080, listen, application };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: new-connections, namespace: shop}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
`,
    {
      defaultMtlsMode: 'PERMISSIVE',
      trustDomainAliases: ['old.example'],
      accessLogFile: log,
      accessLogFormat:
        '%RESPONSE_CODE_DETAILS% %REQ(:PATH)% audit=%DYNAMIC_METADATA(envoy.common:access_log_hint)%\n',
    },
  );
  app = await startEcho('v1', application);
  const client = (name: string, namespace: string, port: number) =>
    mesh.envoy(
      {
        name,
        namespace,
        metadata: { OSTRIA_CAPTURE: { outbound: { [`${fqdn}:9080`]: port }, inbound: [], httpProxy: 0 } },
      },
      { serviceAccount: name },
    );
  server = await startServerProxy(mesh, workload);
  await client('web', 'shop', web);
  caller = web;
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  await rm(log, { force: true });
});

let applied: string[] = [];
let generation = 0;

/** Puts policies in place of the earlier ones, and waits until the server refuses what only the newest refuse. */
async function use(policies: readonly PolicyObject[]): Promise<void> {
  generation++;
  const marker: PolicyObject = {
    metadata: { name: `marker-${generation}`, namespace: 'shop' },
    spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: [`/marker-${generation}`] } }] }] },
  };
  const named = policies.map((policy) => ({
    ...policy,
    metadata: { ...policy.metadata, name: `${policy.metadata.name}-${generation}` },
  }));
  const objects = [...named, marker].map((policy) =>
    JSON.stringify({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', ...policy }),
  );
  const before = applied;
  applied = [...named, marker].map(
    ({ metadata }) => `AuthorizationPolicy/${metadata.namespace}/${metadata.name}`,
  );
  mesh.apply(objects.join('\n---\n'), before);
  const newest = async () => (await call(listen, `/marker-${generation}`)).body.includes('RBAC');
  const text = `policy[marker-${generation}]`;
  await expect
    .poll(async () => (await server.admin('/config_dump?resource=dynamic_listeners')).body.includes(text), {
      interval: 20,
    })
    .toBe(true);
  await expect.poll(newest, { interval: 20 }).toBe(true);
}

const deny = (rule: object): PolicyObject => ({
  metadata: { name: 'deny', namespace: 'shop' },
  spec: { action: 'DENY', rules: [rule] },
});

test('a refusal names its rule in the access log', async () => {
  await use([deny({ to: [{ operation: { methods: ['DELETE'] } }] })]);
  expect((await call(caller, '/', {}, { method: 'DELETE' })).status).toBe(403);
  const name = `rbac_access_denied_matched_policy[ns[shop]-policy[deny-${generation}]-rule[0]]`;
  await expect.poll(() => readFile(log, 'utf8')).toContain(name);
});

test('AUDIT marks what it matches for the access log, and refuses nothing', async () => {
  const audit: PolicyObject = {
    metadata: { name: 'audit', namespace: 'shop' },
    spec: { action: 'AUDIT', rules: [{ to: [{ operation: { paths: ['/audited'] } }] }] },
  };
  await use([audit]);
  for (const path of ['/audited', '/other']) expect((await call(caller, path)).status).toBe(200);
  const lines = async () => (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes(' /'));
  await expect.poll(lines, { timeout: 30_000 }).toContain('via_upstream /audited audit=true');
  await expect.poll(lines, { timeout: 30_000 }).toContain('via_upstream /other audit=false');
});

/** As it is written, without a client's own normalisation. */
function rawStatus(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('end', () => resolve(text.slice(9, 12)));
    socket.on('error', reject);
  });
}

test('paths are judged as they are after normalisation, without their query', async () => {
  await use([deny({ to: [{ operation: { paths: ['/admin', '/admin/*'] } }] })]);
  for (const path of ['/admin', '/x/../admin', '/./admin/x', '/admin?a=b', '/x/%2e%2e/admin', '/admin\\x'])
    expect([path, await rawStatus(listen, path)]).toEqual([path, '403']);
  expect(await rawStatus(listen, '/public?/admin')).toBe('200');
});

test('where only mTLS is taken, the server name is known to a policy that asks for it', async () => {
  mesh.apply(`
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
`);
  const web = caller;
  await expect
    .poll(() =>
      call(listen, '/').then(
        () => 'taken',
        () => 'closed',
      ),
    )
    .toBe('closed');
  expect((await call(web, '/')).status).toBe(200);
  mesh.apply(
    JSON.stringify({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      ...deny({ when: [{ key: 'connection.sni', values: [`outbound_.9080_._.${fqdn}`] }] }),
    }),
  );
  await expect.poll(async () => (await call(web, '/')).status).toBe(403);
});
