import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer, type Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const fqdn = 'app.default.svc.cluster.local';
const names = ['app', 'other', 'failing', 'resetting', 'slow', 'half', 'bytes'] as const;
type Name = (typeof names)[number];

const local = {} as Record<Name, number>;
const closers: (() => void)[] = [];
let mesh: CompiledMesh;
let client: TestEnvoy;
/** Requests that each backend got since the test began. */
let seen: Record<string, string[]> = {};

function note(name: string, what: string): void {
  const list = seen[name] ?? [];
  list.push(what);
  seen[name] = list;
}

async function listening<S extends Server | TcpServer>(server: S): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return (server.address() as { port: number }).port;
}

function host(name: Name): string {
  return `${name}.default.svc.cluster.local`;
}

function service(name: Name, ports: readonly number[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${host(name)}]
  resolution: STATIC
  ports: [{number: 80, name: main, protocol: ${name === 'bytes' ? 'TCP' : 'HTTP'}}]
  endpoints:
${ports.map((port) => `  - {address: 127.0.0.1, ports: {main: ${port}}}`).join('\n')}
---`;
}

beforeAll(async () => {
  const ports = await freePorts(names.length + 2);
  for (const name of names) local[name] = ports.shift() as number;
  const [echo, dead] = ports as [number, number];
  const app = await startEcho('app', echo);
  closers.push(() => app.close());
  const noting = (name: string, status: number, delayMs = 0) =>
    createHttpServer({ keepAliveTimeout: 0 }, (incoming, response) => {
      note(name, `${incoming.method} ${incoming.url} ${incoming.headers.host}`);
      response.statusCode = status;
      setTimeout(() => response.end('{}'), delayMs);
    });
  const resetting = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      note('resetting', data.toString().split(' ')[0] ?? '');
      socket.resetAndDestroy();
    });
  });
  const bytes = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('bytes');
  });
  mesh = await startCompiledMesh(
    [
      service('app', [echo]),
      service('other', [await listening(noting('other', 200))]),
      service('failing', [await listening(noting('failing', 503))]),
      service('resetting', [await listening(resetting)]),
      service('slow', [await listening(noting('slow', 200, 2000))]),
      service('half', [dead, echo]),
      service('bytes', [await listening(bytes)]),
    ].join('\n'),
  );
  const outbound = Object.fromEntries(names.map((name) => [`${host(name)}:80`, local[name]]));
  client = await mesh.envoy({ metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } } });
});

afterAll(async () => {
  await mesh?.stop();
  for (const close of closers) close();
});

beforeEach(() => {
  seen = {};
});

async function use(...objects: string[]): Promise<void> {
  mesh.apply(objects.join('\n---\n'));
  await mesh.ledger.waitFor(mesh.engine.revision, { timeoutMs: 10_000 });
}

function routes(name: Name, http: string, more = ''): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}]
  ${more}
  http:
${http}`;
}

test('copies of requests, by percentage', async () => {
  await use(
    routes(
      'app',
      `  - match: [{uri: {prefix: /all}}]
    mirrors: [{destination: {host: other}}, {destination: {host: failing}, percentage: {value: 0}}]
    route: [{destination: {host: app}}]
  - mirror: {host: other}
    mirrorPercentage: {value: 0}
    route: [{destination: {host: app}}]`,
    ),
  );
  expect((await call(local.app, '/none')).status).toBe(200);
  expect((await call(local.app, '/all')).status).toBe(200);
  await expect.poll(() => seen.other).toEqual([`GET /all ${fqdn}`]);
  expect(seen.failing).toBeUndefined();
});

test('preflights: allowed origins are answered, others go on or not', async () => {
  const cors = (unmatched: string) =>
    `corsPolicy: {allowOrigins: [{regex: 'https://.*\\.example'}], allowMethods: [GET], maxAge: 60s, unmatchedPreflights: ${unmatched}}`;
  await use(
    routes(
      'app',
      `  - match: [{uri: {prefix: /ignore}}]
    ${cors('IGNORE')}
    route: [{destination: {host: app}}]
  - ${cors('FORWARD')}
    route: [{destination: {host: app}}]`,
    ),
  );
  const preflight = (path: string, origin: string) =>
    call(local.app, path, { origin, 'access-control-request-method': 'GET' }, { method: 'OPTIONS' });
  const allowed = await preflight('/', 'https://shop.example');
  expect(allowed.headers).toMatchObject({
    'access-control-allow-origin': 'https://shop.example',
    'access-control-max-age': '60',
  });
  expect(allowed.body).toBe('');
  expect(parseEcho(await preflight('/', 'https://else.where')).method).toBe('OPTIONS');
  const ignored = await preflight('/ignore', 'https://else.where');
  expect([ignored.body, ignored.headers['access-control-allow-origin']]).toEqual(['', undefined]);
});

test('retries as asked for; nothing that began is replayed by default', async () => {
  await use(
    routes(
      'failing',
      '  - {retries: {attempts: 2, retryOn: 5xx, backoff: 10ms}, route: [{destination: {host: failing}}]}',
    ),
  );
  expect((await call(local.failing)).status).toBe(503);
  expect(seen.failing).toHaveLength(3);
  // Without a number there are none, as with 0.
  for (const none of ['attempts: 0', 'retryOn: 5xx']) {
    await use(routes('failing', `  - {retries: {${none}}, route: [{destination: {host: failing}}]}`));
    seen = {};
    await call(local.failing);
    expect(seen.failing, none).toHaveLength(1);
  }
  for (const method of ['GET', 'POST'])
    expect((await call(local.resetting, '/', {}, { method })).status).toBe(503);
  expect(seen.resetting).toEqual(['GET', 'POST']);
  for (let i = 0; i < 6; i++) expect((await call(local.half, '/', {}, { method: 'POST' })).status).toBe(200);
});

test('timeouts', async () => {
  await use(routes('slow', '  - {timeout: 100ms, route: [{destination: {host: slow}}]}'));
  expect((await call(local.slow)).status).toBe(504);
});

test('an answer of its own may be as long as the API admits', async () => {
  const body = 'x'.repeat(200_000);
  await use(routes('slow', `  - {directResponse: {status: 418, body: {string: ${body}}}}`));
  await expect.poll(async () => (await call(local.slow)).status).toBe(418);
  expect((await call(local.slow)).body).toBe(body);
});

test('faults in the words of gRPC', async () => {
  await use(
    routes(
      'app',
      '  - {fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}, route: [{destination: {host: app}}]}',
    ),
  );
  const answer = await call(local.app, '/', { 'content-type': 'application/grpc' }, { method: 'POST' });
  expect([answer.status, answer.headers['grpc-status']]).toEqual([200, '14']);
  // For other callers Envoy has no word of its own: the answer is no error, but none of the destination's either.
  const plain = await call(local.app);
  expect([plain.status, plain.body]).toEqual([200, 'fault filter abort']);
});

test('a fault without a share strikes nobody', async () => {
  await use(
    routes(
      'app',
      '  - {fault: {abort: {httpStatus: 418}, delay: {fixedDelay: 60s}}, route: [{destination: {host: app}}]}',
    ),
  );
  expect((await call(local.app)).status).toBe(200);
});

test('delegates of other namespaces, and one that is missing', async () => {
  await use(
    routes(
      'app',
      `  - {match: [{uri: {prefix: /team}}, {uri: {prefix: /crew}}], delegate: {name: leaf, namespace: team}}
  - {match: [{uri: {prefix: /nobody}}], delegate: {name: nobody}}
  - route: [{destination: {host: app}}]`,
    ),
    `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf, namespace: team}
spec:
  http:
  - {match: [{uri: {exact: /team/a}}, {uri: {exact: /crew/a}}], directResponse: {status: 202}}
  - {match: [{uri: {exact: /team/b}}, {uri: {exact: /else}}], directResponse: {status: 418}}
  - {rewrite: {uri: /rewritten}, route: [{destination: {host: ${fqdn}}}]}`,
  );
  for (const path of ['/team/a', '/crew/a']) expect((await call(local.app, path)).status, path).toBe(202);
  expect(parseEcho(await call(local.app, '/team/b')).path).toBe('/rewritten/b');
  expect((await call(local.app, '/nobody')).status).toBe(500);
  expect(parseEcho(await call(local.app, '/else')).path).toBe('/else');
});

test('statistics of a route under its own prefix', async () => {
  await use(routes('app', '  - {match: [{statPrefix: mine}], route: [{destination: {host: app}}]}'));
  await call(local.app);
  await expect
    .poll(async () => (await client.admin('/stats?filter=route.mine.upstream_rq_completed')).body)
    .toMatch(/route\.mine\.upstream_rq_completed: 1/);
});

test('TCP routes for a source', async () => {
  const route = (subnet: string, to: Name) =>
    `  - {match: [{sourceSubnet: ${subnet}}], route: [{destination: {host: ${to}}}]}`;
  await use(
    `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bytes}
spec:
  hosts: [bytes]
  tcp:
${route('10.0.0.0/8', 'bytes')}
${route('127.0.0.0/8', 'app')}
  - route: [{destination: {host: bytes}}]`,
  );
  // The application's own HTTP server behind a TCP port: the second route was taken.
  await expect.poll(async () => parseEcho(await call(local.bytes, '/raw')).path).toBe('/raw');
});

test('ten thousand routes, and expressions that no proxy could hold', async () => {
  const many = Array.from(
    { length: 10_000 },
    (_, i) => `  - {match: [{uri: {exact: /r${i}}}], directResponse: {status: ${200 + (i % 300)}}}`,
  );
  const huge = String.raw`(\pL{100}){90}`;
  await use(
    routes(
      'app',
      [`  - {match: [{uri: {regex: '${huge}'}}], route: [{destination: {host: app}}]}`, ...many].join('\n'),
    ),
    routes(
      'other',
      `  - {match: [{uri: {regex: '(x+x+)+y'}}], directResponse: {status: 201}}\n  - {directResponse: {status: 202}}`,
    ),
  );
  // What the expression might have taken fails visibly: here everything.
  expect((await call(local.app, '/r9999')).status).toBe(500);
  await use(routes('app', many.join('\n')));
  expect((await call(local.app, '/r9999')).status).toBe(200 + (9999 % 300));
  // Envoy's RE2 takes time in proportion to the text.
  expect((await call(local.other, `/${'x'.repeat(5000)}`)).status).toBe(202);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(client)).toBe(0);
});
