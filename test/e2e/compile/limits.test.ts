// Fields whose effect shows only under load or over time: connection pools at the server, retry budgets and sessions of backends, warm-up.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { type Answer, call, parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';
import { serverObjects, startServerProxy } from '../../support/server-workload.ts';

/** How long an endpoint warms up; it is given next to nothing for most of that time. */
const warmupMs = 8_000;
const warmup = '{duration: 8s, minimumPercent: 1, aggression: 0.1}';
const coldMs = warmupMs * 0.6;

const servers: Server[] = [];
/** Requests that the slow application has and has not answered. */
let held: ServerResponse[] = [];
let arrived = 0;
let mesh: CompiledMesh;
let client: TestEnvoy;
let gateway: TestEnvoy;
let server: TestEnvoy;
let ports: Record<'slow' | 'inbound' | 'warm' | 'front' | 'old' | 'fresh' | 'fresher' | 'freshest', number>;
let warmSince: number;

const endpoints = (names: readonly ('old' | 'fresh' | 'fresher' | 'freshest')[]): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: warm-a, labels: {kubernetes.io/service-name: warm}}
addressType: IPv4
ports: [{name: http, port: ${ports.old}}]
endpoints: [{addresses: [127.0.0.1]}]
${names
  .slice(1)
  .map(
    (name) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: warm-${name}, labels: {kubernetes.io/service-name: warm}}
addressType: IPv4
ports: [{name: http, port: ${ports[name]}}]
endpoints: [{addresses: [127.0.0.1]}]
`,
  )
  .join('')}`;

const pool = (spec: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: slow}
spec: {host: slow, trafficPolicy: {connectionPool: ${spec}}}
`;

beforeAll(async () => {
  const [slow = 0, inbound = 0, warm = 0, front = 0, old = 0, fresh = 0, fresher = 0, freshest = 0] =
    await freePorts(8);
  ports = { slow, inbound, warm, front, old, fresh, fresher, freshest };
  const app = createServer({ keepAliveTimeout: 0 }, (_, response) => {
    arrived++;
    held.push(response);
  });
  await new Promise<void>((resolve) => app.listen(slow, '127.0.0.1', resolve));
  servers.push(app);
  for (const [name, port] of Object.entries({ old, fresh, fresher, freshest }))
    servers.push(await startEcho(name, port));
  const workload = { name: 'slow', port: 80, listen: inbound, application: slow };
  mesh = await startCompiledMesh(
    `${serverObjects(workload)}
apiVersion: v1
kind: Service
metadata: {name: warm}
spec: {clusterIP: 10.1.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: warm}
spec: {host: warm, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN, warmup: ${warmup}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: warm}
spec: {hosts: [warm], http: [{rewrite: {authority: inner.example.com}, route: [{destination: {host: warm}}]}]}
---
${endpoints(['old'])}
---
${pool('{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}')}
---
apiVersion: v1
kind: Service
metadata: {name: direct}
spec: {clusterIP: 10.1.0.3, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: direct-a, labels: {kubernetes.io/service-name: direct}}
addressType: IPv4
ports: [{name: http, port: ${slow}}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front}
spec:
  parentRefs: [{name: front}]
  rules:
  - matches: [{path: {value: /warm}}]
    backendRefs: [{name: warm, port: 80}]
  - retry: {attempts: 3, codes: [503]}
    backendRefs: [{name: direct, port: 80}]
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: direct}
spec:
  targetRefs: [{group: '', kind: Service, name: direct}]
  retryConstraint: {budget: {percent: 0, interval: 10s}, minRetryRate: {count: 1, interval: 1s}}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: warm}
spec:
  targetRefs: [{group: '', kind: Service, name: warm}]
  sessionPersistence: {sessionName: seat, type: Cookie}
`,
    {
      extra: {
        defaultConfig: { proxyHeaders: { xForwardedHost: { enabled: true }, requestId: { disabled: true } } },
      },
    },
  );
  client = await mesh.envoy({
    metadata: {
      OSTRIA_CAPTURE: {
        outbound: { 'warm.default.svc.cluster.local:80': warm },
        inbound: [],
        httpProxy: 0,
      },
    },
  });
  warmSince = Date.now();
  server = await startServerProxy(mesh, workload);
  gateway = await mesh.envoy({
    type: 'router',
    name: 'front-0',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'front' },
    metadata: {
      OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway: { '80': front } },
    },
  });
});

afterAll(async () => {
  await mesh?.stop();
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

function release(status: number): void {
  for (const response of held) {
    response.statusCode = status;
    response.end();
  }
  held = [];
}

/** Sends so many requests to the slow application. */
function send(port: number, count: number): Promise<number>[] {
  return Array.from({ length: count }, () =>
    call(port, '/').then(
      ({ status }) => status,
      () => 0,
    ),
  );
}

function forget(): void {
  arrived = 0;
  held = [];
}

const hasArrived = (count: number) => expect.poll(() => arrived, { timeout: 30_000 }).toBe(count);

/** Fills the connections to the application one by one, then sends more: one of these waits, the others overflow. */
async function overflow(connections: number, more: number): Promise<number[]> {
  forget();
  const pending: Promise<number>[] = [];
  for (let number = 1; number <= connections; number++) {
    pending.push(...send(ports.inbound, 1));
    await hasArrived(number);
  }
  const rest = send(ports.inbound, more);
  let refused = 0;
  for (const one of rest) void one.then((status) => (refused += status === 503 ? 1 : 0));
  await expect.poll(() => refused, { timeout: 30_000 }).toBe(more - 1);
  release(200);
  await hasArrived(connections + 1);
  release(200);
  return (await Promise.all([...pending, ...rest])).sort();
}

test('a DestinationRule’s connection pool holds at the server’s sidecar, whoever calls', async () => {
  expect(await overflow(1, 4)).toEqual([200, 200, 503, 503, 503]);
});

test('a Sidecar’s pool goes before it', async () => {
  mesh.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: slow}
spec: {workloadSelector: {labels: {app: slow}}, inboundConnectionPool: {tcp: {maxConnections: 2}, http: {http1MaxPendingRequests: 1}}}
`);
  const limits = () => server.admin('/clusters').then(({ body }) => body);
  await expect.poll(limits, { timeout: 30_000 }).toContain('default_priority::max_connections::2');
  expect(await overflow(2, 3)).toEqual([200, 200, 200, 503, 503]);
});

test('an XBackendTrafficPolicy limits how many retries are under way', async () => {
  forget();
  const pending = send(ports.front, 5);
  await hasArrived(5);
  release(503);
  const overflowed = 'cluster.outbound|80||direct.default.svc.cluster.local.upstream_rq_retry_overflow';
  await expect.poll(() => gateway.stat(overflowed), { timeout: 30_000 }).toBe(4);
  await hasArrived(6);
  release(200);
  expect((await Promise.all(pending)).sort()).toEqual([200, 503, 503, 503, 503]);
});

const askWarm = (headers: Record<string, string> = {}): Promise<Answer> => call(ports.warm, '/', headers);

test('a Host that a route rewrites goes along as X-Forwarded-Host; request ids can be switched off', async () => {
  const seen = parseEcho(await askWarm({ host: 'outer.example.com' }));
  expect(seen.host).toBe('inner.example.com');
  expect(seen.headers['x-forwarded-host']).toBe('outer.example.com');
  expect(seen.headers['x-request-id']).toBeUndefined();
});

test('an endpoint that is new is given little while it warms up, and its share afterwards', async ({
  skip,
}) => {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, warmSince + warmupMs - Date.now())));
  const all = ['old', 'fresh', 'fresher', 'freshest'] as const;
  const membership = 'cluster.outbound|80||warm.default.svc.cluster.local.membership_total';
  let share: number | undefined;
  // A machine so busy that the calls take longer than the endpoint is cold tells nothing: another endpoint is tried.
  for (let known = 2; share === undefined && known <= all.length; known++) {
    const since = Date.now();
    mesh.apply(endpoints(all.slice(0, known)));
    await expect.poll(() => client.stat(membership), { timeout: 30_000 }).toBe(known);
    let fresh = 0;
    for (let i = 0; i < 40; i++) if (parseEcho(await askWarm()).version === all[known - 1]) fresh++;
    if (Date.now() - since < coldMs) share = fresh;
  }
  if (share === undefined) skip('40 calls took longer than an endpoint stays cold, three times over');
  expect(share).toBeLessThan(8);
  const versions = async () => {
    const seen = new Map<string, number>();
    for (let i = 0; i < 40; i++) {
      const { version } = parseEcho(await askWarm());
      seen.set(version, (seen.get(version) ?? 0) + 1);
    }
    return Math.min(seen.get('old') ?? 0, seen.get('fresh') ?? 0);
  };
  await expect.poll(versions, { timeout: 60_000, interval: 500 }).toBeGreaterThan(7);
}, 120_000);

test('an XBackendTrafficPolicy keeps a session at its endpoint', async () => {
  const first = await call(ports.front, '/warm');
  const cookie = String(first.headers['set-cookie']?.[0]).split(';')[0] as string;
  expect(cookie).toMatch(/^seat=/);
  const { version } = parseEcho(first);
  for (let i = 0; i < 20; i++)
    expect(parseEcho(await call(ports.front, '/warm', { cookie })).version).toBe(version);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  expect(await rejectedUpdates(client)).toBe(0);
});
