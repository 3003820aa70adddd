import type { Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

const fqdn = 'app.default.svc.cluster.local';
let mesh: CompiledMesh;
let client: TestEnvoy;
const apps: Server[] = [];
let outbound: number;

function rule(spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec:
  host: app
  trafficPolicy: ${spec}
`;
}

beforeAll(async () => {
  const ports = await freePorts(4);
  outbound = ports[0] as number;
  for (const [index, port] of ports.slice(1).entries()) apps.push(await startEcho(`${index}`, port));
  mesh = await startCompiledMesh(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [${fqdn}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
${ports
  .slice(1)
  .map((port) => `  - {address: 127.0.0.1, ports: {http: ${port}}}`)
  .join('\n')}
`);
  client = await mesh.envoy({
    metadata: { OSTRIA_CAPTURE: { outbound: { [`${fqdn}:80`]: outbound }, inbound: [], httpProxy: 0 } },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const app of apps) app.close();
});

/** The backends that answer a number of equal requests. */
async function backends(
  count: number,
  path: string,
  headers: Record<string, string> = {},
): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(parseEcho(await call(outbound, path, headers)).version);
  return seen;
}

/** Applies a rule and waits until Envoy has taken it. */
async function use(spec: string): Promise<void> {
  const before = await client.stat('cluster_manager.cluster_modified');
  mesh.apply(rule(spec));
  await expect.poll(() => client.stat('cluster_manager.cluster_modified')).toBeGreaterThan(before);
}

test('without a rule all endpoints answer', async () => {
  expect((await backends(80, '/')).size).toBe(3);
});

test.each([
  ['header', '{loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {minimumRingSize: 1024}}}}'],
  ['header, maglev', '{loadBalancer: {consistentHash: {httpHeaderName: x-user, maglev: {}}}}'],
  ['query', '{loadBalancer: {consistentHash: {httpQueryParameterName: user}}}'],
])('a consistent hash of a %s keeps to one endpoint', async (_, spec) => {
  await use(spec);
  const seen = new Set<string>();
  // Which endpoint a user has depends on the ports of this run: so many that they cannot all have the same one.
  for (let user = 0; user < 40; user++) {
    const own = await backends(2, `/?user=u${user}`, { 'x-user': `u${user}` });
    expect(own.size).toBe(1);
    for (const backend of own) seen.add(backend);
  }
  expect(seen.size).toBeGreaterThan(1);
});

test('a consistent hash of a cookie makes the cookie', async () => {
  await use('{loadBalancer: {consistentHash: {httpCookie: {name: who, path: /, ttl: 60s}}}}');
  const first = await call(outbound, '/');
  const cookie = String(first.headers['set-cookie']?.[0]).split(';')[0] as string;
  expect(cookie).toMatch(/^who=/);
  expect(await backends(6, '/', { cookie })).toEqual(new Set([parseEcho(first).version]));
});

test('every other field is taken by Envoy', async () => {
  await use(`
    connectionPool:
      tcp: {maxConnections: 10, connectTimeout: 3s, maxConnectionDuration: 1h, idleTimeout: 1m, tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}}
      http: {http1MaxPendingRequests: 7, http2MaxRequests: 9, maxRequestsPerConnection: 5, maxRetries: 2, idleTimeout: 30s, h2UpgradePolicy: DO_NOT_UPGRADE, maxConcurrentStreams: 50, http2KeepAlive: {interval: 30s, timeout: 5s}}
    loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 20, aggression: 1.5}}
    outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 2, consecutiveLocalOriginFailures: 4, splitExternalLocalOriginErrors: true, interval: 5s, baseEjectionTime: 1m, maxEjectionPercent: 50, minHealthPercent: 20}
    retryBudget: {percent: 25, minRetryConcurrency: 5, budgetInterval: 10s}`);
  const { body } = await client.admin('/config_dump?resource=dynamic_active_clusters');
  for (const expected of [
    '"max_pending_requests": 7',
    '"max_connections": 10',
    '"consecutive_gateway_failure": 2',
    '"connect_timeout": "3s"',
    '"max_requests_per_connection": 5',
    '"slow_start_window": "30s"',
    '"budget_percent"',
  ])
    expect(body).toContain(expected);
  expect((await call(outbound, '/')).status).toBe(200);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(client)).toBe(0);
});
