// How soon the next response follows: by how long the client took to answer the last ones.
import { afterEach, describe, expect, it } from 'vitest';
import type { PaceOptions } from '../../src/kit/pace.ts';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { brief, DeltaClient, sidecarNode, sleep } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';

const { cluster, route, virtualHost } = typeUrls;
let harness: Harness;
let client: DeltaClient;

/** A client with two hosts that has just taken its time to answer for the second. */
async function startSlow(pace: Partial<PaceOptions>): Promise<void> {
  harness = await startHarness({
    resources: [fake.cluster('c'), fake.route('80'), host('a')],
    limits: { pace: { share: 0.001, freeMs: 0, allowanceMs: 0, maxMs: 600_000, ...pace } },
  });
  client = new DeltaClient(harness.port);
  client.request(cluster, { node: sidecarNode });
  await client.take();
  client.request(route, { subscribe: ['80'] });
  await client.take();
  client.request(virtualHost);
  await answerSlowly();
}

async function answerSlowly(): Promise<void> {
  const response = await client.next();
  await sleep(30);
  client.ack(response);
  // Answered on the same stream after the acknowledgement: the server has read that.
  harness.source.edit({ upserts: [fake.cluster('c', String(Math.random()))] });
  expect((await client.take()).type).toBe('Cluster');
}

afterEach(async () => {
  await client.close();
  await harness.server.stop(100);
});

const host = (name: string, body = ''): Resource => fake.host(`80/${name}`, body);

describe('the pace', () => {
  it('holds back the hosts of a slow client, and nothing else', async () => {
    await startSlow({});
    for (const name of ['b', 'c', 'd']) harness.source.edit({ upserts: [host(name)] });
    await client.silence();
    harness.source.edit({ upserts: [fake.cluster('new'), host('e', 'to new')] });
    expect(await client.take()).toEqual({ type: 'Cluster', names: ['new'], removed: [] });
    await client.silence();
    const result = await harness.ledger.waitFor(harness.source.revision, { timeoutMs: 50 });
    expect(result).toMatchObject({ done: false, waiting: [sidecarNode.id] });
  });

  it('brings what came meanwhile in one response, as it stands by then', async () => {
    await startSlow({ maxMs: 300 });
    const sentBefore = client.responses.length;
    harness.source.edit({ upserts: [host('b'), host('c')] });
    await sleep(5);
    harness.source.edit({ upserts: [host('b', 'newer'), host('d')], removed: { [virtualHost]: ['80/a'] } });
    await sleep(5);
    harness.source.edit({ removed: { [virtualHost]: ['80/c'] } });
    const revision = harness.source.revision;
    const response = await client.next();
    client.ack(response);
    expect(await harness.ledger.waitFor(revision, { timeoutMs: 5_000 })).toMatchObject({ done: true });
    // On a machine that stands still for long the first edits may have gone alone.
    if (client.responses.length === sentBefore + 1) {
      const { names, removed } = brief(response);
      expect(names.toSorted()).toEqual(['80/b', '80/d']);
      expect(removed).toContain('80/a');
    }
    const held = harness.ledger
      .held(sidecarNode.id as string)
      ?.find(({ typeUrl }) => typeUrl === virtualHost);
    expect(held?.resources.map(({ name }) => name)).toEqual(['80/b', '80/d']);
  });

  it('lets edits pass at once as long as the client has time left for them', async () => {
    await startSlow({ allowanceMs: 60_000 });
    for (const name of ['b', 'c', 'd']) {
      harness.source.edit({ upserts: [host(name)] });
      await answerSlowly();
    }
  });
});
