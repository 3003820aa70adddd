// What a user is told of calls that failed, as real Envoys record them: the cause in plain words and the object that decided.
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseYamlDocuments } from '../../../src/config/yaml-documents.ts';
import {
  type AuthorizationPolicy,
  appliedPolicy,
} from '../../../src/features/security/authorization-policy/schema.ts';
import { observeKey } from '../../../src/features/telemetry/access-log/call-log.ts';
import { type CallRecord, parseCallRecord } from '../../../src/observe/call-record.ts';
import { type FailureGroup, groupFailures } from '../../../src/observe/group-failures.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';
import { waitFor } from '../../support/wait-for.ts';

const names = ['app', 'empty', 'refusing', 'busy', 'slow', 'faulty', 'strayed'] as const;
const host = (name: string) => `${name}.default.svc.cluster.local`;
const local = {} as Record<(typeof names)[number], number>;
let mesh: CompiledMesh;
let client: TestEnvoy;
let server: TestEnvoy;
let edge: number;
let app: Server;
let inbound: number;

const policies = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: app}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]
    to: [{operation: {methods: [GET], paths: ["/open/*", "/shut", "/broken"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: shut}
spec:
  selector: {matchLabels: {app: app}}
  action: DENY
  rules:
  - to: [{operation: {paths: ["/elsewhere"]}}]
  - to: [{operation: {paths: ["/shut"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tried, annotations: {istio.io/dry-run: "true"}}
spec:
  selector: {matchLabels: {app: app}}
  rules:
  - to: [{operation: {paths: ["/open/a"]}}]
`;

const entry = (name: string, endpoints: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec: {hosts: [${host(name)}], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [${endpoints}]}
---`;

beforeAll(async () => {
  const ports = await freePorts(names.length + 4);
  for (const name of names) local[name] = ports.shift() as number;
  const [application, listen, dead, front] = ports as [number, number, number, number];
  inbound = listen;
  edge = front;
  app = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
    response.statusCode = incoming.url?.startsWith('/broken') ? 500 : 200;
    setTimeout(() => response.end('here'), incoming.url?.startsWith('/late') ? 1_000 : 0);
  });
  await new Promise<void>((resolve) => app.listen(application, '127.0.0.1', resolve));
  const at = `{address: 127.0.0.1, ports: {http: ${application}}}`;
  const workload = { name: 'app', port: 80, listen, application };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
${entry('empty', '')}
${entry('refusing', `{address: 127.0.0.1, ports: {http: ${dead}}}`)}
${entry('busy', at)}
${entry('slow', at)}
${entry('faulty', at)}
${entry('strayed', at)}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: limits}
spec: {host: ${host('busy')}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hurry}
spec: {hosts: [${host('slow')}], http: [{timeout: 0.2s, route: [{destination: {host: ${host('slow')}}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: fault}
spec: {hosts: [${host('faulty')}], http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: ${host('faulty')}}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: narrow}
spec: {hosts: [${host('strayed')}], http: [{match: [{uri: {prefix: /known}}], route: [{destination: {host: ${host('strayed')}}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ['*'], gateways: [front], http: [{route: [{destination: {host: ${host('app')}}}]}]}
---
${policies}`,
    { defaultMtlsMode: 'STRICT', explainRefusals: true },
  );
  const outbound = Object.fromEntries(names.map((name) => [`${host(name)}:80`, local[name]]));
  client = await mesh.envoy(
    { name: 'client', metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } } },
    { serviceAccount: 'client' },
  );
  server = await startServerProxy(mesh, workload);
  await mesh.envoy({
    type: 'router',
    name: 'edge',
    labels: { istio: 'edge' },
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway: { '80': front } } },
  });
  await waitFor('the first answer', async () => (await asked('app', '/open/a')) === 200);
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
});

async function records(): Promise<CallRecord[]> {
  const of = async (envoy: TestEnvoy, name: string) =>
    (await envoy.log()).split('\n').flatMap((line) => parseCallRecord(line, name) ?? []);
  return [...(await of(client, 'client')), ...(await of(server, 'app-v1'))];
}

/** The group of the calls to a path (or, without one, to a host) once both proxies have written. */
async function groupOf(is: (group: FailureGroup) => boolean): Promise<FailureGroup> {
  const known = {
    policies: parseYamlDocuments(policies, 'policies.yaml').objects.map(({ object }) =>
      appliedPolicy({
        ...object,
        metadata: { ...object.metadata, namespace: 'default' },
      } as AuthorizationPolicy),
    ),
    trustDomains: ['cluster.local'],
  };
  let found: FailureGroup | undefined;
  await expect
    .poll(
      async () => {
        found = groupFailures(await records(), known).find(is);
        return found !== undefined;
      },
      { interval: 100 },
    )
    .toBe(true);
  return found as FailureGroup;
}

const toHost = (name: string) => (group: FailureGroup) =>
  group.example.records.at(-1)?.authority === host(name);
/** `sides`: how many proxies record such a call; each writes in its own time. */
const toPath =
  (path: string, kind = 'failed', sides = 1) =>
  (group: FailureGroup) =>
    group.kind === kind &&
    group.example.records.length === sides &&
    group.example.records.at(-1)?.path === path;

const asked = (name: (typeof names)[number], path = '/', method = 'GET') =>
  call(local[name], path, { host: host(name) }, { method }).then(
    ({ status }) => status,
    () => 0,
  );

test.each([
  ['empty', 503, /UH/, /no endpoint that is ready/, 'ServiceEntry/default/empty'],
  ['refusing', 503, /UF/, /nothing listens at 127\.0\.0\.1/, 'ServiceEntry/default/refusing'],
  ['slow', 504, /UT/, /within the timeout/, 'VirtualService/default/hurry#spec.http[0]'],
  ['faulty', 418, /FI/, /fault is injected/, 'VirtualService/default/fault#spec.http[0]'],
  ['strayed', 404, /NR/, /no route takes the request/, 'VirtualService/default/narrow'],
] as const)('a client is told why %s fails', async (name, status, code, what, decidedBy) => {
  expect(await asked(name, name === 'slow' ? '/late' : '/')).toBe(status);
  const group = await groupOf(toHost(name));
  expect(group.code).toMatch(code);
  expect(group.what).toMatch(what);
  expect(group.decidedBy?.startsWith(decidedBy)).toBe(true);
  expect(group.mend).not.toBe('');
});

test('a circuit breaker that is open names the rule that set the limit', async () => {
  await Promise.all(Array.from({ length: 6 }, () => asked('busy', '/late')));
  const group = await groupOf(toHost('busy'));
  expect([group.code, group.decidedBy]).toEqual([
    'UO',
    expect.stringMatching(/^DestinationRule\/default\/limits#spec\.trafficPolicy/),
  ]);
});

test('a refusal names the rule of the DENY policy', async () => {
  expect(await asked('app', '/shut')).toBe(403);
  const group = await groupOf(toPath('/shut'));
  expect(group).toMatchObject({ code: 'RBAC', decidedBy: 'AuthorizationPolicy/default/shut#spec.rules[1]' });
  expect(group.callers).toEqual(['cluster.local/ns/default/sa/client']);
});

test('where nothing matched: the ALLOW policies in force, and the first condition of the nearest that failed', async () => {
  expect(await asked('app', '/open/x', 'POST')).toBe(403);
  const { nearMiss, decidedBy } = await groupOf(toPath('/open/x'));
  expect([decidedBy, nearMiss?.policies, nearMiss?.more]).toEqual([undefined, ['default/readers'], 0]);
  expect(nearMiss?.rule?.origin).toMatchObject({ name: 'readers', path: 'spec.rules[0]' });
  expect(nearMiss?.rule?.conditions.filter(({ holds }) => holds === 'no')).toEqual([
    { path: 'spec.rules[0].to[0].operation.methods', holds: 'no', wanted: 'methods GET', found: 'POST' },
  ]);
});

test('a refusal says who decided, to callers inside the mesh alone', async () => {
  const decidedBy = async (port: number, name: (typeof names)[number], path: string) => {
    const { status, headers } = await call(port, path, { host: host(name) });
    return [status, headers['x-ostria-decided-by']];
  };
  expect(await decidedBy(local.app, 'app', '/elsewhere')).toEqual([
    403,
    'AuthorizationPolicy/default/shut#spec.rules[0]',
  ]);
  expect(await decidedBy(local.app, 'app', '/nothing')).toEqual([
    403,
    'no rule of AuthorizationPolicy default/readers',
  ]);
  expect(await decidedBy(local.faulty, 'faulty', '/')).toEqual([
    418,
    'VirtualService/default/fault#spec.http[0] fault_filter_abort',
  ]);
  expect(await decidedBy(edge, 'app', '/elsewhere')).toEqual([403, undefined]);
});

test('what a policy in dry run would have refused is told, and was not refused', async () => {
  expect(await asked('app', '/open/b')).toBe(200);
  const group = await groupOf(toPath('/open/b', 'would be refused'));
  expect(group).toMatchObject({ code: 'dry run', nearMiss: { policies: ['default/tried'] } });
  expect(group.nearMiss?.rule?.conditions.map(({ wanted, found }) => [wanted, found])).toEqual([
    ['paths /open/a', '/open/b'],
  ]);
});

test('an application’s own error is one call, seen from both sides', async () => {
  const { status, headers } = await call(local.app, '/broken', { host: host('app') });
  expect([status, headers['x-ostria-decided-by']]).toEqual([500, undefined]);
  const group = await groupOf(toPath('/broken', 'failed', 2));
  expect(group.what).toBe('the application itself answered 500');
  expect(group.example.records.map(({ workload, side }) => [workload, side])).toEqual([
    ['client', 'outbound'],
    ['app-v1', 'inbound'],
  ]);
  expect([group.count, group.example.assumed]).toEqual([1, false]);
});

test('plaintext at a port that takes mutual TLS alone', async () => {
  await new Promise<void>((resolve) => {
    const socket = connect(inbound, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
  const group = await groupOf(({ code }) => code === 'TLS');
  expect([group.what, group.decidedBy]).toEqual([
    'a client without TLS called a port that takes mutual TLS alone',
    'Service/default/app',
  ]);
});

test('queries are not recorded, and long paths are cut', async () => {
  const path = `/${'a'.repeat(1_000)}`;
  expect(await asked('app', `${path}?token=secret`)).toBe(403);
  const group = await groupOf((one) => one.example.records.at(-1)?.path?.startsWith('/aaa') === true);
  expect(group.example.records.at(-1)?.path).toBe(path.slice(0, 300));
  expect(await server.log()).not.toContain('secret');
});

test('calls that go well are recorded while somebody observes, and only then', async () => {
  const good = async () =>
    (await records()).filter(({ path, side }) => path === '/open/a' && side === 'inbound').length;
  expect(await asked('app', '/open/a')).toBe(200);
  await server.admin(`/runtime_modify?${observeKey}=100`, 'POST');
  expect(await asked('app', '/open/a')).toBe(200);
  await expect.poll(good).toBe(1);
  await server.admin(`/runtime_modify?${observeKey}=`, 'POST');
  expect(await asked('app', '/open/a')).toBe(200);
  expect(await asked('app', '/shut')).toBe(403);
  await expect.poll(async () => (await records()).filter(({ path }) => path === '/shut').length).toBe(2);
  expect(await good()).toBe(1);
  expect(await rejectedUpdates(server)).toBe(0);
});
