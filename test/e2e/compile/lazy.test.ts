import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LazyMemory } from '../../../src/control-plane/lazy-memory.ts';
import { lazySource } from '../../../src/control-plane/lazy-source.ts';
import { usageChanges } from '../../../src/plan/lazy.ts';
import { unknownGroups } from '../../../src/plan/unknown-hosts.ts';
import {
  type CompiledMesh,
  pushingAtOnce,
  rejectedUpdates,
  startCompiledMesh,
} from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

/** Services that nobody calls: a lazy sidecar must not know them. */
const crowd = 40;
let mesh: CompiledMesh;
let envoy: TestEnvoy;
let memory: LazyMemory;
let directory: string;
const apps: Server[] = [];
let ports: number[];

const service = (name: string, port: number, address: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.default.svc.cluster.local]
  addresses: [${address}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${port}}, labels: {version: ${name}}}]
---`;

const remember = () =>
  new LazyMemory({
    file: join(directory, 'usage.json'),
    warn: (text) => expect(text).toBe(''),
    writeDelayMs: 10,
  });

const proxy = (name: string, extra: object = {}) => ({
  name,
  labels: { app: 'web', 'ostria.io/lazy': 'true' },
  metadata: {
    OSTRIA_CAPTURE: {
      outbound: { 'direct.default.svc.cluster.local:9080': ports[1] },
      inbound: [],
      httpProxy: ports[0],
    },
  },
  ...extra,
});

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-lazy-'));
  ports = await freePorts(6);
  for (const [name, at] of [
    ['reviews', 2],
    ['ratings', 3],
    ['direct', 4],
  ] as const)
    apps.push(await startEcho(name, ports[at] as number));
  memory = remember();
  mesh = await startCompiledMesh(
    [
      service('reviews', ports[2] as number, '10.9.0.1'),
      service('ratings', ports[3] as number, '10.9.0.2'),
      service('direct', ports[4] as number, '10.9.0.3'),
      ...Array.from({ length: crowd }, (_, i) => service(`idle-${i}`, 1, `10.8.0.${i}`)),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /to-ratings}}]
    route: [{destination: {host: ratings}}]
  - route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.example.com]
  addresses: [10.9.0.9]
  resolution: STATIC
  ports: [{number: 3306, name: mysql, protocol: MYSQL}]
  endpoints: [{address: 127.0.0.1}]
`,
    ].join('\n'),
    {},
    { memory },
  );
  envoy = await mesh.envoy(proxy('web-1'));
});

afterAll(async () => {
  await mesh?.stop();
  await memory?.close();
  for (const app of apps) app.close();
  rmSync(directory, { recursive: true, force: true });
});

async function clusters(of = envoy): Promise<string[]> {
  const { body } = await of.admin('/clusters?format=json');
  const found = JSON.parse(body) as { cluster_statuses?: { name: string }[] };
  return (found.cluster_statuses ?? [])
    .map(({ name }) => name)
    .filter((name) => name.startsWith('outbound|'))
    .sort();
}

const outbound = (host: string) => `outbound|9080||${host}.default.svc.cluster.local`;

/** A request to the forward proxy. */
const ask = (host: string, path = '/', options = {}) =>
  call(ports[0] as number, `http://${host}${path}`, { host }, options);

test('it starts with what TCP needs, and loads a host and where its routes lead on the first request', async () => {
  expect(await clusters()).toEqual(['outbound|3306||db.example.com']);
  const answer = await ask('reviews:9080', '/hello');
  expect(answer.status).toBe(200);
  expect(parseEcho(answer)).toMatchObject({ version: 'reviews', path: '/hello' });
  expect(parseEcho(await ask('reviews.default:9080', '/to-ratings')).version).toBe('ratings');
  expect(await clusters()).toEqual(
    ['outbound|3306||db.example.com', outbound('ratings'), outbound('reviews')].sort(),
  );
});

test('the names of one host, asked for at once, and bodies arrive', async () => {
  const names = [
    'ratings',
    'ratings.default',
    'ratings.default.svc',
    'ratings.default.svc.cluster.local',
    '10.9.0.2',
  ];
  const answers = await Promise.all(
    names.map((name) => ask(`${name}:9080`, '/', { method: 'POST', body: 'x'.repeat(50_000) })),
  );
  expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
  expect(answers.map((answer) => parseEcho(answer).version)).toEqual(names.map(() => 'ratings'));
});

test('an explicit listener loads its cluster on the first request', async () => {
  expect(await clusters()).not.toContain(outbound('direct'));
  const answers = await Promise.all(
    [1, 2, 3].map(() => call(ports[1] as number, '/x', { host: 'anything' })),
  );
  expect(answers.map((answer) => parseEcho(answer).version)).toEqual(['direct', 'direct', 'direct']);
  expect(await clusters()).toContain(outbound('direct'));
});

test('what routes lead to and nobody defines is an error at once, each time it is asked for', async () => {
  const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: absent}
spec:
  hosts: [direct]
  http:
  - match: [{uri: {prefix: /host}}]
    route: [{destination: {host: nowhere}}]
  - match: [{uri: {prefix: /subset}}]
    route: [{destination: {host: direct, subset: none}}]
  - match: [{uri: {prefix: /some}}]
    route: [{destination: {host: nowhere}, weight: 50}, {destination: {host: direct}, weight: 50}]
  - route: [{destination: {host: direct}}]
`;
  mesh.apply(routes);
  await mesh.ledger.waitFor(mesh.engine.revision, { timeoutMs: 30_000 });
  const once = (path: string) => call(ports[1] as number, path, { host: 'anything' });
  for (const path of ['/host', '/subset']) {
    const took: number[] = [];
    for (let i = 0; i < 4; i++) {
      const start = performance.now();
      expect((await once(path)).status).toBe(500);
      took.push(performance.now() - start);
    }
    // Envoy's wait for a cluster is 5 s; all but the first request would have it.
    expect(Math.min(...took.slice(1))).toBeLessThan(4_500);
  }
  const answers = await Promise.all(Array.from({ length: 40 }, () => once('/some')));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 500]));
  mesh.apply('', ['VirtualService/default/absent']);
});

test('an unknown host is passed through, and known once somebody configures it', async () => {
  const port = ports[2] as number;
  for (let i = 0; i < 2; i++)
    expect(parseEcho(await ask(`127.0.0.1:${port}`, '/out'))).toMatchObject({ path: '/out' });
  expect((await ask('no-such-host.invalid:80')).status).toBe(503);
  mesh.apply(
    service('no-such-host', ports[3] as number, '10.9.0.4')
      .replace('no-such-host.default.svc.cluster.local', 'no-such-host.invalid')
      .replace('number: 9080', 'number: 80'),
  );
  await expect.poll(async () => (await ask('no-such-host.invalid:80')).status).toBe(200);
});

test('many unknown hosts share few virtual hosts, and one that somebody configures leaves them', async () => {
  const outside = createServer((_, response) => response.end('outside'));
  await new Promise<void>((resolve) => outside.listen(0, '0.0.0.0', resolve));
  apps.push(outside);
  const { port } = outside.address() as AddressInfo;
  const names = Array.from({ length: 60 }, (_, i) => `127.0.1.${i + 1}:${port}`);
  const answers = await Promise.all(names.map((name) => ask(name)));
  expect(answers.map(({ body }) => body)).toEqual(names.map(() => 'outside'));
  const dump = (await envoy.admin('/config_dump?resource=dynamic_route_configs')).body;
  const hosts = new Set(dump.match(/"http_proxy\/unknown~\d+"/g));
  expect(hosts.size).toBeGreaterThan(0);
  expect(hosts.size).toBeLessThanOrEqual(unknownGroups.length);
  for (const name of names) expect(dump).toContain(`"${name}"`);
  const [known = '', other = ''] = names;
  mesh.apply(
    service('known-address', ports[3] as number, '127.0.1.1').replace('number: 9080', `number: ${port}`),
  );
  await expect.poll(async () => (await ask(known)).body).toContain('ratings');
  expect((await ask(other)).body).toBe('outside');
  mesh.apply('', ['ServiceEntry/default/known-address']);
  await expect.poll(async () => (await ask(known)).body).toBe('outside');
});

test('where unknown hosts are refused, they are refused at once, and served once somebody configures them', async () => {
  const name = 'later.example.com:9080';
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
`);
  await expect.poll(async () => (await ask(`127.0.0.1:${ports[2]}`)).status).toBe(404);
  for (let i = 0; i < 3; i++) expect((await ask(name)).status).toBe(404);
  expect((await ask('reviews:9080')).status).toBe(200);
  mesh.apply(
    service('later', ports[3] as number, '10.9.0.5').replace(
      'later.default.svc.cluster.local',
      'later.example.com',
    ),
  );
  await expect.poll(async () => (await ask(name)).status).toBe(200);
  // Configured is what has a route, wherever it leads.
  expect((await ask('moved.example.com')).status).toBe(404);
  const moved = (host: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host.replaceAll('.', '-')}}
spec: {hosts: [${host}], http: [{redirect: {uri: /elsewhere}}]}
---`;
  mesh.apply([moved('moved.example.com'), moved('other.example.com')].join('\n'));
  await expect.poll(async () => (await ask('moved.example.com')).status).toBe(301);
  expect((await ask('other.example.com')).status).toBe(301);
  mesh.apply('', [
    'Sidecar/default/default',
    'VirtualService/default/moved-example-com',
    'VirtualService/default/other-example-com',
  ]);
});

test('a second workload of the identity starts with what the first one used; others start with nothing', async () => {
  await memory.close();
  expect(remember().usage('default/default/web')?.hosts).toContain('reviews.default.svc.cluster.local');
  const [other, stranger] = (await freePorts(2)) as [number, number];
  const at = (httpProxy: number) => ({
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy } },
  });
  const second = await mesh.envoy(proxy('web-2', at(other)));
  expect(await clusters(second)).toEqual(await clusters());
  const third = await mesh.envoy(
    proxy('job', { ...at(stranger), labels: { app: 'job', 'ostria.io/lazy': 'true' } }),
  );
  expect(await clusters(third)).toEqual(['outbound|3306||db.example.com']);
});

test('without a control plane what was used works on, and what was not ends in time', async () => {
  await mesh.goDown();
  expect((await ask('reviews:9080')).status).toBe(200);
  expect(parseEcho(await call(ports[1] as number)).version).toBe('direct');
  const cold = await ask('idle-1:9080');
  expect([404, 408, 503, 504]).toContain(cold.status);
  await mesh.comeBack();
  expect((await ask('reviews:9080')).status).toBe(200);
  await expect.poll(async () => (await ask('idle-2:9080')).status).toBe(503);
  expect(await clusters()).toContain(outbound('idle-2'));
});

test('a control plane that lost its memory learns it from the sidecars that come back', async () => {
  const unknown = [`127.0.0.1:${ports[2]}`, `127.0.0.1:${ports[3]}`];
  for (const name of unknown) expect((await ask(name)).status).toBe(200);
  await mesh.goDown();
  const before = await envoy.stat('cluster_manager.cluster_removed');
  const key = 'default/default/web';
  mesh.engine.apply(usageChanges(key, undefined));
  mesh.engine.flush();
  const empty = new LazyMemory({ warn: () => undefined });
  await mesh.comeBack(lazySource(mesh.engine, empty, pushingAtOnce(mesh.engine)));
  await expect.poll(() => empty.usage(key)?.hosts).toContain('reviews.default.svc.cluster.local');
  expect((await ask('reviews:9080')).status).toBe(200);
  expect(parseEcho(await call(ports[1] as number)).version).toBe('direct');
  await expect.poll(async () => (await ask('idle-4:9080')).status).toBe(503);
  expect(await envoy.stat('cluster_manager.cluster_removed')).toBe(before);
  for (const name of unknown) expect((await ask(name)).status).toBe(200);
});

test('each request is counted once', async () => {
  const before = (await envoy.admin('/stats?filter=istio_requests_total')).body;
  expect(before).not.toBe('');
  const fresh = 'idle-3:9080';
  await ask(fresh);
  await expect
    .poll(async () => (await envoy.admin('/stats/prometheus')).body)
    .toMatch(/istio_requests_total\{[^}]*\|idle-3[^}]*\} 1\n/);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(envoy)).toBe(0);
});
