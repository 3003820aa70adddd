import { afterEach, describe, expect, it } from 'vitest';
import { typeUrls } from '../../src/snapshot/resource.ts';
import type { RecoveredEvent, RejectedEvent } from '../../src/xds/ledger.ts';
import { brief, DeltaClient, sidecarNode, until } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';

const { listener } = typeUrls;
let harness: Harness;
let client: DeltaClient;
let rejected: RejectedEvent[];
let recovered: RecoveredEvent[];

async function start(goneGraceMs?: number): Promise<void> {
  harness = await startHarness({
    resources: ['a', 'b', 'c', 'd'].map((name) => fake.listener(name, '1')),
    ...(goneGraceMs === undefined ? {} : { goneGraceMs }),
  });
  rejected = [];
  recovered = [];
  harness.ledger.onRejected((event) => rejected.push(event));
  harness.ledger.onRecovered((event) => recovered.push(event));
  client = new DeltaClient(harness.port);
  client.request(listener, { node: sidecarNode });
  await client.take();
}

afterEach(async () => {
  await client.close();
  await harness.server.stop(100);
});

const edit = (body: string, ...names: string[]): number =>
  harness.source.edit({ upserts: names.map((name) => fake.listener(name, body)) });

const state = (): string | undefined => harness.ledger.snapshot()[0]?.types[0]?.state;

describe('rejections', () => {
  it('sends the good ones again, and the last good version of the bad that the message names', async () => {
    await start();
    edit('2', 'a', 'b', 'c');
    client.nack(await client.next(), 'Error adding/updating listener(s) b: address in use');
    const again = await client.next();
    expect(brief(again).names.toSorted()).toEqual(['a', 'b', 'c']);
    const bodies = Object.fromEntries(
      again.resources.map(({ name, resource }) => [name, Buffer.from(resource?.value ?? []).toString()]),
    );
    expect(bodies).toEqual({ a: 'listener a 2', b: 'listener b 1', c: 'listener c 2' });
    client.ack(again);
    await client.silence();
    expect(state()).toBe('NACKED');
    expect(rejected).toEqual([
      {
        proxyId: sidecarNode.id,
        typeUrl: listener,
        resources: ['b'],
        message: 'Error adding/updating listener(s) b: address in use',
        origins: [{ kind: 'Test', namespace: 'default', name: 'b', path: '' }],
        details: [expect.objectContaining({ name: 'b', version: fake.listener('b', '2').version })],
      },
    ]);
    expect(recovered).toEqual([]);
  });

  it('forgets what a proxy refused that left for good', async () => {
    await start(50);
    edit('2', 'b');
    client.nack(await client.next(), 'listener b: address in use');
    await until(() => rejected.length === 1);
    await client.close();
    await until(() => recovered.length > 0);
    expect(recovered).toEqual([{ proxyId: sidecarNode.id, typeUrl: listener, resources: ['b'] }]);
  });

  it('forgets nothing of a proxy that comes back and refuses it again; what it takes then is over', async () => {
    await start(3_000);
    edit('2', 'b', 'c');
    client.nack(await client.next(), 'b and c: address in use');
    client.ack(await client.next());
    await until(() => rejected.flatMap(({ resources }) => resources).length === 2);
    await client.close();
    client = new DeltaClient(harness.port);
    client.request(listener, { node: sidecarNode });
    // Now c is taken.
    client.nack(await client.next(), 'listener b: address in use');
    client.ack(await client.next());
    await until(() => recovered.length > 0);
    expect(recovered).toEqual([{ proxyId: sidecarNode.id, typeUrl: listener, resources: ['c'] }]);
    expect(state()).toBe('NACKED');
  });

  it('does not send a refused version again, and recovers with a newer one', async () => {
    await start();
    edit('2', 'b');
    client.nack(await client.next(), 'b: no');
    expect((await client.take()).names).toEqual(['b']);
    edit('2', 'b');
    await client.silence();
    edit('3', 'b');
    expect((await client.take()).names).toEqual(['b']);
    await until(() => state() === 'SYNCED');
    expect(recovered).toEqual([{ proxyId: sidecarNode.id, typeUrl: listener, resources: ['b'] }]);
  });

  it('recovers when the edit is taken back, and when the resource goes', async () => {
    await start();
    edit('2', 'b', 'c');
    client.nack(await client.next(), 'b: no; c: neither');
    expect((await client.take()).names.toSorted()).toEqual(['b', 'c']);
    await until(() => state() === 'NACKED');
    edit('1', 'b');
    expect((await client.take()).names).toEqual(['b']);
    await until(() => recovered.length === 1);
    expect(recovered).toEqual([{ proxyId: sidecarNode.id, typeUrl: listener, resources: ['b'] }]);
    harness.source.edit({ removed: { [listener]: ['c'] } });
    await client.take();
    await until(() => state() === 'SYNCED');
    expect(recovered.at(-1)?.resources).toEqual(['c']);
    await client.silence();
  });

  it('finds the bad one by halves when the message names none, in few responses', async () => {
    await start();
    const names = Array.from({ length: 32 }, (_, i) => `n${i}`);
    let responses = 0;
    client.onResponse = (response) => {
      responses++;
      if (response.resources.some(({ name }) => name === 'n13')) client.nack(response, 'something is wrong');
      else client.ack(response);
    };
    edit('2', ...names);
    await until(() => state() === 'NACKED' && harness.ledger.snapshot()[0]?.types[0]?.held === 35);
    expect(rejected.map((event) => event.resources)).toEqual([['n13']]);
    expect(responses).toBeLessThan(14);
  });

  it('gives up the search of a client that refuses everything', async () => {
    await start();
    let responses = 0;
    client.onResponse = (response) => {
      responses++;
      client.nack(response, 'no');
    };
    edit('2', ...Array.from({ length: 200 }, (_, i) => `n${i}`));
    await until(() => rejected.flatMap((event) => event.resources).length >= 200);
    const seen = responses;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(responses).toBe(seen);
    expect(responses).toBeLessThan(110);
  });

  it('forgets a rejection when the resource goes', async () => {
    await start();
    edit('bad', 'e');
    client.nack(await client.next(), 'e: no');
    await until(() => state() === 'NACKED');
    harness.source.edit({ removed: { [listener]: ['e'] } });
    expect((await client.take()).removed).toEqual(['e']);
    await until(() => state() === 'SYNCED');
    expect(recovered.map((event) => event.resources)).toEqual([['e']]);
  });

  it('answers a wait with what is refused', async () => {
    await start();
    const revision = edit('bad', 'b');
    const waiting = harness.ledger.waitFor(revision, { timeoutMs: 2_000 });
    client.nack(await client.next(), 'b: no');
    await client.take();
    expect(await waiting).toMatchObject({ done: true, waiting: [], rejected: [{ resources: ['b'] }] });
  });
});

describe('the ledger', () => {
  it('tells what is sent, answered and held, and waits for it', async () => {
    await start();
    await until(() => state() === 'SYNCED');
    const first = harness.ledger.snapshot()[0];
    expect(first).toMatchObject({ proxyId: sidecarNode.id, namespace: 'default', protocol: 'delta' });
    expect(first?.types[0]).toMatchObject({ typeUrl: listener, state: 'SYNCED', held: 4 });
    const revision = edit('2', 'a');
    const response = await client.next();
    expect(state()).toBe('STALE');
    expect(await harness.ledger.waitFor(revision, { timeoutMs: 30 })).toMatchObject({
      done: false,
      waiting: [sidecarNode.id],
    });
    expect(
      await harness.ledger.waitFor(revision, { timeoutMs: 30, proxies: new Set(['another']) }),
    ).toMatchObject({ done: true });
    const waiting = harness.ledger.waitFor(revision, { timeoutMs: 2_000 });
    client.ack(response);
    expect(await waiting).toEqual({ done: true, waiting: [], rejected: [] });
    const type = harness.ledger.snapshot()[0]?.types[0];
    expect(type?.acknowledged).toMatchObject({ nonce: response.nonce, revision });
    const held = harness.ledger.held(sidecarNode.id as string);
    expect(held?.[0]?.resources.map((resource) => resource.name)).toEqual(['a', 'b', 'c', 'd']);
    expect(held?.[0]?.resources[0]?.version).toBe(fake.listener('a', '2').version);
    expect(harness.ledger.held('another')).toBeUndefined();
  });

  it('waits for a revision that is still to come, and no longer for a proxy that leaves', async () => {
    await start();
    const waiting = harness.ledger.waitFor(harness.source.revision + 1, { timeoutMs: 2_000 });
    await client.silence(20);
    edit('2', 'a');
    await client.next();
    await client.close();
    expect(await waiting).toMatchObject({ done: true });
    expect(await harness.ledger.waitFor(harness.source.revision + 5, { timeoutMs: 20 })).toMatchObject({
      done: false,
      waiting: [],
    });
  });

  it('calls a type that was asked for and never answered NOT SENT', async () => {
    await start();
    client.request(typeUrls.secret, {});
    await until(() => harness.ledger.snapshot()[0]?.types.length === 2);
    expect(harness.ledger.snapshot()[0]?.types[0]).toMatchObject({ state: 'NOT SENT', held: 0 });
  });
});

it('sends a refused secret once more, until it is taken: the files that it names may have come', async () => {
  harness = await startHarness({
    resources: ['a', 'b'].map((name) => fake.secret(name, '1')),
    limits: { secretRetry: { initialMs: 20, maxMs: 40 } },
  });
  const told: string[] = [];
  const note = (kind: string) => (event: RejectedEvent | RecoveredEvent) =>
    told.push(`${kind} ${event.resources.join()}`);
  harness.ledger.onRejected(note('refused'));
  harness.ledger.onRecovered(note('taken'));
  client = new DeltaClient(harness.port);
  client.request(typeUrls.secret, { node: sidecarNode, subscribe: ['a', 'b'] });
  const message = 'Invalid path';
  client.nack(await client.next(), message);
  for (const name of ['a', 'b']) {
    const half = await client.next();
    expect(brief(half).names).toEqual([name]);
    if (name === 'a') client.ack(half);
    else client.nack(half, message);
  }
  for (let attempt = 0; attempt < 3; attempt++) {
    const again = await client.next();
    expect(brief(again).names).toEqual(['b']);
    expect(state()).toBe('NACKED');
    client.nack(again, message);
  }
  expect(told, 'what is refused as before is told once').toEqual(['refused b']);
  client.ack(await client.next());
  await until(() => told.length > 1);
  expect(told).toEqual(['refused b', 'taken b']);
  expect(state()).toBe('SYNCED');
  await client.silence(150);
});
