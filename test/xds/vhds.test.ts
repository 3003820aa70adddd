import { afterEach, describe, expect, it } from 'vitest';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { DeltaClient, sidecarNode } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';

const { route, virtualHost, cluster, listener } = typeUrls;
let harness: Harness;
let client: DeltaClient;

async function start(resources: readonly Resource[], grace = 150): Promise<void> {
  harness = await startHarness({ resources, limits: { removalGraceMs: grace } });
  client = new DeltaClient(harness.port);
}

afterEach(async () => {
  await client.close();
  await harness.server.stop(100);
});

const host = (name: string, body = ''): Resource => fake.host(name, body);

describe('VHDS', () => {
  it('answers the nameless request with the hosts of the route configurations that were sent, in one response', async () => {
    await start([fake.route('80'), fake.route('90'), host('80/a'), host('80/b'), host('90/c'), host('91/d')]);
    client.request(route, { node: sidecarNode, subscribe: ['80', '90'] });
    expect((await client.take()).names.toSorted()).toEqual(['80', '90']);
    client.request(virtualHost);
    expect(await client.take()).toEqual({
      type: 'VirtualHost',
      names: ['80/a', '80/b', '90/c'],
      removed: [],
    });
    await client.silence();
  });

  it('tells of a route configuration without hosts by removing one that never was', async () => {
    await start([fake.route('80'), fake.route('empty'), host('80/a')]);
    client.request(route, { node: sidecarNode, subscribe: ['80', 'empty'] });
    await client.take();
    client.request(virtualHost);
    expect(await client.take()).toEqual({ type: 'VirtualHost', names: ['80/a'], removed: ['empty/none'] });
  });

  it('sends route configuration and hosts, in that order, for one that is subscribed later or again', async () => {
    await start([fake.route('80'), fake.route('90'), host('80/a'), host('90/c')]);
    client.request(route, { node: sidecarNode, subscribe: ['80'] });
    await client.take();
    client.request(virtualHost);
    await client.take();
    client.request(route, { subscribe: ['90'] });
    expect([await client.take(), await client.take()]).toEqual([
      { type: 'RouteConfiguration', names: ['90'], removed: [] },
      { type: 'VirtualHost', names: ['90/c'], removed: [] },
    ]);
    client.request(route, { unsubscribe: ['90'] });
    harness.source.edit({ upserts: [host('90/c', 'unseen')] });
    await client.silence();
    client.request(route, { subscribe: ['90'] });
    expect([await client.take(), await client.take()]).toEqual([
      { type: 'RouteConfiguration', names: ['90'], removed: [] },
      { type: 'VirtualHost', names: ['90/c'], removed: [] },
    ]);
  });

  it('sends one host for an edit, with nothing else', async () => {
    await start([fake.route('80'), host('80/a'), host('80/b')]);
    client.request(route, { node: sidecarNode, subscribe: ['80'] });
    await client.take();
    client.request(virtualHost);
    await client.take();
    harness.source.edit({ upserts: [host('80/b', 'new')] });
    expect((await client.take()).names).toEqual(['80/b']);
    harness.source.edit({ upserts: [host('80/c')], removed: { [virtualHost]: ['80/a'] } });
    expect(await client.take()).toEqual({ type: 'VirtualHost', names: ['80/c'], removed: ['80/a'] });
  });

  it('answers a name that does not exist with its alias and no body', async () => {
    await start([fake.route('80'), host('80/a')]);
    client.request(route, { node: sidecarNode, subscribe: ['80'] });
    await client.take();
    client.request(virtualHost);
    await client.take();
    client.request(virtualHost, { subscribe: ['80/unknown.example'] });
    const response = await client.next();
    expect(response.removedResources).toEqual([]);
    expect(response.resources.map(({ name, aliases, resource }) => ({ name, aliases, resource }))).toEqual([
      { name: '80/unknown.example', aliases: ['80/unknown.example'], resource: undefined },
    ]);
  });

  it('after a reconnect sends the changed hosts of held configurations and all hosts of others', async () => {
    const kept = fake.route('80');
    const same = host('80/a');
    const ofOther = host('90/c');
    await start([kept, fake.route('90'), same, host('80/b', 'changed'), ofOther]);
    client.request(cluster, { node: sidecarNode });
    await client.take();
    client.request(route, { subscribe: ['80'], versions: { '80': kept.version } });
    client.request(virtualHost, {
      versions: { '80/a': same.version, '80/b': 'old', '80/gone': 'x', '90/c': ofOther.version },
    });
    expect(await client.take()).toEqual({ type: 'VirtualHost', names: ['80/b'], removed: ['80/gone'] });
    await client.silence();
    client.request(route, { subscribe: ['90'] });
    expect([await client.take(), await client.take()]).toEqual([
      { type: 'RouteConfiguration', names: ['90'], removed: [] },
      { type: 'VirtualHost', names: ['90/c'], removed: [] },
    ]);
  });

  it('after a reconnect sends all hosts after a route configuration that changed meanwhile', async () => {
    const same = host('80/a');
    await start([fake.route('80'), same]);
    client.request(route, { node: sidecarNode, subscribe: ['80'], versions: { '80': 'old' } });
    client.request(virtualHost, { versions: { '80/a': same.version } });
    expect([await client.take(), await client.take()]).toEqual([
      { type: 'RouteConfiguration', names: ['80'], removed: [] },
      { type: 'VirtualHost', names: ['80/a'], removed: [] },
    ]);
  });

  it('keeps the hosts of a route configuration that goes until its listener is gone and the grace over', async () => {
    await start([fake.listener('l'), fake.route('80'), host('80/a')], 600);
    client.request(listener, { node: sidecarNode });
    await client.take();
    client.request(route, { subscribe: ['80'] });
    await client.take();
    client.request(virtualHost);
    await client.take();
    harness.source.edit({ removed: { [listener]: ['l'], [route]: ['80'], [virtualHost]: ['80/a'] } });
    expect(await client.take()).toEqual({ type: 'Listener', names: [], removed: ['l'] });
    await client.silence(100);
    const later = [await client.take(), await client.take()];
    expect(later).toEqual([
      { type: 'RouteConfiguration', names: [], removed: ['80'] },
      { type: 'VirtualHost', names: [], removed: ['80/a'] },
    ]);
  });
});
