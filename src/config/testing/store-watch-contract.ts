import { beforeEach, describe, expect, test } from 'vitest';
import type { ConfigObject } from '../object.ts';
import type { Store } from '../store/store.ts';
import {
  codeOf,
  put,
  read,
  ref,
  remove,
  type StoreUnderTest,
  short,
  valueIn,
  write,
} from './store-operations.ts';

/** The part of the store contract about watches. */
export function describeWatches(under: () => StoreUnderTest): void {
  let store: Store;
  beforeEach(() => {
    store = under().store;
  });

  describe('watch', () => {
    test('history and then live, one item per commit, with what was before', async () => {
      const start = await store.revision();
      const one = await write(store, put(ref('a'), 1));
      const two = await write(store, put(ref('a'), 2), put(ref('b'), 1));
      const reading = read(store, { from: start }, 6);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const three = await write(store, remove(ref('a')));
      const four = await write(store, put(ref('a'), 3), remove(ref('b')));
      const items = await reading;
      expect(items.map((item) => [item.revision, item.events.map(short).sort()])).toEqual([
        [one, ['added services/default/a=1']],
        [two, ['added services/default/b=1', 'modified services/default/a=2 (was 1)']],
        [three, ['deleted services/default/a=2 (was 2)']],
        [four, ['added services/default/a=3', 'deleted services/default/b=1 (was 1)']],
      ]);
      for (const { revision, events } of items) {
        for (const event of events) {
          expect(event.revision).toBe(revision);
          expect(event.object.metadata.resourceVersion).toBe(String(revision));
        }
      }
      expect(items[2]?.events[0]?.previous?.metadata.resourceVersion).toBe(String(two));
    });

    test('filters by resource and namespace, and says when it has caught up', async () => {
      const start = await store.revision();
      await write(store, put(ref('a', 'one')), put(ref('a', 'two')), put(ref('p', 'one', 'pods')));
      await write(store, put(ref('p', 'one', 'pods'), 2));
      expect(
        (await read(store, { from: start, resource: 'services' }, 0)).map((i) => i.events.map(short).sort()),
      ).toEqual([['added services/one/a=1', 'added services/two/a=1']]);
      expect(
        (await read(store, { from: start, resource: 'services', namespace: 'two' }, 0))[0]?.events.map(short),
      ).toEqual(['added services/two/a=1']);
      expect(await read(store, { from: start, resource: 'nothing' }, 0)).toEqual([]);
    });

    test('a watcher of something quiet learns how far it is, and resumes from there', async () => {
      const abort = new AbortController();
      const watching = store.watch({
        resource: 'quiet',
        from: await store.revision(),
        signal: abort.signal,
      });
      const target = await write(store, put(ref('a')));
      let reached = 0;
      for await (const item of watching) {
        expect(item.type).toBe('progress');
        reached = item.revision;
        if (reached >= target) break;
        await write(store, put(ref('a'), Math.random()));
      }
      abort.abort();
      expect(reached).toBeGreaterThanOrEqual(target);
      await write(store, put(ref('q', 'default', 'quiet')));
      expect(await read(store, { from: reached, resource: 'quiet' }, 1)).toHaveLength(1);
    });

    test('the signal ends it without an error, before, during and after', async () => {
      const abort = new AbortController();
      const from = await store.revision();
      const ended = (async () => {
        for await (const item of store.watch({ from, signal: abort.signal }))
          expect(item.type).toBe('progress');
        return 'ended';
      })();
      await new Promise((resolve) => setTimeout(resolve, 20));
      abort.abort();
      expect(await ended).toBe('ended');
      for await (const item of store.watch({ from, signal: abort.signal }))
        throw new Error(`unexpected ${item.type}`);
    });

    test('from a compacted or a future revision it is an error', async () => {
      const one = await write(store, put(ref('a'), 1));
      await write(store, put(ref('a'), 2));
      const three = await write(store, put(ref('a'), 3));
      await write(store, put(ref('a'), 4));
      await store.compact(three);
      await store.compact(one);
      expect(await codeOf(read(store, { from: one }, 1))).toBe('RevisionCompacted');
      expect((await read(store, { from: three }, 1))[0]?.events.map(short)).toEqual([
        'modified services/default/a=4 (was 3)',
      ]);
      expect(await codeOf(read(store, { from: (await store.revision()) + 1000 }, 1))).toBe(
        'RevisionInFuture',
      );
      expect(await codeOf(store.compact((await store.revision()) + 1000))).toBe('RevisionInFuture');
    });

    test('compaction forgets deleted objects and keeps what is there', async () => {
      await write(store, put(ref('a'), 1), put(ref('gone'), 1));
      await write(store, put(ref('a'), 2), remove(ref('gone')));
      const last = await write(store, put(ref('b'), 1));
      await store.compact(last);
      expect((await store.list({ resource: 'services' })).items.map((i) => valueIn(i.object))).toEqual([
        2, 1,
      ]);
      expect((await store.list({ resource: 'services', revision: last })).items).toHaveLength(2);
      const after = await write(store, put(ref('gone'), 9));
      expect((await read(store, { from: last }, 1))[0]).toMatchObject({
        revision: after,
        events: [{ type: 'added' }],
      });
    });

    test('a reader that falls behind loses the watch', async () => {
      const from = await store.revision();
      const abort = new AbortController();
      const iterator = store.watch({ from, signal: abort.signal, maxQueued: 10 })[Symbol.asyncIterator]();
      expect((await iterator.next()).value).toMatchObject({ type: 'progress' });
      for (let i = 0; i < 15; i++) await write(store, put(ref('a'), i));
      const drain = async () => {
        for (let i = 0; i < 20; i++) await iterator.next();
      };
      await expect.poll(async () => store.revision()).toBeGreaterThan(from);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await codeOf(drain())).toBe('WatchOverflow');
      abort.abort();
    });

    test('many watchers and writers: everyone sees every commit once, in order, whole', async () => {
      const from = await store.revision();
      const readings = Array.from({ length: 5 }, () => read(store, { from }, 200));
      await Promise.all(
        Array.from({ length: 10 }, async (_, w) => {
          for (let i = 0; i < 10; i++)
            await write(store, put(ref(`w${w}`), i), put(ref(`w${w}`, 'other'), i));
        }),
      );
      readings.push(read(store, { from }, 200));
      const expected = (await store.list({})).items;
      for (const reading of readings) {
        const items = await reading;
        expect(items).toHaveLength(100);
        const state = new Map<string, ConfigObject>();
        let last = from;
        for (const { revision, events } of items) {
          expect(revision).toBeGreaterThan(last);
          last = revision;
          expect(events).toHaveLength(2);
          for (const event of events) {
            const id = `${event.ref.namespace}/${event.ref.name}`;
            expect(event.previous).toEqual(state.get(id));
            state.set(id, event.object);
          }
        }
        for (const item of expected)
          expect(state.get(`${item.ref.namespace}/${item.ref.name}`)).toEqual(item.object);
      }
    });
  });
}
