import { beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../store/store.ts';
import { codeOf, put, ref, remove, type StoreUnderTest, valueIn, write } from './store-operations.ts';

/** The part of the store contract about lists. */
export function describeLists(under: () => StoreUnderTest): void {
  let store: Store;
  beforeEach(() => {
    store = under().store;
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
      const token = (await store.list({ resource: 'services', limit: 1, revision: two })).continue as string;
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
}
