import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isAlive } from '../../../src/kit/process-id.ts';
import {
  createWorkload,
  inboundResources,
  outboundResources,
  type TestWorkload,
} from '../../support/agent.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../../support/fake-control-plane.ts';
import { startLoad } from '../../support/load.ts';
import { freePorts } from '../../support/ports.ts';
import { waitFor } from '../../support/wait-for.ts';

let controlPlane: FakeControlPlane;
const servers: Server[] = [];
const workloads: TestWorkload[] = [];

async function serve(handler: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  controlPlane = await startFakeControlPlane();
});

afterAll(async () => {
  await Promise.all(workloads.map((workload) => workload.cleanUp()));
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  await controlPlane?.close();
});

test('one of two replicas ends under 200 requests a second, half of them slow: not one fails', async () => {
  const [out = 0, first = 0, second = 0] = await freePorts(3);
  const app = (name: string) =>
    serve((_request, response) => setTimeout(() => response.end(name), Math.random() < 0.5 ? 0 : 150));
  controlPlane.script('first-1', inboundResources(first, await app('first')));
  controlPlane.script('second-1', inboundResources(second, await app('second')));
  controlPlane.script('client-1', outboundResources(out, [first, second], 'reviews'));
  // What the control plane does when a workload says that it drains: its endpoint goes from every peer.
  const hook = await serve((_request, response) => {
    controlPlane.script('client-1', outboundResources(out, [second], 'reviews'));
    setTimeout(() => response.end(), 200);
  });
  const replica = {
    serviceAccount: 'reviews',
    drain: { seconds: 10, minimumSeconds: 1, hookUrl: `http://127.0.0.1:${hook}/` },
  };
  const draining = await createWorkload(controlPlane, 'first', replica);
  const staying = await createWorkload(controlPlane, 'second', replica);
  const client = await createWorkload(controlPlane, 'client');
  workloads.push(draining, staying, client);
  await Promise.all(workloads.map((workload) => workload.start()));
  await Promise.all(workloads.map((workload) => workload.ready()));

  const load = startLoad(`http://127.0.0.1:${out}/`, { perSecond: 200 });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const envoy = draining.envoyId();
  draining.kill('SIGTERM');
  expect(await draining.exited()).toBe(0);
  expect(isAlive(envoy)).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const result = await load.stop();
  expect(result.failures).toEqual([]);
  expect(result.bodies.get('first')).toBeGreaterThan(5);
  expect(result.bodies.get('second')).toBeGreaterThan(100);
  expect(draining.log()).toMatch(/drained seconds=1\b/);
}, 40_000);

test('a drain without end is cut off at its longest time, and a second SIGTERM at once', async () => {
  const [out = 0] = await freePorts(1);
  const never = await serve(() => {});
  const resources = inboundResources(out, never);
  // Plaintext, so that a plain client can hold a request open.
  const listener = resources.listeners[0] as { filterChains: Record<string, unknown>[] };
  delete listener.filterChains[0]?.transportSocket;
  controlPlane.script('stuck-1', resources);
  const stuck = await createWorkload(controlPlane, 'stuck', { drain: { seconds: 2, minimumSeconds: 0 } });
  workloads.push(stuck);
  await stuck.start();
  await stuck.ready();
  const hang = () => void fetch(`http://127.0.0.1:${out}/`).catch(() => {});
  hang();
  await new Promise((resolve) => setTimeout(resolve, 300));
  let start = performance.now();
  stuck.kill('SIGTERM');
  expect(await stuck.exited()).toBe(0);
  const whole = performance.now() - start;
  expect(whole).toBeGreaterThan(1_900);
  expect(stuck.log()).toMatch(/longest drain time is over with requests in flight active=1 seconds=2/);

  await stuck.start();
  await stuck.ready();
  hang();
  await new Promise((resolve) => setTimeout(resolve, 300));
  start = performance.now();
  stuck.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 300));
  stuck.kill('SIGTERM');
  expect(await stuck.exited()).toBe(0);
  expect(performance.now() - start).toBeLessThan(whole);
}, 40_000);

test('a configuration that Envoy rejects is named by readiness', async () => {
  const [port = 0, app = 0] = await freePorts(2);
  const resources = inboundResources(port, app);
  const [listener] = resources.listeners as { name: string; address: unknown }[];
  if (listener) listener.address = { pipe: { path: 'x'.repeat(200) } };
  controlPlane.script('rejected-1', resources);
  const rejected = await createWorkload(controlPlane, 'rejected');
  workloads.push(rejected);
  await rejected.start();
  await waitFor('the rejection', async () =>
    (await rejected.readiness()).text.startsWith('Envoy rejected the listeners'),
  );
  expect((await rejected.readiness()).status).toBe(503);
  expect(controlPlane.rejections.length).toBeGreaterThan(0);
});
