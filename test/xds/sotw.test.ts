import { afterEach, describe, expect, it } from 'vitest';
import type { DiscoveryResponse } from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { SotwClient, sidecarNode, until } from './fake-envoy.ts';
import { fake, type Harness, type HarnessOptions, startHarness } from './harness.ts';

const { cluster, endpoints, listener, route } = typeUrls;
let harness: Harness;
let client: SotwClient;

async function start(options: HarnessOptions = {}): Promise<void> {
  harness = await startHarness(options);
  client = new SotwClient(harness.port);
}

afterEach(async () => {
  await client.close();
  await harness.server.stop(100);
});

const bodies = (response: DiscoveryResponse): string[] =>
  response.resources.map((resource) => Buffer.from(resource.value).toString().trim());

describe('state-of-the-world streams', () => {
  it('sends all clusters and listeners at every change of one', async () => {
    await start({ resources: [fake.cluster('a', '', {}), fake.cluster('b', '', {})] });
    client.request(cluster, { node: sidecarNode });
    const first = await client.next();
    expect(bodies(first)).toEqual(['cluster a', 'cluster b']);
    expect(first.resources[0]?.typeUrl).toBe(cluster);
    client.ack(first);
    harness.source.edit({ upserts: [fake.cluster('b', '2', {})] });
    const second = await client.next();
    expect(bodies(second)).toEqual(['cluster a', 'cluster b 2']);
    expect(second.versionInfo).not.toBe(first.versionInfo);
    expect([...harness.source.proxies.values()].map((proxy) => proxy.vhds)).toEqual([false]);
  });

  it('sends a state that was refused and taken back, so that its acknowledgement ends the refusal', async () => {
    await start({ resources: [fake.cluster('a', '', {}), fake.cluster('b', '', {})] });
    client.request(cluster, { node: sidecarNode });
    client.ack(await client.next());
    const state = () => harness.ledger.snapshot()[0]?.types[0]?.state;
    harness.source.edit({ upserts: [fake.cluster('b', 'bad', {})] });
    client.onResponse = (response) => {
      if (bodies(response).join().includes('bad'))
        client.request(cluster, { nonce: response.nonce, error: 'b: no' });
      else client.ack(response);
    };
    await until(() => state() === 'NACKED');
    harness.source.edit({ upserts: [fake.cluster('b', '', {})] });
    await until(() => state() === 'SYNCED');
  });

  it('sends of named types what changed or is new among the names', async () => {
    await start({ resources: ['a', 'b', 'c'].map((name) => fake.endpoints(name)) });
    client.request(endpoints, { node: sidecarNode, subscribe: ['a', 'b'] });
    const first = await client.next();
    expect(bodies(first)).toEqual(['endpoints a', 'endpoints b']);
    client.ack(first, ['a', 'b', 'c']);
    const second = await client.next();
    expect(bodies(second)).toEqual(['endpoints c']);
    client.ack(second, ['b', 'c']);
    await client.silence();
    harness.source.edit({ upserts: [fake.endpoints('a', '2'), fake.endpoints('b', '2')] });
    expect(bodies(await client.next())).toEqual(['endpoints b 2']);
  });

  it('tells that a cluster which exists has no endpoints', async () => {
    await start({ resources: [fake.cluster('a'), fake.route('80', { vhds: false })] });
    client.request(endpoints, { node: sidecarNode, subscribe: ['a'] });
    expect(bodies(await client.next())).toEqual(['\u0001a']);
    client.request(route, { subscribe: ['80', 'unknown'] });
    expect((await client.next()).resources.length).toBe(1);
  });

  it('ignores what a client wanted before it saw the response in flight', async () => {
    await start({ resources: ['a', 'b'].map((name) => fake.endpoints(name)) });
    client.request(endpoints, { node: sidecarNode, subscribe: ['a'] });
    const first = await client.next();
    client.ack(first, ['a']);
    harness.source.edit({ upserts: [fake.endpoints('a', '2')] });
    const second = await client.next();
    client.request(endpoints, { nonce: first.nonce, subscribe: ['a', 'b'] });
    await client.silence();
    client.ack(second, ['a', 'b']);
    expect(bodies(await client.next())).toEqual(['endpoints b']);
    expect(harness.counters.get('stale_requests ClusterLoadAssignment')).toBe(1);
  });

  it('answers a client that starts over with a nonce of another stream', async () => {
    await start({ resources: [fake.listener('l')] });
    client.request(listener, { node: sidecarNode, nonce: 'older', version: '7' });
    expect(bodies(await client.next())).toEqual(['listener l']);
  });

  it('keeps a refused cluster at its last good version within the whole', async () => {
    await start({ resources: [fake.cluster('a', '1', {}), fake.cluster('b', '1', {})] });
    client.request(cluster, { node: sidecarNode });
    client.ack(await client.next());
    harness.source.edit({ upserts: [fake.cluster('a', 'bad', {}), fake.cluster('b', '2', {})] });
    const refused = await client.next();
    client.request(cluster, {
      nonce: refused.nonce,
      error: 'Error adding/updating cluster(s) a: no good',
    });
    const repaired = await client.next();
    expect(bodies(repaired)).toEqual(['cluster a 1', 'cluster b 2']);
    client.ack(repaired);
    await client.silence();
    harness.source.edit({ upserts: [fake.cluster('b', '3', {})] });
    const third = await client.next();
    expect(bodies(third)).toEqual(['cluster a 1', 'cluster b 3']);
    client.ack(third);
    harness.source.edit({ upserts: [fake.cluster('a', '4', {})] });
    const fourth = await client.next();
    expect(bodies(fourth)).toEqual(['cluster a 4', 'cluster b 3']);
    client.ack(fourth);
    const { done, rejected } = await harness.ledger.waitFor(harness.source.revision, { timeoutMs: 1_000 });
    expect({ done, rejected }).toEqual({ done: true, rejected: [] });
  });

  it('serves a type on a stream of its own', async () => {
    await start({ resources: [fake.endpoints('a')] });
    const own = new SotwClient(harness.port, {
      path: '/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints',
    });
    own.request('', { node: sidecarNode, subscribe: ['a'] });
    expect(bodies(await own.next())).toEqual(['endpoints a']);
    await own.close();
  });
});
