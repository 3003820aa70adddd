import { afterEach, describe, expect, it } from 'vitest';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { brief, DeltaClient, sidecarNode, until } from './fake-envoy.ts';
import { fake, type Harness, type HarnessOptions, startHarness } from './harness.ts';

const { cluster, endpoints, listener, secret } = typeUrls;
let harness: Harness;
const clients: DeltaClient[] = [];

async function start(options: HarnessOptions = {}): Promise<DeltaClient> {
  harness = await startHarness(options);
  return open();
}

function open(): DeltaClient {
  const client = new DeltaClient(harness.port);
  clients.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await harness.server.stop(100);
});

describe('delta streams', () => {
  it('answers the legacy wildcard with everything, and says the node only once', async () => {
    const client = await start({ resources: [fake.cluster('b'), fake.cluster('a'), fake.listener('l')] });
    client.request(cluster, { node: sidecarNode });
    expect(await client.take()).toEqual({ type: 'Cluster', names: ['a', 'b'], removed: [] });
    client.request(listener);
    expect(await client.take()).toEqual({ type: 'Listener', names: ['l'], removed: [] });
    expect([...harness.source.proxies.values()].map((proxy) => [proxy.name, proxy.vhds])).toEqual([
      ['web-1', true],
    ]);
    await client.silence();
  });

  it('answers a first wildcard that matches nothing with an empty response: Envoy waits for one', async () => {
    const client = await start();
    client.request(cluster, { node: sidecarNode });
    expect(await client.take()).toEqual({ type: 'Cluster', names: [], removed: [] });
  });

  it('wraps bytes as they are, with name, version and type', async () => {
    const resource = fake.cluster('a', 'body');
    const client = await start({ resources: [resource] });
    client.request(cluster, { node: sidecarNode });
    const response = await client.next();
    const got = response.resources[0];
    expect(got?.name).toBe('a');
    expect(got?.version).toBe(resource.version);
    expect(got?.resource?.typeUrl).toBe(cluster);
    expect(Buffer.from(got?.resource?.value ?? []).toString()).toBe('cluster a body');
    expect(response.typeUrl).toBe(cluster);
    expect(response.nonce).not.toBe('');
  });

  it('sends an edit alone, and a removal at once where nothing can depend on it', async () => {
    const client = await start({ resources: [fake.listener('l1'), fake.listener('l2')] });
    client.request(listener, { node: sidecarNode });
    await client.take();
    harness.source.edit({ upserts: [fake.listener('l1', 'new')] });
    expect(await client.take()).toEqual({ type: 'Listener', names: ['l1'], removed: [] });
    harness.source.edit({ removed: { [listener]: ['l2'] } });
    expect(await client.take()).toEqual({ type: 'Listener', names: [], removed: ['l2'] });
    await client.silence();
  });

  it('sends named types only as subscribed, through subscribe and unsubscribe', async () => {
    const client = await start({ resources: ['a', 'b', 'c'].map((name) => fake.endpoints(name)) });
    client.request(endpoints, { node: sidecarNode, subscribe: ['b', 'a'] });
    expect((await client.take()).names.toSorted()).toEqual(['a', 'b']);
    harness.source.edit({ upserts: [fake.endpoints('a', '2'), fake.endpoints('c', '2')] });
    expect((await client.take()).names).toEqual(['a']);
    client.request(endpoints, { subscribe: ['c'], unsubscribe: ['a'] });
    expect((await client.take()).names).toEqual(['c']);
    harness.source.edit({ upserts: [fake.endpoints('a', '3'), fake.endpoints('c', '3')] });
    expect((await client.take()).names).toEqual(['c']);
    client.request(endpoints, { subscribe: ['c'] });
    expect((await client.take()).names, 'a name that is subscribed again is sent again').toEqual(['c']);
  });

  it('takes an explicit wildcard and its end', async () => {
    const client = await start({ resources: [fake.endpoints('a'), fake.endpoints('b')] });
    client.request(endpoints, { node: sidecarNode, subscribe: ['*'] });
    expect((await client.take()).names).toEqual(['a', 'b']);
    client.request(endpoints, { subscribe: ['a'], unsubscribe: ['*'] });
    expect((await client.take()).names).toEqual(['a']);
    harness.source.edit({ upserts: [fake.endpoints('b', '2')] });
    await client.silence();
  });

  it('tells of names that do not exist: removed, or without endpoints if the cluster exists', async () => {
    const client = await start({ resources: [fake.cluster('known', '', {})] });
    client.request(secret, { node: sidecarNode, subscribe: ['nothing'] });
    expect(await client.take()).toEqual({ type: 'Secret', names: [], removed: ['nothing'] });
    client.request(endpoints, { subscribe: ['known', 'unknown'] });
    expect(await client.take()).toEqual({
      type: 'ClusterLoadAssignment',
      names: ['known'],
      removed: ['unknown'],
    });
  });

  it('has one response in flight per type, and then sends only the newest', async () => {
    const client = await start({ resources: [fake.listener('l', '1')] });
    client.request(listener, { node: sidecarNode });
    const first = await client.next();
    for (let i = 2; i < 50; i++) harness.source.edit({ upserts: [fake.listener('l', String(i))] });
    await client.silence();
    client.ack(first);
    const second = await client.next();
    expect(Buffer.from(second.resources[0]?.resource?.value ?? []).toString()).toBe('listener l 49');
    client.ack(second);
    await client.silence();
  });

  it('ignores acknowledgements of unknown and of earlier responses', async () => {
    const client = await start({ resources: [fake.listener('l', '1')] });
    client.request(listener, { node: sidecarNode });
    const first = await client.next();
    client.request(listener, { nonce: 'made-up' });
    harness.source.edit({ upserts: [fake.listener('l', '2')] });
    await client.silence();
    client.ack(first);
    client.ack(first);
    const second = await client.next();
    client.ack(first);
    client.nack(first, 'too late');
    harness.source.edit({ upserts: [fake.listener('l', '3')] });
    await client.silence();
    expect(harness.ledger.snapshot()[0]?.types[0]?.state).toBe('STALE');
    client.ack(second);
    expect(brief(await client.next()).names).toEqual(['l']);
    expect(harness.counters.get('nacks Listener')).toBeUndefined();
  });

  it('sends to a client that comes back only what differs from what it holds', async () => {
    const resources = ['a', 'b', 'c'].map((name) => fake.cluster(name, '', {}));
    const client = await start({ resources });
    const versions = { a: resources[0]?.version ?? '', b: 'old', gone: 'x' };
    client.request(cluster, { node: sidecarNode, versions });
    expect((await client.take()).names.toSorted()).toEqual(['b', 'c']);
    const removal = await client.take();
    expect(removal, 'what went meanwhile goes after the grace').toEqual({
      type: 'Cluster',
      names: [],
      removed: ['gone'],
    });
    client.request(endpoints, { subscribe: ['a'], versions: {} });
    expect((await client.take()).names).toEqual(['a']);
  });

  it('sends nothing to a client that comes back and is up to date', async () => {
    const resources = Array.from({ length: 40 }, (_, i) => fake.cluster(`c${i}`, '', {}));
    const points = Array.from({ length: 40 }, (_, i) => fake.endpoints(`c${i}`));
    const client = await start({ resources: [...resources, ...points] });
    const versionsOf = (list: typeof resources) =>
      Object.fromEntries(list.map((resource) => [resource.name, resource.version]));
    client.request(cluster, { node: sidecarNode, versions: versionsOf(resources) });
    client.request(endpoints, { subscribe: points.map((p) => p.name), versions: versionsOf(points) });
    await client.silence();
    expect(harness.ledger.snapshot()[0]?.types.map((type) => [type.state, type.held])).toEqual([
      ['SYNCED', 40],
      ['SYNCED', 40],
    ]);
    harness.source.edit({ upserts: [fake.endpoints('c7', 'moved')] });
    expect((await client.take()).names).toEqual(['c7']);
  });

  it('serves a type on a stream of its own', async () => {
    await start({ resources: [fake.cluster('a')] });
    const client = new DeltaClient(harness.port, {
      path: '/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters',
    });
    clients.push(client);
    client.request(cluster, { node: { id: 'sidecar~10.0.0.2~web-2.default~default.svc.cluster.local' } });
    expect((await client.take()).names).toEqual(['a']);
    expect([...harness.source.proxies.values()].map((proxy) => proxy.vhds)).toEqual([false]);
    client.request(listener);
    expect((await client.trailers).status).toBe('3');
  });

  it('keeps a proxy connected until its last stream ends, and tells unequal ones apart', async () => {
    const client = await start({ resources: [fake.cluster('a')] });
    const second = open();
    const third = open();
    client.request(cluster, { node: sidecarNode });
    second.request(cluster, { node: sidecarNode });
    third.request(cluster, { node: { ...sidecarNode, metadata: { CLUSTER_ID: 'other' } } });
    await Promise.all([client.take(), second.take(), third.take()]);
    expect([...harness.source.proxies.keys()]).toEqual([sidecarNode.id, `${sidecarNode.id}#2`]);
    await client.close();
    harness.source.edit({ upserts: [fake.cluster('a', 'new', {})] });
    expect((await second.take()).names).toEqual(['a']);
    expect((await third.take()).names).toEqual(['a']);
    await second.close();
    await until(() => harness.source.proxies.size === 1);
  });
});
