// Fields of traffic whose effect shows only at the backends: where requests go, how often they are sent, over how many connections.
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';

/** What a backend got. */
interface Backend {
  readonly server: Server;
  requests: number;
  connections: number;
  status: number;
}

const names = ['first', 'second', 'third'] as const;
const backends: Record<string, Backend> = {};
const services = ['sticky', 'close', 'far', 'plain', 'budget'] as const;
let via: Record<(typeof services)[number], number>;
let at: Record<(typeof names)[number], number>;
let mesh: CompiledMesh;
let client: TestEnvoy;

async function startBackend(name: string, port: number): Promise<void> {
  const server = createServer({ keepAliveTimeout: 0 }, (_, response) => {
    backend.requests++;
    response.statusCode = backend.status;
    response.end(name);
  });
  const backend: Backend = { server, requests: 0, connections: 0, status: 200 };
  server.on('connection', () => {
    backend.connections++;
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  backends[name] = backend;
}

const service = (name: string, more = '') => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: 10.1.0.${services.indexOf(name as 'sticky') + 1}, selector: {${name}: 'yes'}, ports: [{name: http, port: 80}]${more}}
`;

const copy = (name: (typeof names)[number], locality: string, labels: string) => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: 127.0.0.1, ports: {http: ${at[name]}}, locality: ${locality}, labels: {${labels}}}
`;

beforeAll(async () => {
  const ports = await freePorts(services.length + names.length);
  via = Object.fromEntries(services.map((name, i) => [name, ports[i]])) as typeof via;
  at = Object.fromEntries(names.map((name, i) => [name, ports[services.length + i]])) as typeof at;
  for (const name of names) await startBackend(name, at[name]);
  mesh = await startCompiledMesh(
    `
${service('sticky', ', sessionAffinity: ClientIP')}${service('close', ', trafficDistribution: PreferClose')}${service('far')}${service('plain')}${service('budget')}
${copy('first', 'near/z1', "sticky: 'yes', close: 'yes', plain: 'yes', budget: 'yes'")}
${copy('second', 'near/z2', "sticky: 'yes', close: 'yes', far: 'yes'")}
${copy('third', 'away/z1', "sticky: 'yes', far: 'yes'")}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: far}
spec:
  host: far
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 5}
    loadBalancer: {localityLbSetting: {failover: [{from: home, to: away}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: budget}
spec: {host: budget, trafficPolicy: {retryBudget: {percent: 0, minRetryConcurrency: 0}}}
`,
    {
      defaultHttpRetryPolicy: { attempts: 3, retryOn: '5xx' },
      defaultTrafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 2 } } },
    } as never,
  );
  client = await mesh.envoy({
    locality: { region: 'near', zone: 'z1' },
    metadata: { OSTRIA_CAPTURE: captureOf({ ...via, far: undefined }) },
  });
  await mesh.envoy({
    name: 'at-home',
    locality: { region: 'home', zone: 'z1' },
    metadata: { OSTRIA_CAPTURE: captureOf({ far: via.far }) },
  });
});

function captureOf(ports: Record<string, number | undefined>) {
  const outbound = Object.entries(ports).map(([name, port]) => [
    `${name}.default.svc.cluster.local:80`,
    port,
  ]);
  return {
    outbound: Object.fromEntries(outbound.filter(([, port]) => port !== undefined)),
    inbound: [],
    httpProxy: 0,
  };
}

afterAll(async () => {
  await mesh?.stop();
  for (const { server } of Object.values(backends)) {
    server.close();
    server.closeAllConnections();
  }
});

async function ask(name: (typeof services)[number]): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${via[name]}/`);
  const text = await response.text();
  return response.ok ? text : String(response.status);
}

async function answersOf(name: (typeof services)[number], count = 20): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(await ask(name));
  return seen;
}

test('a Service with sessionAffinity keeps a client at one endpoint', async () => {
  const seen = await answersOf('sticky');
  expect(seen.size).toBe(1);
  expect(names).toContain([...seen][0]);
});

test('trafficDistribution PreferClose stays in the zone, and leaves it when nothing is there', async () => {
  expect(await answersOf('close')).toEqual(new Set(['first']));
  mesh.apply(copy('first', 'near/z1', "plain: 'yes', budget: 'yes'"));
  await expect.poll(() => ask('close')).toBe('second');
});

test('failover names the region that is taken where the own one has no endpoint', async () => {
  expect(await answersOf('far')).toEqual(new Set(['third']));
});

test('the mesh’s default retries and connection pool hold where no rule says otherwise', async () => {
  const first = backends.first as Backend;
  first.requests = 0;
  first.connections = 0;
  for (let i = 0; i < 6; i++) expect(await ask('plain')).toBe('first');
  expect([first.requests, first.connections]).toEqual([6, 3]);
  first.status = 503;
  first.requests = 0;
  expect(await ask('plain')).toBe('503');
  expect(first.requests).toBe(4);
});

test('a retry budget of nothing leaves no retry', async () => {
  const first = backends.first as Backend;
  first.status = 503;
  first.requests = 0;
  expect(await ask('budget')).toBe('503');
  expect(first.requests).toBe(1);
  const overflow = 'cluster.outbound|80||budget.default.svc.cluster.local.upstream_rq_retry_overflow';
  expect(await client.stat(overflow)).toBe(1);
});

test('nothing was refused', async () => {
  expect(await rejectedUpdates(client)).toBe(0);
  expect(mesh.refusals).toEqual([]);
});
