import { afterEach, expect, test } from 'vitest';
import type { PaceOptions } from '../kit/pace.ts';
import { createEngine, type Engine } from '../snapshot/engine/engine.ts';
import { defineCollection, defineQuery } from '../snapshot/query.ts';
import { testProxy, testResource } from '../snapshot/testing.ts';
import { defineIndex, defineKindToken } from '../snapshot/world.ts';
import { Flusher } from './flusher.ts';

const kind = defineKindToken<string>('flusher-test-item');
const all = defineIndex('flusher-test-items', kind, () => ['']);
const keys = defineQuery('flusher-test-keys', (view) => view.list(all, ''));
const item = defineQuery('flusher-test-item', (view, key: string) => {
  // The kernel counts CPU time in ticks: less than one counts for nothing.
  const { user, system } = process.threadCpuUsage();
  for (let now = { user, system }; now.user + now.system - user - system < 2_000; )
    now = process.threadCpuUsage();
  return testResource('t', key, view.get(kind, key) ?? '');
});
const roots = [defineCollection('flusher-test', keys, item)];

let flusher: Flusher;
let engine: Engine;
let pushes: number;
afterEach(() => flusher.close());

function start(pace: Partial<PaceOptions>, now?: () => number): (value: string, heldUntil?: number) => void {
  engine = createEngine({ roots });
  engine.connect(testProxy('a'));
  pushes = 0;
  engine.onPush(() => pushes++);
  const fail = (error: unknown) => expect.unreachable(String(error));
  flusher = new Flusher(engine, fail, {
    pace: { share: 0.001, freeMs: 0, allowanceMs: 0, maxMs: 600_000, ...pace },
    ...(now ? { now } : {}),
  });
  let revision = 0;
  return (value, heldUntil) => {
    engine.apply([{ kind: kind.name, key: 'a', value }], ++revision);
    flusher.request(heldUntil);
  };
}

const turn = (ms = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('edits one by one are flushed at once', async () => {
  const edit = start({ allowanceMs: 60_000 });
  for (const value of ['1', '2', '3']) {
    edit(value);
    await flusher.settled();
    expect(engine.pending).toBe(false);
  }
  expect(pushes).toBe(3);
});

test('after flushes that took their time what comes is flushed together', async () => {
  const edit = start({});
  edit('1');
  await expect.poll(() => pushes).toBe(1);
  for (const value of ['2', '3', '4']) {
    edit(value);
    await turn();
  }
  expect(pushes).toBe(1);
  expect(engine.pending).toBe(true);
});

test('what waits is flushed when the time has come, and settled() waits for it', async () => {
  const edit = start({ maxMs: 200 });
  edit('1');
  await expect.poll(() => pushes).toBe(1);
  edit('2');
  edit('3');
  await flusher.settled();
  expect(engine.pending).toBe(false);
  expect([...engine.resources(testProxy('a').id, 't').values()].map(({ version }) => version)).toEqual([
    testResource('t', 'a', '3').version,
  ]);
});

test('a hold keeps changes back until its time, or until a request takes it back', async () => {
  const edit = start({ allowanceMs: 60_000 });
  edit('1', Date.now() + 600_000);
  await turn();
  expect(pushes).toBe(0);
  edit('2');
  await flusher.settled();
  expect(pushes).toBe(1);
});

test('a hold ends by its clock, not by the wall', async () => {
  let now = 1_000;
  const edit = start({ allowanceMs: 60_000 }, () => now);
  edit('1', 1_001);
  await turn(100);
  expect(pushes).toBe(0);
  now = 1_001;
  await expect.poll(() => pushes).toBe(1);
});

test('a small change goes at once where nothing waits, else with what waits', async () => {
  const edit = start({ allowanceMs: 60_000 });
  const change = (value: string, revision: number) => () =>
    engine.apply([{ kind: kind.name, key: 'a', value }], revision);
  void flusher.applyNow(change('1', 10));
  expect(pushes).toBe(1);
  edit('2', Date.now() + 30);
  const later = flusher.applyNow(change('3', 12));
  expect(pushes).toBe(1);
  await later;
  expect(pushes).toBe(2);
  expect(engine.pending).toBe(false);
});
