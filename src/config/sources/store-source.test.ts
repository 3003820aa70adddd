import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type EmbeddedStore, openEmbeddedStore } from '../store/embedded/embedded-store.ts';
import type { ListResult, Store, WatchItem, WatchOptions } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { put, ref, remove, write } from '../testing/store-operations.ts';
import type { ConfigBatch } from './source.ts';
import { StoreSource } from './store-source.ts';

/** Patient, because the machine may be busy. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, 30_000);

let store: EmbeddedStore;
let abort: AbortController;

beforeEach(() => {
  store = openEmbeddedStore({ path: ':memory:', progressMs: 20 });
  abort = new AbortController();
});
afterEach(async () => {
  abort.abort();
  await store.close();
});

function summary(batch: ConfigBatch | undefined) {
  return batch?.changes.map((c) => `${c.object ? '+' : '-'}${c.group}/${c.kind} ${c.key}`);
}

/** The store with a watch that a test can break. */
function breakable(): { store: Store; breakWatch: (error: StoreError) => void; watches: () => number } {
  let fail: (error: StoreError) => void = () => {};
  let watches = 0;
  const watch = async function* (options: WatchOptions): AsyncGenerator<WatchItem> {
    watches++;
    const inner = new AbortController();
    let failure: StoreError | undefined;
    fail = (error) => {
      failure = error;
      inner.abort();
    };
    yield* store.watch({ ...options, signal: AbortSignal.any([options.signal, inner.signal]) });
    if (failure) throw failure;
  };
  const proxy = new Proxy<Store>(store, {
    get: (target, name: keyof Store) =>
      name === 'watch' ? watch : (target[name] as () => unknown).bind(target),
  });
  return { store: proxy, breakWatch: (error) => fail(error), watches: () => watches };
}

function start(over: Store) {
  const batches: ConfigBatch[] = [];
  const problems: (string | undefined)[] = [];
  const source = new StoreSource({ store: over, onProblem: (problem) => problems.push(problem) });
  return { batches, problems, started: source.start((batch) => batches.push(batch), abort.signal) };
}

test('everything first, then one batch per commit', async () => {
  for (let i = 0; i < 1200; i++) await write(store, put(ref(`s${i}`)));
  await write(store, put(ref('n', '', 'nodes')));
  const { batches, started } = start(store);
  await started;
  expect(batches).toHaveLength(1);
  expect(batches[0]).toMatchObject({ initial: true, revision: await store.revision() });
  expect(batches[0]?.changes).toHaveLength(1201);
  const revision = await write(store, put(ref('a')), remove(ref('s0')), remove(ref('n', '', 'nodes')));
  await eventually(() => expect(batches).toHaveLength(2));
  expect(batches[1]).toMatchObject({ initial: false, revision });
  expect(summary(batches[1])).toEqual(['+/Service default/a', '-/Service default/s0', '-/Service /n']);
  expect(batches[1]?.changes[0]?.object).toBe((await store.get(ref('a')))?.object);
});

test('an empty store is an empty first batch', async () => {
  const { batches, started } = start(store);
  await started;
  expect(batches).toEqual([{ initial: true, revision: await store.revision(), changes: [] }]);
});

test('an interrupted watch goes on where it was', async () => {
  const over = breakable();
  const { batches, problems, started } = start(over.store);
  await started;
  await write(store, put(ref('a')));
  await eventually(() => expect(batches).toHaveLength(2));
  over.breakWatch(new StoreError('StoreUnavailable', 'the line is cut'));
  await write(store, put(ref('b')));
  await write(store, put(ref('c')));
  await eventually(() => expect(batches).toHaveLength(4));
  expect(batches.slice(2).map(summary)).toEqual([['+/Service default/b'], ['+/Service default/c']]);
  expect(problems).toEqual([expect.stringContaining('the line is cut'), undefined]);
});

test('where history is gone it lists again and delivers the difference', async () => {
  for (const name of ['same', 'changed', 'gone']) await write(store, put(ref(name)));
  const over = breakable();
  const { batches, started } = start(over.store);
  await started;
  await eventually(() => expect(over.watches()).toBe(1));
  over.breakWatch(new StoreError('WatchOverflow', 'too slow'));
  await write(store, put(ref('changed'), 2), remove(ref('gone')));
  await write(store, put(ref('new')));
  await store.compact(await store.revision());
  await eventually(() => expect(batches).toHaveLength(2));
  expect(summary(batches[1])?.sort()).toEqual([
    '+/Service default/changed',
    '+/Service default/new',
    '-/Service default/gone',
  ]);
  await write(store, remove(ref('same')));
  await eventually(() => expect(summary(batches[2])).toEqual(['-/Service default/same']));
});

test('a first list that fails is tried again, as a whole', async () => {
  for (let i = 0; i < 700; i++) await write(store, put(ref(`s${i}`)));
  // The second page fails: what the first brought must not be taken for delivered.
  let lists = 0;
  const list: Store['list'] = async (options): Promise<ListResult> => {
    lists++;
    if (lists === 2) throw new StoreError('ContinueExpired', 'too late');
    return store.list(options);
  };
  const over = new Proxy<Store>(store, {
    get: (target, name: keyof Store) =>
      name === 'list' ? list : (target[name] as () => unknown).bind(target),
  });
  const { batches, problems, started } = start(over);
  await started;
  expect(lists).toBe(4);
  expect(batches.map((batch) => batch.changes.length)).toEqual([700]);
  await eventually(() => expect(problems).toEqual([expect.stringContaining('too late'), undefined]));
});

test('a closed store ends it', async () => {
  const closed = openEmbeddedStore({ path: ':memory:' });
  await closed.close();
  await expect(start(closed).started).rejects.toMatchObject({ code: 'StoreClosed' });
});
