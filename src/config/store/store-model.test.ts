import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { findEtcd, type RunningEtcd, startEtcd } from '../../../test/support/etcd.ts';
import { testStoreModel } from '../testing/store-model.ts';
import { openEmbeddedStore } from './embedded/embedded-store.ts';
import { EtcdStore } from './etcd/etcd-store.ts';

const progressMs = 5;

testStoreModel(
  'embedded, in memory',
  async () => {
    const store = openEmbeddedStore({ path: ':memory:', progressMs });
    return { store, dispose: () => store.close() };
  },
  200,
);

testStoreModel(
  'embedded, in a file',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ostria-model-'));
    const store = openEmbeddedStore({ path: join(directory, 'store.db'), progressMs });
    return {
      store,
      dispose: async () => {
        await store.close();
        rmSync(directory, { recursive: true });
      },
    };
  },
  30,
);

describe.skipIf(findEtcd() === undefined)('etcd (needs etcd on PATH, or apt as root)', () => {
  let etcd: RunningEtcd;
  let stores = 0;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.stop());

  testStoreModel(
    'etcd',
    async () => {
      const store = new EtcdStore({
        endpoints: [etcd.endpoint],
        prefix: `/model-${stores++}`,
        progressMs,
        maintenanceMs: 0,
      });
      return { store, dispose: () => store.close() };
    },
    30,
  );
});
