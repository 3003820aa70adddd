// The filter ExternalAuth of HTTPRoutes, before real authorization servers.
import type { Server } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type AuthorizationServers, startAuthorizationServers } from '../../support/authorization-servers.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let sidecar: TestEnvoy;
let app: Server | undefined;
let servers: AuthorizationServers;
let listen: number;
let proxy: number;

interface Auth {
  readonly name: string;
  readonly namespace?: string;
  readonly http?: object;
  readonly grpc?: object;
  readonly forwardBody?: object;
}

function ask({ name, namespace, http, grpc, forwardBody }: Auth): object {
  const backendRef = { name, port: 8000, ...(namespace ? { namespace } : {}) };
  const externalAuth = grpc
    ? { protocol: 'GRPC', backendRef, grpc, forwardBody }
    : { protocol: 'HTTP', backendRef, http: http ?? {}, forwardBody };
  return { type: 'ExternalAuth', externalAuth };
}

const app80 = { name: 'app', port: 80 };
const on = (value: string, filters: object[], backendRefs: object[] = [app80]) => ({
  matches: [{ path: { value } }],
  filters,
  ...(backendRefs.length > 0 ? { backendRefs } : {}),
});
const seesAllow = { allowedHeaders: ['x-ext-authz'] };
const checker = ask({ name: 'checker', http: seesAllow });
const engine = ask({ name: 'engine', grpc: {} });

function route(name: string, parentRefs: object[], rules: object[]): string {
  return JSON.stringify({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name },
    spec: { parentRefs, rules },
  });
}

const service = (name: string, port: number, portName: string, target: number) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: 10.1.1.${port % 250}, ports: [{name: ${portName}, port: ${port === 80 ? 80 : 8000}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: ${portName}, port: ${target}}]
endpoints: [{addresses: [127.0.0.1]}]
---`;

const front = [{ name: 'front' }];
const redirect = {
  type: 'RequestRedirect',
  requestRedirect: { path: { type: 'ReplaceFullPath', replaceFullPath: '/there' } },
};
const rules = [
  on('/plain', [ask({ name: 'checker', http: { path: '/check' } })]),
  on('/some', [ask({ name: 'checker', http: { ...seesAllow, allowedResponseHeaders: ['x-user'] } })]),
  on('/body', [ask({ name: 'checker', http: seesAllow, forwardBody: { maxSize: 8 } })]),
  on('/grpc', [ask({ name: 'engine', grpc: {}, forwardBody: { maxSize: 100 } })]),
  on('/few', [ask({ name: 'engine', grpc: seesAllow })]),
  on('/twice', [checker, engine]),
  on('/moved', [checker, redirect], []),
  on('/dead', [ask({ name: 'dead', grpc: {} })]),
  on('/absent', [ask({ name: 'nobody', grpc: {} })]),
  on('/http1', [ask({ name: 'named-http', grpc: {} })]),
  on('/unnamed', [ask({ name: 'unnamed', grpc: {} })]),
  on('/upgraded', [ask({ name: 'upgraded', grpc: {} })]),
  on('/foreign', [ask({ name: 'checker', namespace: 'elsewhere' })]),
  on('/strange', [
    { type: 'ExtensionRef', extensionRef: { group: 'x.example', kind: 'Magic', name: 'one' } },
  ]),
  on('/both', [checker], [{ ...app80, filters: [engine] }]),
  on(
    '/share',
    [engine],
    [
      { ...app80, filters: [checker] },
      { ...app80, filters: [checker] },
    ],
  ),
  { backendRefs: [app80] },
];

beforeAll(async () => {
  servers = await startAuthorizationServers();
  const [port, application, forward] = (await freePorts(3)) as [number, number, number];
  app = await startEcho('app', application);
  [listen, proxy] = [port, forward];
  mesh = await startCompiledMesh(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
${service('app', 80, 'http', application)}
${service('meshed', 330, 'http', application)}
${service('checker', 81, 'http', servers.httpPort)}
${service('engine', 82, 'grpc', servers.grpcPort)}
${service('dead', 83, 'grpc', 1)}
${service('named-http', 84, 'http', servers.grpcPort)}
${service('unnamed', 85, 'ask', servers.grpcPort)}
${service('upgraded', 86, 'http', servers.grpcPort)}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: upgraded}
spec: {host: upgraded, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}
---
${route('web', front, rules)}
---
${route('meshed', [{ group: '', kind: 'Service', name: 'meshed' }], [on('/', [checker])])}
`);
  const capture = { outbound: {}, inbound: [], httpProxy: 0 };
  gateway = await mesh.envoy({
    type: 'router',
    name: 'front-0',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'front' },
    metadata: { OSTRIA_CAPTURE: { ...capture, gateway: { 80: listen } } },
  });
  sidecar = await mesh.envoy({ metadata: { OSTRIA_CAPTURE: { ...capture, httpProxy: proxy } } });
});

beforeEach(() => servers.forget());

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  servers?.close();
});

const allow = { 'x-ext-authz': 'allow' };
const get = (path: string, headers: Record<string, string> = {}) =>
  call(listen, path, { host: 'shop.example.org', ...headers });
const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  call(listen, path, { host: 'shop.example.org', ...headers }, { method: 'POST', body });

test('HTTP: the server is told host, method, path and credentials, and nothing else unless it is named', async () => {
  const good = { authorization: 'Bearer good', 'x-secret': '1', 'x-user': 'forged' };
  const admitted = await post('/plain/x?y=1', 'some text', good);
  expect(admitted.status).toBe(200);
  // All that it answers goes on, but for what describes its answer.
  const { headers } = parseEcho(admitted);
  expect(headers).toMatchObject({ 'x-user': 'from-checker', 'x-reason': 'fine', 'content-length': '9' });
  expect(headers.host).toBe('shop.example.org');
  const [asked] = servers.asked;
  expect(asked).toMatchObject({ by: 'http', path: '/check/plain/x?y=1', body: '' });
  expect(asked?.headers).toMatchObject({
    host: 'shop.example.org',
    authorization: 'Bearer good',
    'content-length': '0',
  });
  expect(asked?.headers).not.toHaveProperty('x-secret');
  const refused = await get('/plain');
  expect([refused.status, refused.body, refused.headers['x-reason']]).toEqual([
    401,
    'denied by the checker',
    'not allowed',
  ]);
});

test('HTTP: of the answer only named headers go on', async () => {
  const { headers } = parseEcho(await get('/some', { ...allow, 'x-reason': 'mine' }));
  expect([headers['x-user'], headers['x-reason']]).toEqual(['from-checker', 'mine']);
});

test('as much of the body as asked for is sent along, and the whole of it goes on', async () => {
  const admitted = await post('/body', '0123456789', allow);
  expect([admitted.status, parseEcho(admitted).headers['content-length']]).toEqual([200, '10']);
  expect(servers.asked).toMatchObject([{ body: '01234567', headers: { 'content-length': '8' } }]);
});

test('gRPC: all headers unless some are named', async () => {
  expect((await post('/grpc', 'text', { ...allow, 'x-more': '1' })).status).toBe(200);
  expect((await get('/grpc')).status).toBe(403);
  expect((await get('/few', { ...allow, 'x-more': '1' })).status).toBe(200);
  const [first, , last] = servers.asked;
  expect(first).toMatchObject({ by: 'grpc', path: '/grpc', body: 'text', headers: { 'x-more': '1' } });
  expect(last?.headers).toEqual(allow);
});

test('rule and backend must both agree; redirects are asked about too; backends ask for themselves', async () => {
  expect((await get('/both', allow)).status).toBe(200);
  expect(servers.asked.map(({ by }) => by)).toEqual(['http', 'grpc']);
  expect((await get('/moved')).status).toBe(401);
  expect((await get('/moved', allow)).headers.location).toContain('/there');
  servers.forget();
  expect((await get('/share', allow)).status).toBe(200);
  expect(servers.asked.map(({ by }) => by)).toEqual(['grpc', 'http']);
});

test('who cannot be asked lets nobody in; other routes ask nobody', async () => {
  expect((await get('/dead', allow)).status).toBe(403);
  for (const path of ['/absent', '/foreign', '/strange', '/twice'])
    expect([path, (await get(path, allow)).status]).toEqual([path, 500]);
  expect((await get('/free')).status).toBe(200);
  expect(servers.asked).toEqual([]);
});

test('inside the mesh the sidecar of the caller asks', async () => {
  const inMesh = (headers: Record<string, string>) =>
    call(proxy, '/x', { host: 'meshed.default:8000', ...headers });
  expect((await inMesh({})).status).toBe(401);
  expect((await inMesh(allow)).status).toBe(200);
});

test('a gRPC server on a port that says nothing of HTTP/2 is told of, not refused without a reason', async () => {
  expect((await get('/upgraded', allow)).status).toBe(200);
  expect((await get('/upgraded')).status).toBe(403);
  for (const path of ['/http1', '/unnamed']) expect((await get(path, allow)).status, path).toBe(500);
});

test('an edit holds on a connection that is open, and nothing was refused', async () => {
  const { Agent } = await import('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const again = () => call(listen, '/free', { host: 'shop.example.org' }, { agent });
  expect((await again()).status).toBe(200);
  mesh.apply(route('web', front, [{ filters: [checker], backendRefs: [app80] }]));
  await expect.poll(async () => (await again()).status, { timeout: 30_000 }).toBe(401);
  agent.destroy();
  expect(mesh.refusals).toEqual([]);
  expect((await rejectedUpdates(gateway)) + (await rejectedUpdates(sidecar))).toBe(0);
});
