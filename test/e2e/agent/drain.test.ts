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
  const server = createServer({ keepAliveTimeout: 0 }, handler);
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
  void controlPlane.script('first-1', inboundResources(first, await app('first')));
  void controlPlane.script('second-1', inboundResources(second, await app('second')));
  void controlPlane.script('client-1', outboundResources(out, [first, second], 'reviews'));
  // What the control plane does when a workload says that it drains: its endpoint goes from every peer.
  const hook = await serve(async (_request, response) => {
    await controlPlane.script('client-1', outboundResources(out, [second], 'reviews'));
    response.end();
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
  await Promise.all([load.goesOn(20, 'first'), load.goesOn(20, 'second')]);
  const envoy = draining.envoyId();
  draining.kill('SIGTERM');
  expect(await draining.exited()).toBe(0);
  expect(isAlive(envoy)).toBe(false);
  await load.goesOn(20, 'second');
  const result = await load.stop();
  expect(result.failures).toEqual([]);
  expect(result.answered).toBe(result.requests);
  // Its last requests had ended by themselves; how many seconds that took is the machine's affair.
  expect(draining.log()).toMatch(/drained seconds=\d+\b/);
});

/** A workload whose application never answers, with one request in flight. */
async function startStuck(name: string, drainSeconds: number): Promise<TestWorkload> {
  const [out = 0] = await freePorts(1);
  const asked = Promise.withResolvers<void>();
  const resources = inboundResources(out, await serve(() => asked.resolve()));
  // Plaintext, so that a plain client can hold a request open.
  const listener = resources.listeners[0] as { filterChains: Record<string, unknown>[] };
  delete listener.filterChains[0]?.transportSocket;
  void controlPlane.script(`${name}-1`, resources);
  const drain = { seconds: drainSeconds, minimumSeconds: 0 };
  const stuck = await createWorkload(controlPlane, name, { drain });
  workloads.push(stuck);
  await stuck.start();
  await stuck.ready();
  void fetch(`http://127.0.0.1:${out}/`).catch(() => {});
  await asked.promise;
  return stuck;
}

test('a drain without end is cut off at its longest time', async () => {
  const stuck = await startStuck('stuck', 2);
  const start = performance.now();
  stuck.kill('SIGTERM');
  expect(await stuck.exited()).toBe(0);
  expect(performance.now() - start).toBeGreaterThan(1_900);
  expect(stuck.log()).toMatch(/longest drain time is over with requests in flight active=1 seconds=2/);
});

test('a second SIGTERM cuts a drain short', async () => {
  const stuck = await startStuck('hurried', 3_600);
  const envoy = stuck.envoyId();
  stuck.kill('SIGTERM');
  await waitFor('the drain to begin', () => stuck.log().includes('draining, then ending'));
  expect(isAlive(envoy)).toBe(true);
  stuck.kill('SIGTERM');
  expect(await stuck.exited()).toBe(0);
  expect(isAlive(envoy)).toBe(false);
});

test('a configuration that Envoy rejects is named by readiness', async () => {
  const [port = 0, app = 0] = await freePorts(2);
  const resources = inboundResources(port, app);
  const [listener] = resources.listeners as { name: string; address: unknown }[];
  if (listener) listener.address = { pipe: { path: 'x'.repeat(200) } };
  void controlPlane.script('rejected-1', resources);
  const rejected = await createWorkload(controlPlane, 'rejected');
  workloads.push(rejected);
  await rejected.start();
  await waitFor('the rejection', async () =>
    (await rejected.readiness()).text.startsWith('Envoy rejected the listeners'),
  );
  expect((await rejected.readiness()).status).toBe(503);
  expect(controlPlane.rejections.length).toBeGreaterThan(0);
});
