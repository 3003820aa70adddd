// A new root for the whole mesh under load: no request fails.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RingStatus } from '../../../src/ca/ring-status.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { startLoad } from '../../support/load.ts';

let mesh: HelloMesh;

beforeAll(async () => {
  mesh = await openHelloMesh(['--trust-sync', '0.5']);
  // A connection per request: every one is a handshake between two workloads.
  await mesh.apply(
    networkingObject('DestinationRule', 'handshakes', {
      host: 'helloworld',
      trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } },
    }),
  );
});
afterAll(() => mesh?.close());

const status = () => mesh.client.get<RingStatus>('/debug/ca');

const root = () => readFileSync(mesh.state('workloads', 'sleep-0', 'root-cert.pem'), 'utf8');

/** Waits for the end of a rotation, until the workloads know it too. */
async function rotated(before: string): Promise<void> {
  const rotation = () =>
    status().then(
      (found) => found.rotation,
      () => 'unreachable',
    );
  await expect.poll(rotation, { timeout: 90_000, interval: 500 }).toBeUndefined();
  await expect.poll(() => root() !== before && root().match(/BEGIN/g)?.length).toBe(1);
}

async function underLoad(work: () => Promise<void>): Promise<void> {
  const loads = [mesh.helloFromSleep, mesh.ingress].map((url) => startLoad(url, { perSecond: 20 }));
  await work();
  const results = await Promise.all(loads.map((load) => load.stop()));
  expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  for (const { requests } of results) expect(requests).toBeGreaterThan(20);
}

test('a rotation while a workload joins', async () => {
  const before = root();
  await underLoad(async () => {
    const { code, stdout } = await mesh.ostria.run(['ca', 'rotate', '--mesh', 'hello']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('step 1 of 2')]);
    await mesh.scale(2);
    await rotated(before);
  });
  const shown = await mesh.ostria.run(['ca', 'status', '--mesh', 'hello']);
  expect(shown.stdout).toMatch(/ROOT +O=cluster.local, CN=Ostria root +\S+ +36\d\d/);
});

test('a rotation in whose middle the control plane is killed', async () => {
  const before = root();
  const processOf = async () => {
    const { pid } = (await mesh.ostria.status()).controlPlane.state as { pid?: number };
    if (pid === undefined) throw new Error('the control plane does not run');
    return pid;
  };
  await underLoad(async () => {
    await mesh.client.request({ method: 'POST', path: '/debug/ca/rotate' });
    process.kill(await processOf(), 'SIGKILL');
    await rotated(before);
  });
});
