import { beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../store/store.ts';
import { codeOf, put, ref, remove, type StoreUnderTest, valueIn, write } from './store-operations.ts';

/** The part of the store contract about commits and reads of one object. */
export function describeWrites(under: () => StoreUnderTest): void {
  let store: Store;
  beforeEach(() => {
    store = under().store;
  });

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
}
