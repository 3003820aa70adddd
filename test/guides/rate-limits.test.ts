// The recipes of docs/guides/rate-limits.md, as they stand there, limit what they say on real Envoys.
import type { Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backendYaml } from '../support/backend-yaml.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../support/compiled-mesh.ts';
import type { TestEnvoy } from '../support/envoy.ts';
import { call, startEcho } from '../support/http-echo.ts';
import { freePorts } from '../support/ports.ts';
import { type RateLimitService, startRateLimitService } from '../support/rate-limit-service.ts';
import { type ServerWorkload, serverObjects, startServerProxy } from '../support/server-workload.ts';
import { recipesOf } from './recipes/recipe.ts';

let mesh: CompiledMesh;
let app: Server | undefined;
let limiter: RateLimitService | undefined;
let local: { ratings: number; reviews: number; gateway: number };
const envoys: TestEnvoy[] = [];

beforeAll(async () => {
  const [application, asked, ratings, reviews, toRatings, toReviews, gateway] = (await freePorts(7)) as [
    ...[number, number, number, number, number, number, number],
  ];
  local = { ratings: toRatings, reviews: toReviews, gateway };
  app = await startEcho('v1', application);
  limiter = await startRateLimitService(asked, { 'shop PATH=/productpage': 3 });
  const servers: ServerWorkload[] = [
    { name: 'ratings', port: 9080, listen: ratings, application },
    { name: 'reviews', port: 9080, listen: reviews, application },
  ];
  mesh = await startCompiledMesh(
    [
      ...servers.map(serverObjects),
      backendYaml('productpage', { clusterIP: '10.1.0.2', port: 9080, on: application }),
      '---\n',
      backendYaml('ratelimit', { clusterIP: '10.1.0.3', port: 8081, on: asked, portName: 'grpc' }),
      `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: ['*'], gateways: [front], http: [{route: [{destination: {host: productpage}}]}]}
`,
      ...[...recipesOf('rate-limits.md').values()].flat().map((recipe) => `---\n${recipe}`),
    ].join('\n'),
  );
  for (const server of servers) envoys.push(await startServerProxy(mesh, server));
  const outbound = {
    'ratings.default.svc.cluster.local:9080': toRatings,
    'reviews.default.svc.cluster.local:9080': toReviews,
  };
  envoys.push(
    await mesh.envoy({ metadata: { OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } } }),
    await mesh.envoy({
      ...{ type: 'router', name: 'ingress', namespace: 'istio-system', labels: { istio: 'ingressgateway' } },
      metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], gateway: { 80: gateway }, httpProxy: 0 } },
    }),
  );
});

afterAll(async () => {
  await mesh?.stop();
  app?.close();
  limiter?.stop();
});

/** Statuses of so many requests one after the other. */
async function statuses(count: number, port: number, path: string): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push((await call(port, path)).status);
  return found;
}

/** How many requests pass before one is refused; a bucket fills again all the while, so that it may be more than it holds. */
async function passing(port: number, path: string, method = 'GET'): Promise<number> {
  for (let count = 0; count < 100; count++) {
    const { status } = await call(port, path, {}, { method });
    if (status === 429) return count;
    expect(status).toBe(200);
  }
  return Number.POSITIVE_INFINITY;
}

const allowed = (count: number, all: number): number[] =>
  Array.from({ length: all }, (_, index) => (index < count ? 200 : 429));

test('each sidecar by itself', async () => {
  const passed = await passing(local.ratings, '/ratings/0');
  expect(passed).toBeGreaterThanOrEqual(10);
  expect(passed).toBeLessThan(100);
});

test('some requests only', async () => {
  const passed = await passing(local.reviews, '/reviews/0', 'POST');
  expect(passed).toBeGreaterThanOrEqual(3);
  expect(passed).toBeLessThan(100);
  expect(await statuses(5, local.reviews, '/reviews/0')).toEqual(allowed(5, 5));
});

test('all gateways together, and nothing was refused', async () => {
  expect(await statuses(5, local.gateway, '/productpage')).toEqual(allowed(3, 5));
  expect(await statuses(5, local.gateway, '/static')).toEqual(allowed(5, 5));
  expect(mesh.refusals).toEqual([]);
  for (const envoy of envoys) expect(await rejectedUpdates(envoy)).toBe(0);
});
