import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../store/store.ts';
import { describeLists } from './store-list-contract.ts';
import { codeOf, put, read, ref, remove, type StoreUnderTest, valueIn, write } from './store-operations.ts';
import { describeWatches } from './store-watch-contract.ts';
import { describeWrites } from './store-write-contract.ts';

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

    describeWrites(() => under);
    describeLists(() => under);
    describeWatches(() => under);

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
