import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConfigObject } from '../object.ts';
import type {
  ObjectRef,
  Store,
  StoreErrorCode,
  StoreEvent,
  WatchItem,
  WatchOptions,
  WriteOp,
} from '../store/store.ts';

/** How the contract tests get at an implementation. Each test works on an empty store. */
export interface StoreUnderTest {
  store: Store;
  /** Another handle on the same data, after the first was closed; absent where nothing outlives the handle. */
  reopen?: () => Promise<Store>;
  dispose: () => Promise<void>;
}

export function ref(name: string, namespace = 'default', resource = 'services'): ObjectRef {
  return { resource, namespace, name };
}

export function put(target: ObjectRef, value: unknown = 1, expected?: number): WriteOp {
  const object: ConfigObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: target.name, ...(target.namespace === '' ? {} : { namespace: target.namespace }) },
    spec: { value },
  };
  return { type: 'put', ref: target, object, ...(expected === undefined ? {} : { expect: expected }) };
}

export function remove(target: ObjectRef, expected?: number): WriteOp {
  return { type: 'delete', ref: target, ...(expected === undefined ? {} : { expect: expected }) };
}

/** Commits and returns the revision; fails the test on a conflict. */
export async function write(store: Store, ...ops: WriteOp[]): Promise<number> {
  const result = await store.commit(ops);
  if (!result.ok) throw new Error(`unexpected conflict at operation ${result.conflict.index}`);
  return result.revision;
}

async function codeOf(work: Promise<unknown>): Promise<StoreErrorCode | 'no error'> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return (error as { code: StoreErrorCode }).code;
  }
}

function valueIn(object: ConfigObject | undefined): unknown {
  return (object?.spec as { value: unknown } | undefined)?.value;
}

function short(event: StoreEvent): string {
  const previous = event.previous === undefined ? '' : ` (was ${valueIn(event.previous)})`;
  return `${event.type} ${event.ref.resource}/${event.ref.namespace}/${event.ref.name}=${valueIn(event.object)}${previous}`;
}

/** Reads a watch until `count` events came (or, with 0, until it has caught up). */
async function read(
  store: Store,
  options: Omit<WatchOptions, 'signal'>,
  count: number,
): Promise<Extract<WatchItem, { type: 'events' }>[]> {
  const abort = new AbortController();
  const items: Extract<WatchItem, { type: 'events' }>[] = [];
  let events = 0;
  for await (const item of store.watch({ ...options, signal: abort.signal })) {
    if (item.type === 'events') {
      items.push(item);
      events += item.events.length;
    }
    if (count === 0 ? item.type === 'progress' : events >= count) break;
  }
  abort.abort();
  return items;
}

/** What every store promises, whatever it is made of. */
export function describeStoreContract(
  name: string,
  open: () => Promise<StoreUnderTest>,
  options = { durable: true },
): void {
  describe(`${name}: the store contract`, () => {
    let under: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(() => under.dispose());

    describe('commit and get', () => {
      test('what was written is read, with its revision', async () => {
        const before = await store.revision();
        const revision = await write(store, put(ref('a')));
        expect(revision).toBeGreaterThan(before);
        expect(await store.revision()).toBe(revision);
        const found = await store.get(ref('a'));
        expect(found).toMatchObject({ revision, ref: ref('a') });
        expect(found?.object.metadata).toEqual({
          name: 'a',
          namespace: 'default',
          resourceVersion: String(revision),
        });
        expect(await store.get(ref('a', 'other'))).toBeUndefined();
        expect(await store.get(ref('a', 'default', 'pods'))).toBeUndefined();
      });

      test('every commit has a revision above all before, also after all was deleted', async () => {
        let last = await store.revision();
        for (let i = 0; i < 5; i++) {
          for (const op of [put(ref('a'), i), remove(ref('a'))]) {
            const revision = await write(store, op);
            expect(revision).toBeGreaterThan(last);
            last = revision;
          }
        }
        expect((await store.list({ resource: 'services' })).items).toEqual([]);
      });

      test('a transaction is one revision', async () => {
        await write(store, put(ref('gone')));
        const revision = await write(
          store,
          put(ref('a')),
          put(ref('b', '', 'namespaces')),
          remove(ref('gone')),
        );
        expect((await store.get(ref('a')))?.revision).toBe(revision);
        expect((await store.get(ref('b', '', 'namespaces')))?.revision).toBe(revision);
        expect(await store.get(ref('gone'))).toBeUndefined();
      });

      test('preconditions', async () => {
        const first = await write(store, put(ref('a'), 1, 0));
        const twice = await store.commit([put(ref('b')), put(ref('a'), 2, 0)]);
        expect(twice).toMatchObject({ ok: false, conflict: { index: 1, current: { revision: first } } });
        expect(await store.get(ref('b'))).toBeUndefined();
        expect(await store.revision()).toBe(first);

        const second = await write(store, put(ref('a'), 2, first));
        expect(await store.commit([put(ref('a'), 3, first)])).toMatchObject({
          ok: false,
          conflict: { index: 0, current: { revision: second, object: { spec: { value: 2 } } } },
        });
        expect(await store.commit([remove(ref('a'), first)])).toMatchObject({
          ok: false,
          conflict: { index: 0 },
        });
        expect(await store.commit([remove(ref('never'), first)])).toEqual({
          ok: false,
          conflict: { index: 0, current: undefined },
        });
        await write(store, remove(ref('a'), second));
        expect(await store.commit([put(ref('a'), 4, second)])).toEqual({
          ok: false,
          conflict: { index: 0, current: undefined },
        });
        await write(store, put(ref('a'), 4, 0));
      });

      test('of several failed preconditions the first is named', async () => {
        await write(store, put(ref('a')));
        const result = await store.commit([put(ref('x')), put(ref('a'), 2, 0), put(ref('b'), 1, 77)]);
        expect(result).toMatchObject({ ok: false, conflict: { index: 1 } });
      });

      test('a commit that changes nothing succeeds with the newest revision', async () => {
        const revision = await write(store, put(ref('a')));
        expect(await store.commit([])).toEqual({ ok: true, revision });
        expect(await store.commit([remove(ref('never'))])).toEqual({ ok: true, revision });
        expect(await store.commit([remove(ref('never'), 0)])).toEqual({ ok: true, revision });
        expect(await store.revision()).toBe(revision);
      });

      test('of writers racing for one object exactly one wins', async () => {
        const base = await write(store, put(ref('a'), 0));
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, i) => store.commit([put(ref('a'), i, base)])),
        );
        expect(results.filter((result) => result.ok)).toHaveLength(1);
      });

      test('what is handed out is frozen, and what was given stays the caller’s', async () => {
        const op = put(ref('a'), { deep: [1] });
        if (op.type !== 'put') throw new Error('unreachable');
        const committing = store.commit([op]);
        (op.object.spec as { value: unknown }).value = 'changed after the call';
        await committing;
        const found = await store.get(ref('a'));
        expect(valueIn(found?.object)).toEqual({ deep: [1] });
        expect(op.object.metadata.resourceVersion).toBeUndefined();
        expect(() => {
          (valueIn(found?.object) as { deep: number[] }).deep.push(2);
        }).toThrow(TypeError);
      });

      test('any text survives', async () => {
        const value = {
          'key "\\/\u2028': 'ünï 🦊 \u0000 \ud83e\udd8a',
          'a.b/c': [null, true, 1.5, -0.1, 1e21, ''],
        };
        await write(store, put(ref('a'), value));
        expect(valueIn((await store.get(ref('a')))?.object)).toEqual(value);
      });

      test('an object over the limit is refused and changes nothing', async () => {
        const large = 'x'.repeat(1.5 * 1024 * 1024);
        expect(await codeOf(store.commit([put(ref('b')), put(ref('a'), large)]))).toBe('ObjectTooLarge');
        expect(await store.get(ref('b'))).toBeUndefined();
        await write(store, put(ref('a'), 'x'.repeat(1.2 * 1024 * 1024)));
        expect(await store.get(ref('a'))).toBeDefined();
      });

      test('bad requests', async () => {
        for (const bad of [
          ref(''),
          ref('a/b'),
          ref('ä'),
          ref('a', 'x/y'),
          ref('a', 'b', ''),
          ref('a', 'b', 'X'),
        ]) {
          expect(await codeOf(store.commit([put(bad)]))).toBe('RequestInvalid');
          expect(await codeOf(store.get(bad))).toBe('RequestInvalid');
        }
        expect(await codeOf(store.commit([put(ref('a')), remove(ref('a'))]))).toBe('RequestInvalid');
        const cyclic: Record<string, unknown> = {};
        cyclic.self = cyclic;
        expect(await codeOf(store.commit([put(ref('a'), cyclic)]))).toBe('RequestInvalid');
      });
    });

    describe('list', () => {
      const names = async (options: Parameters<Store['list']>[0]) =>
        (await store.list(options)).items.map((item) => `${item.ref.namespace}/${item.ref.name}`);

      test('by resource and namespace, in order', async () => {
        await write(
          store,
          put(ref('b', 'one')),
          put(ref('a', 'one')),
          put(ref('c', 'one-more')),
          put(ref('d', '', 'nodes')),
        );
        await write(store, put(ref('x', 'one', 'services.example.com')), put(ref('y', 'one', 'pods')));
        expect(await names({ resource: 'services' })).toEqual(['one-more/c', 'one/a', 'one/b']);
        expect(await names({ resource: 'services', namespace: 'one' })).toEqual(['one/a', 'one/b']);
        expect(await names({ resource: 'services', namespace: 'on' })).toEqual([]);
        expect(await names({ resource: 'nodes', namespace: '' })).toEqual(['/d']);
        expect(await names({ resource: 'nothing' })).toEqual([]);
        const everything = await store.list({});
        const inServices = everything.items.filter((item) => item.ref.resource === 'services');
        expect(inServices.map((item) => item.ref.name)).toEqual(['c', 'a', 'b']);
        expect(everything.items.map((item) => `${item.ref.resource}/${item.ref.name}`).sort()).toEqual([
          'nodes/d',
          'pods/y',
          'services.example.com/x',
          'services/a',
          'services/b',
          'services/c',
        ]);
        expect(everything.revision).toBe(await store.revision());
        expect(await codeOf(store.list({ namespace: 'one' }))).toBe('RequestInvalid');
      });

      test('pages stay at the first page’s revision, whatever is written meanwhile', async () => {
        for (let i = 0; i < 7; i++) await write(store, put(ref(`s${i}`), 'old'));
        const first = await store.list({ resource: 'services', limit: 3 });
        expect(first).toMatchObject({ remaining: 4 });
        await write(store, put(ref('s4'), 'new'), remove(ref('s5')), put(ref('s35'), 'new'));
        await write(store, put(ref('s0'), 'new'), remove(ref('s1')));
        const seen = [...first.items];
        let token = first.continue;
        for (let pages = 0; token !== undefined && pages < 5; pages++) {
          const page = await store.list({ resource: 'services', limit: 3, continue: token });
          expect(page.revision).toBe(first.revision);
          seen.push(...page.items);
          token = page.continue;
        }
        expect(seen.map((item) => `${item.ref.name} ${valueIn(item.object)}`)).toEqual(
          Array.from({ length: 7 }, (_, i) => `s${i} old`),
        );
        const exact = await store.list({ resource: 'services', revision: first.revision });
        expect(exact.items).toEqual(seen);
        expect(exact.continue).toBeUndefined();
        expect(await names({ resource: 'services' })).toEqual(
          ['s0', 's2', 's3', 's35', 's4', 's6'].map((n) => `default/${n}`),
        );
      });

      test('pages over namespaces and over everything', async () => {
        for (const n of ['a', 'b'])
          for (let i = 0; i < 3; i++) await write(store, put(ref(`s${i}`, n)), put(ref(`p${i}`, n, 'pods')));
        for (const [options, count] of [
          [{ resource: 'services', namespace: 'b' }, 3],
          [{ resource: 'services' }, 6],
          [{}, 12],
        ] as const) {
          const seen = new Set<string>();
          let token: string | undefined;
          let expected = count as number;
          do {
            const page = await store.list({ ...options, limit: 2, ...(token ? { continue: token } : {}) });
            expected -= page.items.length;
            expect(page.remaining ?? 0).toBe(expected);
            for (const item of page.items)
              seen.add(`${item.ref.resource}/${item.ref.namespace}/${item.ref.name}`);
            token = page.continue;
          } while (token !== undefined && seen.size <= count);
          expect(seen.size).toBe(count);
        }
      });

      test('a past revision shows the past; a future or compacted one is an error', async () => {
        const one = await write(store, put(ref('a'), 1));
        const two = await write(store, put(ref('a'), 2), put(ref('b'), 1));
        const three = await write(store, remove(ref('a')));
        const state = async (revision: number) =>
          (await store.list({ resource: 'services', revision })).items.map(
            (i) => `${i.ref.name}=${valueIn(i.object)}`,
          );
        expect(await state(one)).toEqual(['a=1']);
        expect(await state(two)).toEqual(['a=2', 'b=1']);
        expect(await state(three)).toEqual(['b=1']);
        expect(await codeOf(store.list({ resource: 'services', revision: three + 1000 }))).toBe(
          'RevisionInFuture',
        );
        const token = (await store.list({ resource: 'services', limit: 1, revision: two }))
          .continue as string;
        await store.compact(three);
        expect(await state(three)).toEqual(['b=1']);
        expect(await codeOf(store.list({ resource: 'services', revision: two }))).toBe('RevisionCompacted');
        expect(await codeOf(store.list({ resource: 'services', limit: 1, continue: token }))).toBe(
          'ContinueExpired',
        );
      });

      test('continue tokens that are none', async () => {
        await write(store, put(ref('a')), put(ref('b')));
        const { continue: token } = await store.list({ resource: 'services', limit: 1 });
        for (const bad of ['', 'x', Buffer.from('[1]').toString('base64url'), `${token}x`.slice(5)]) {
          expect(await codeOf(store.list({ resource: 'services', continue: bad }))).toBe('RequestInvalid');
        }
        expect(await codeOf(store.list({ resource: 'pods', continue: token as string }))).toBe(
          'RequestInvalid',
        );
      });
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
          (await read(store, { from: start, resource: 'services' }, 0)).map((i) =>
            i.events.map(short).sort(),
          ),
        ).toEqual([['added services/one/a=1', 'added services/two/a=1']]);
        expect(
          (await read(store, { from: start, resource: 'services', namespace: 'two' }, 0))[0]?.events.map(
            short,
          ),
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

    describe('closing', () => {
      test('watches end with StoreClosed, writes under way finish, later calls fail', async () => {
        const from = await store.revision();
        const watching = codeOf(read(store, { from }, 1000));
        await new Promise((resolve) => setTimeout(resolve, 20));
        const writing = store.commit([put(ref('a'))]);
        await Promise.all([store.close(), store.close()]);
        expect(await writing).toMatchObject({ ok: true });
        expect(await watching).toBe('StoreClosed');
        for (const call of [
          () => store.get(ref('a')),
          () => store.commit([]),
          () => store.list({}),
          () => store.revision(),
        ]) {
          expect(await codeOf(call())).toBe('StoreClosed');
        }
      });

      if (options.durable)
        test('another handle finds everything, history included', async () => {
          if (!under.reopen) throw new Error('a durable store can be opened again');
          const start = await store.revision();
          await write(store, put(ref('a'), 1));
          await write(store, put(ref('a'), 2), put(ref('b'), 1));
          const old = await store.revision();
          const last = await write(store, remove(ref('b')));
          await store.close();
          const again = await under.reopen();
          expect(await again.revision()).toBe(last);
          expect((await again.list({})).items.map((i) => [i.ref.name, valueIn(i.object)])).toEqual([
            ['a', 2],
          ]);
          expect((await again.list({ resource: 'services', revision: old })).items).toHaveLength(2);
          expect(await read(again, { from: start }, 4)).toHaveLength(3);
          expect(await write(again, put(ref('c')))).toBeGreaterThan(last);
          await again.close();
        });
    });
  });
}
