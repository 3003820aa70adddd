import { afterEach, describe, expect, it } from 'vitest';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { brief, DeltaClient, SotwClient, sidecarNode, sleep, until } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';

const { cluster, endpoints, route, virtualHost } = typeUrls;
let harness: Harness;
let client: DeltaClient;

/** A client with one cluster `old`, used by the host 80/h. */
async function start(options: { grace?: number; warming?: number } = {}): Promise<void> {
  harness = await startHarness({
    resources: [
      fake.cluster('old'),
      fake.endpoints('old'),
      fake.route('80'),
      fake.host('80/h', 'to old', ['old']),
    ],
    limits: { removalGraceMs: options.grace ?? 150, warmingMs: options.warming ?? 15_000 },
  });
  client = new DeltaClient(harness.port);
  client.request(cluster, { node: sidecarNode });
  await client.take();
  client.request(endpoints, { subscribe: ['old'] });
  await client.take();
  client.request(route, { subscribe: ['80'] });
  await client.take();
  client.request(virtualHost);
  await client.take();
}

afterEach(async () => {
  await client.close();
  await harness.server.stop(100);
});

const toNew = (): readonly Resource[] => [
  fake.host('80/h', 'to new', ['new']),
  fake.endpoints('new'),
  fake.cluster('new'),
];

describe('the safe order', () => {
  it('sends clusters, their endpoints unasked, then hosts, without waiting for acknowledgements', async () => {
    await start();
    harness.source.edit({ upserts: toNew() });
    const burst = [await client.next(), await client.next(), await client.next()];
    expect(burst.map(brief)).toEqual([
      { type: 'Cluster', names: ['new'], removed: [] },
      { type: 'ClusterLoadAssignment', names: ['new'], removed: [] },
      { type: 'VirtualHost', names: ['80/h'], removed: [] },
    ]);
  });

  it('gives a cluster that went, and was altered just before, the endpoints that it had, as long as routes may lead there', async () => {
    await start();
    // Endpoints are under way, so those that must follow the altered cluster wait.
    harness.source.edit({ upserts: [fake.endpoints('old', 'moved')] });
    const moved = await client.next();
    harness.source.edit({ upserts: [fake.cluster('old', 'altered')] });
    expect(await client.take()).toEqual({ type: 'Cluster', names: ['old'], removed: [] });
    harness.source.edit({
      upserts: toNew(),
      removed: { [cluster]: ['old'], [endpoints]: ['old'] },
    });
    expect(await client.take()).toEqual({ type: 'Cluster', names: ['new'], removed: [] });
    client.ack(moved);
    const response = await client.next();
    const { type, names, removed } = brief(response);
    expect([type, names.toSorted(), removed]).toEqual(['ClusterLoadAssignment', ['new', 'old'], []]);
    const old = response.resources.find(({ name }) => name === 'old');
    expect(Buffer.from(old?.resource?.value ?? []).toString()).toBe('endpoints old moved');
  });

  it('takes endpoints that came unasked for the answer to the subscription, once and while Envoy runs', async () => {
    await start();
    const addCluster = async (name: string): Promise<void> => {
      harness.source.edit({ upserts: [fake.cluster(name), fake.endpoints(name)] });
      expect((await client.take()).names).toEqual([name]);
      expect((await client.take()).names).toEqual([name]);
      client.request(endpoints, { subscribe: [name] });
    };
    await addCluster('early');
    expect(
      (await client.take()).names,
      'before listeners are asked for, Envoy may still be starting',
    ).toEqual(['early']);
    client.request(typeUrls.listener);
    await client.take();
    await addCluster('new');
    await client.silence();
    client.request(endpoints, { subscribe: ['new'] });
    expect((await client.take()).names).toEqual(['new']);
    harness.source.edit({ upserts: [fake.cluster('third'), fake.endpoints('third')] });
    await client.take();
    await client.take();
    harness.source.edit({ upserts: [fake.endpoints('third', 'moved')] });
    client.request(endpoints, { subscribe: ['third'] });
    expect((await client.take()).names, 'what came unasked is out of date').toEqual(['third']);
  });

  it('brings a cluster that takes other endpoints with these, and leaves the old ones to the cluster that still serves', async () => {
    await start();
    const mixed = { eds: true, endpointSet: 'old|mixed' };
    harness.source.edit({
      upserts: [
        fake.cluster('old', 'per endpoint', mixed),
        fake.endpoints('old|mixed'),
        fake.host('80/h', 'again to old', ['old']),
      ],
      removed: { [endpoints]: ['old'] },
    });
    const burst = [await client.next(), await client.next(), await client.next()];
    expect(burst.map(brief)).toEqual([
      { type: 'Cluster', names: ['old'], removed: [] },
      { type: 'ClusterLoadAssignment', names: ['old|mixed'], removed: [] },
      { type: 'VirtualHost', names: ['80/h'], removed: [] },
    ]);
    for (const response of burst) client.ack(response);
    client.request(endpoints, { subscribe: ['old|mixed'], unsubscribe: ['old'] });
    expect((await client.take()).names).toEqual(['old|mixed']);
    harness.source.edit({ removed: { [endpoints]: ['old|mixed'] } });
    const emptied = await client.next();
    expect(brief(emptied), 'the cluster is there and has none').toMatchObject({ names: ['old|mixed'] });
    client.ack(emptied);
    harness.source.edit({
      upserts: [fake.cluster('old', 'again as before'), fake.endpoints('old', 'again')],
    });
    expect(await client.take()).toEqual({ type: 'Cluster', names: ['old'], removed: [] });
    expect(await client.take()).toEqual({ type: 'ClusterLoadAssignment', names: ['old'], removed: [] });
    await client.silence();
  });

  it('holds hosts back for the acknowledgement of a cluster that warms slowly, but not its endpoints', async () => {
    await start();
    harness.source.edit({
      upserts: [
        fake.cluster('new', 'health checked', { eds: true, slowWarming: true }),
        fake.endpoints('new'),
        fake.host('80/h', 'to new', ['new']),
        fake.host('80/other', 'to old', ['old']),
      ],
    });
    const clusters = await client.next();
    expect(brief(clusters).names).toEqual(['new']);
    expect(await client.take()).toEqual({ type: 'ClusterLoadAssignment', names: ['new'], removed: [] });
    expect(await client.take(), 'hosts of other clusters do not wait').toEqual({
      type: 'VirtualHost',
      names: ['80/other'],
      removed: [],
    });
    await client.silence();
    client.ack(clusters);
    expect((await client.take()).names).toEqual(['80/h']);
  });

  it('does not wait for a slow cluster forever', async () => {
    await start({ warming: 300 });
    harness.source.edit({
      upserts: [
        fake.cluster('new', 'health checked', { eds: true, slowWarming: true }),
        fake.endpoints('new'),
        fake.host('80/h', 'to new', ['new']),
      ],
    });
    await client.next();
    await client.take();
    expect((await client.take()).names).toEqual(['80/h']);
    const sentAt = (typeUrl: string): number =>
      harness.ledger.snapshot()[0]?.types.find((type) => type.typeUrl === typeUrl)?.sent?.at ?? 0;
    expect(sentAt(virtualHost) - sentAt(cluster)).toBeGreaterThanOrEqual(295);
  });

  it('waits with hosts while their clusters wait for an earlier response', async () => {
    await start();
    harness.source.edit({ upserts: [fake.cluster('first', '', {})] });
    const first = await client.next();
    harness.source.edit({ upserts: toNew() });
    await client.silence();
    client.ack(first);
    const burst = [await client.next(), await client.next(), await client.next()];
    expect(burst.map((response) => brief(response).type)).toEqual([
      'Cluster',
      'ClusterLoadAssignment',
      'VirtualHost',
    ]);
  });

  it('sends endpoints again after the update of a live cluster', async () => {
    await start();
    harness.source.edit({ upserts: [fake.cluster('old', 'other settings')] });
    expect([await client.take(), await client.take()]).toEqual([
      { type: 'Cluster', names: ['old'], removed: [] },
      { type: 'ClusterLoadAssignment', names: ['old'], removed: [] },
    ]);
  });

  it('removes a cluster only after its routes are acknowledged away, and the grace', async () => {
    await start();
    harness.source.edit({
      upserts: toNew(),
      removed: { [cluster]: ['old'], [endpoints]: ['old'] },
    });
    await client.take();
    await client.take();
    const hosts = await client.next();
    await sleep(300);
    await client.silence(10);
    client.ack(hosts);
    const acknowledgedAt = performance.now();
    expect(await client.take()).toEqual({ type: 'Cluster', names: [], removed: ['old'] });
    expect(performance.now() - acknowledgedAt).toBeGreaterThan(120);
  });

  it('does not remove a cluster that comes back within the grace', async () => {
    await start({ grace: 2_000 });
    harness.source.edit({ removed: { [cluster]: ['old'], [endpoints]: ['old'] } });
    await sleep(50);
    harness.source.edit({ upserts: [fake.cluster('old'), fake.endpoints('old', 'moved')] });
    expect(await client.take(), 'the cluster itself is as it was').toEqual({
      type: 'ClusterLoadAssignment',
      names: ['old'],
      removed: [],
    });
    await client.silence(2_400);
  });

  it('sends a move of endpoints at once, whatever else waits', async () => {
    await start();
    harness.source.edit({
      upserts: [fake.cluster('new', '', { slowWarming: true }), fake.host('80/h', 'to new', ['new'])],
    });
    await client.next();
    harness.source.edit({ upserts: [fake.endpoints('old', 'moved')] });
    expect(await client.take()).toEqual({ type: 'ClusterLoadAssignment', names: ['old'], removed: [] });
    await client.silence();
  });

  it('keeps a held host at its version while its new cluster is refused, and no longer', async () => {
    await start();
    harness.source.edit({ upserts: [fake.cluster('new', 'bad', {})] });
    client.nack(await client.next(), 'Error adding/updating cluster(s) new: no');
    await until(() => harness.ledger.snapshot()[0]?.types[0]?.state === 'NACKED');
    harness.source.edit({ upserts: [fake.host('80/h', 'to new', ['new'])] });
    await client.silence();
    harness.source.edit({ upserts: [fake.cluster('new', 'good', {})] });
    expect([await client.take(), await client.take()].map((response) => response.names)).toEqual([
      ['new'],
      ['80/h'],
    ]);
  });
});

describe('the safe order of state-of-the-world streams', () => {
  it('keeps a removed cluster in the state until routes and grace allow', async () => {
    await start();
    const sotw = new SotwClient(harness.port);
    sotw.request(cluster, { node: sidecarNode });
    const first = await sotw.next();
    expect(first.resources.length).toBe(1);
    sotw.ack(first);
    sotw.request(endpoints, { subscribe: ['old'] });
    sotw.ack(await sotw.next(), ['old']);
    harness.source.edit({
      upserts: [fake.cluster('new'), fake.endpoints('new')],
      removed: { [cluster]: ['old'] },
    });
    const second = await sotw.next();
    expect(second.resources.length).toBe(2);
    const unasked = await sotw.next();
    expect(unasked.typeUrl).toBe(endpoints);
    sotw.ack(unasked, ['old', 'new']);
    sotw.ack(second);
    const rest = [await sotw.next(), await sotw.next()];
    expect(rest.map((response) => [response.typeUrl, response.resources.length])).toContainEqual([
      cluster,
      1,
    ]);
    await sotw.close();
  });
});
