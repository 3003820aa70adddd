import { afterEach, beforeEach, expect, it } from 'vitest';
import { Delivery } from '../../src/control-plane/delivery/delivery.ts';
import { FlushLog } from '../../src/control-plane/delivery/flush-log.ts';
import { RevisionBook } from '../../src/control-plane/delivery/revision-book.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { DeltaClient, type NodeOptions, sidecarNode, sleep } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';

const { listener } = typeUrls;
const second: NodeOptions = { id: 'sidecar~10.0.0.2~web-2.default~default.svc.cluster.local' };

let harness: Harness;
let delivery: Delivery;
let revisions: RevisionBook;
let flushes: FlushLog;
let stops: (() => void)[];
let clients: DeltaClient[];

beforeEach(async () => {
  harness = await startHarness({ resources: [fake.listener('a', '1'), fake.listener('b', '1')] });
  flushes = new FlushLog();
  revisions = new RevisionBook();
  const engine = {
    get revision() {
      return harness.source.revision;
    },
    failures: () => [],
  };
  delivery = new Delivery({ ledger: harness.ledger, flushes, revisions, engine });
  stops = [flushes.follow(harness.source), delivery.follow()];
  clients = [];
});

afterEach(async () => {
  for (const stop of stops) stop();
  for (const client of clients) await client.close();
  await harness.server.stop(100);
});

async function connect(node: NodeOptions): Promise<DeltaClient> {
  const client = new DeltaClient(harness.port);
  clients.push(client);
  client.request(listener, { node });
  await client.take();
  return client;
}

/** A write of the store, ten revisions ahead of the mesh's, that the compile has pushed. */
function edit(body: string, ...names: string[]): number {
  const from = harness.source.revision;
  const to = harness.source.edit({ upserts: names.map((name) => fake.listener(name, body)) });
  revisions.note(to + 10, to);
  flushes.flushed(from, to);
  return to + 10;
}

const ask = (last: number, waitMs = 0) => delivery.report({ first: last, last, waitMs });

it('names who has not answered, and waits until they have', async () => {
  const [one, two] = [await connect(sidecarNode), await connect(second)];
  const last = edit('2', 'a');
  one.ack(await one.next());
  const response = await two.next();
  await sleep(20);
  expect(await ask(last)).toMatchObject({
    compiled: true,
    done: false,
    concerned: 2,
    acknowledged: 1,
    answered: [sidecarNode.id],
    laggards: [{ proxy: second.id, type: 'Listener', reason: 'unanswered' }],
  });
  const [laggard] = (await ask(last)).laggards;
  expect(laggard?.waitedMs).toBeGreaterThanOrEqual(20);
  expect(laggard?.acknowledgedMs).toBeGreaterThanOrEqual(20);
  const waiting = ask(last, 5_000);
  two.ack(response);
  expect(await waiting).toMatchObject({ done: true, concerned: 2, acknowledged: 2, laggards: [] });
});

it('says what was refused, by whom and through which object, also when something else was taken since', async () => {
  const one = await connect(sidecarNode);
  const last = edit('2', 'a');
  one.nack(await one.next(), 'Error adding/updating listener(s) a: address in use');
  one.ack(await one.next());
  const refusal = {
    proxies: [sidecarNode.id],
    type: 'Listener',
    resources: ['a'],
    message: 'Error adding/updating listener(s) a: address in use',
    origins: [{ kind: 'Test', namespace: 'default', name: 'a', path: '' }],
  };
  expect((await ask(last, 5_000)).refusals).toEqual([{ ...refusal, stands: true, isNew: true }]);
  const next = edit('3', 'a');
  one.ack(await one.next());
  expect((await ask(next, 5_000)).refusals).toEqual([]);
  expect((await ask(last, 5_000)).refusals).toEqual([{ ...refusal, stands: false, isNew: true }]);
});

it('does not take a proxy that has just come for one that has answered', async () => {
  const one = await connect(sidecarNode);
  const last = edit('2', 'a');
  one.ack(await one.next());
  await one.close();
  const again = new DeltaClient(harness.port);
  clients.push(again);
  again.request(listener, { node: sidecarNode });
  const first = await again.next();
  expect(await ask(last)).toMatchObject({ done: false, acknowledged: 0 });
  again.ack(first);
  expect(await ask(last, 5_000)).toMatchObject({ done: true, acknowledged: 1 });
});

it('concerns nobody where nothing was sent, and tells of those who left', async () => {
  const one = await connect(sidecarNode);
  revisions.note(harness.source.revision + 10, harness.source.revision);
  expect(await ask(harness.source.revision + 10)).toMatchObject({ done: true, concerned: 0 });
  const last = edit('2', 'b');
  one.ack(await one.next());
  await one.close();
  await expect.poll(() => ask(last)).toMatchObject({ done: true, concerned: 1, acknowledged: 0 });
  expect((await ask(last)).absent).toEqual([sidecarNode.id]);
});

it('says so where the compile has not come so far, and where it no longer knows whom a change concerned', async () => {
  await connect(sidecarNode);
  expect(await ask(1_000_000, 30)).toMatchObject({ compiled: false, done: false });
  const small = new FlushLog(2);
  for (const to of [1, 2, 3, 4]) {
    small.follow({
      onPush: (tell) => {
        const proxies = new Set([`p${to}`]);
        tell({ revision: to, deltas: [{ typeUrl: listener, proxies, upserts: [], removed: [] }] });
        return () => undefined;
      },
    });
    small.flushed(to - 1, to);
  }
  expect(small.concernedBy(1, 1).isKnown).toBe(false);
  expect([...small.concernedBy(3, 4).proxies]).toEqual(['p3', 'p4']);
  expect([...small.concernedBy(4, 4).proxies]).toEqual(['p4']);
});

it('finds the revision of the mesh that holds one of the store', () => {
  const book = new RevisionBook(4);
  for (const source of [3, 5, 8]) book.note(source, source * 10);
  expect([1, 3, 4, 8, 9].map((source) => book.meshRevisionOf(source))).toEqual([30, 30, 50, 80, undefined]);
  for (let source = 10; source < 30; source++) book.note(source, source * 10);
  expect(book.meshRevisionOf(29)).toBe(290);
});
