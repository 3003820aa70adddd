// People edit while others call: no edit that leaves a healthy destination costs a request.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { ConfigObject } from '../../../src/config/object.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { type LoadResult, startLoad } from '../../support/load.ts';

// A machine that does many things at once is slow, not wrong.
vi.setConfig({ testTimeout: 90_000 });

const edits = process.env.OSTRIA_NIGHTLY === '1' ? 1_000 : 200;
const host = 'helloworld';

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
}, 300_000);
afterAll(() => mesh?.close(), 90_000);

/** Subsets v1 and v2 under names of this edit. */
function subsets(mark: string, policy?: Record<string, unknown>): ConfigObject {
  return networkingObject('DestinationRule', host, {
    host,
    ...(policy ? { trafficPolicy: policy } : {}),
    subsets: ['v1', 'v2'].map((version) => ({ name: `${version}${mark}`, labels: { version } })),
  });
}

/** Where callers inside, and those at the gateway, are sent. An edit changes both, in one `apply`. */
function routes(
  destinations: [subset: string, weight: number][],
  more: Record<string, unknown> = {},
): ConfigObject[] {
  const route = destinations.map(([subset, weight]) => ({
    destination: { host, ...(subset === '' ? {} : { subset }) },
    weight,
  }));
  return [
    networkingObject('VirtualService', 'hello-mesh', { hosts: [host], http: [{ route, ...more }] }),
    networkingObject('VirtualService', 'helloworld', {
      hosts: ['*'],
      gateways: ['helloworld-gateway'],
      http: [{ match: [{ uri: { exact: '/hello' } }], route, ...more }],
    }),
  ];
}

/** One round of edits, each made as one `apply` or `delete`. The mesh is without rules before and after. */
function* round(mark: string): Generator<() => Promise<void>> {
  const [v1, v2] = [`v1${mark}`, `v2${mark}`];
  // A rule and the route that needs it, in both orders.
  if (mark.length % 2 === 0) yield () => mesh.apply(subsets(mark), ...routes([[v1, 100]]));
  else yield () => mesh.apply(...routes([[v1, 100]]), subsets(mark));
  yield () => mesh.apply(...routes([[v2, 100]]));
  yield () =>
    mesh.apply(
      ...routes([
        [v1, 30],
        [v2, 70],
      ]),
    );
  yield () =>
    mesh.apply(
      ...routes(
        [
          [v1, 50],
          [v2, 50],
        ],
        { timeout: '3s', retries: { attempts: 2, perTryTimeout: '1s' } },
      ),
    );
  yield () => mesh.apply(...routes([[v2, 100]], { headers: { response: { set: { 'x-edit': mark } } } }));
  yield () => mesh.apply(subsets(mark, { loadBalancer: { simple: 'RANDOM' } }));
  yield () =>
    mesh.apply(
      subsets(mark, {
        connectionPool: { http: { http2MaxRequests: 500 } },
        outlierDetection: { consecutive5xxErrors: 50 },
      }),
    );
  yield () =>
    mesh.apply(
      networkingObject('ServiceEntry', 'outside', {
        hosts: ['outside.example.com'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: '127.0.0.1', ports: { http: 9 } }],
      }),
    );
  // Other names for the same subsets: the old clusters go while requests are under way.
  yield () => mesh.apply(subsets(`${mark}x`), ...routes([[`${v2}x`, 100]]));
  yield () => mesh.apply(...routes([['', 100]]));
  yield () => mesh.remove(networkingObject('VirtualService', 'hello-mesh', {}));
  yield () => mesh.remove(subsets(mark), networkingObject('ServiceEntry', 'outside', {}));
}

function expectNoFailure(results: LoadResult[]): void {
  const counts: Record<string, number> = {};
  for (const why of results.flatMap(({ failures }) => failures)) counts[why] = (counts[why] ?? 0) + 1;
  expect(counts).toEqual({});
  for (const { requests, answered } of results) expect(answered).toBe(requests);
}

test(
  `${edits} edits under load: no request fails`,
  async () => {
    const loads = [mesh.ingress, mesh.helloFromSleep].map((url) =>
      startLoad(url, { perSecond: 150, timeoutMs: 15_000 }),
    );
    let made = 0;
    for (let number = 0; made < edits; number++)
      for (const edit of round(`-${number}`)) {
        // Calls go on all the while, as many as there are edits at least.
        const calls = made % 4 === 0 ? loads.map((load) => load.goesOn(4)) : [];
        await Promise.all([edit(), ...calls]);
        made++;
      }
    expectNoFailure(await Promise.all(loads.map((load) => load.stop())));
  },
  edits * 1_000,
);

test('copies come and go under load: no request fails', async () => {
  const loads = [mesh.ingress, mesh.helloFromSleep].map((url) =>
    startLoad(url, { perSecond: 150, timeoutMs: 15_000 }),
  );
  await mesh.scale(3);
  await Promise.all(loads.map((load) => load.goesOn(20)));
  await mesh.scale(1);
  await Promise.all(loads.map((load) => load.goesOn(20)));
  const results = await Promise.all(loads.map((load) => load.stop()));
  expectNoFailure(results);
  // The second and third copy took their part.
  const bodies = results.flatMap(({ bodies }) => [...bodies.keys()]).join();
  for (const copy of ['helloworld-v1-1', 'helloworld-v1-2', 'helloworld-v2-0'])
    expect(bodies).toContain(copy);
}, 120_000);
