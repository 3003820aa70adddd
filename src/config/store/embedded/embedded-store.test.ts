import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { describeStoreContract } from '../../testing/store-contract.ts';
import { put, ref, remove, write } from '../../testing/store-operations.ts';
import type { StoreError } from '../store.ts';
import { type EmbeddedStoreOptions, openEmbeddedStore } from './embedded-store.ts';
import { lockStore } from './lock.ts';
import { migrate, migrations } from './schema.ts';

/** Patient, because the machine may be busy. */
const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, 30_000);

const eager = { progressMs: 20 };

describeStoreContract('embedded, in a file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-store-'));
  const path = join(directory, 'state', 'store.db');
  const store = openEmbeddedStore({ path, ...eager });
  return {
    store,
    reopen: async () => openEmbeddedStore({ path, ...eager }),
    dispose: async () => {
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
});

describeStoreContract(
  'embedded, in memory',
  async () => {
    const store = openEmbeddedStore({ path: ':memory:', ...eager });
    return { store, dispose: () => store.close() };
  },
  { durable: false },
);

describe('the file', () => {
  let directory: string;
  let path: string;
  const open = (options: Partial<EmbeddedStoreOptions> = {}) => openEmbeddedStore({ path, ...options });
  const failure = (work: () => unknown): StoreError | undefined => {
    try {
      work();
      return undefined;
    } catch (error) {
      return error as StoreError;
    }
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ostria-store-'));
    path = join(directory, 'store.db');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('is private, with all files beside it, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const store = open();
      await write(store, put(ref('a')));
      const modes = Object.fromEntries(
        readdirSync(directory).map((name) => [
          name,
          (statSync(join(directory, name)).mode & 0o777).toString(8),
        ]),
      );
      expect(modes).toEqual({
        'store.db': '600',
        'store.db-shm': '600',
        'store.db-wal': '600',
        'store.db.lock': '600',
        'store.db.pid': '600',
      });
      await store.close();
    } finally {
      process.umask(umask);
    }
  });

  test('is opened by one at a time, and the message names the other', async () => {
    const store = open();
    const refused = failure(open);
    expect(refused?.code).toBe('StoreLocked');
    expect(refused?.message).toContain(`pid ${process.pid}`);
    await write(store, put(ref('a')));
    expect(failure(open)?.code).toBe('StoreLocked');
    await store.close();
    const again = open();
    await again.close();
  });

  test('a pid file that a killed process left behind locks nobody out', () => {
    writeFileSync(`${path}.pid`, JSON.stringify({ pid: 1, startTime: 1 }));
    lockStore(path).release();
  });

  test('somebody else’s file, or a newer version’s, is refused and left alone', () => {
    writeFileSync(path, 'this is no database at all, but long enough to look at'.repeat(30));
    expect(failure(open)).toMatchObject({ code: 'StoreFormat', message: expect.stringContaining(path) });
    rmSync(path);
    const other = new DatabaseSync(path);
    other.exec('CREATE TABLE things (x)');
    other.close();
    expect(failure(open)).toMatchObject({ code: 'StoreFormat' });
    rmSync(path);
    const newer = new DatabaseSync(path);
    migrate(newer, { firstRevision: 1, steps: [...migrations, 'CREATE TABLE later (x)'] });
    newer.close();
    expect(failure(open)).toMatchObject({
      code: 'StoreFormat',
      message: expect.stringContaining('newer version'),
    });
    // The lock was given back each time.
    lockStore(path).release();
  });

  test('an older version is brought forward, and kept beside', async () => {
    const store = open();
    await write(store, put(ref('a'), 'kept'));
    await store.close();
    const database = new DatabaseSync(path);
    migrate(database, {
      file: path,
      firstRevision: 1,
      steps: [...migrations, 'ALTER TABLE state ADD COLUMN later TEXT'],
    });
    expect(database.prepare('SELECT later FROM state').get()).toEqual({ later: null });
    database.close();
    expect(statSync(`${path}.v${migrations.length}.bak`).mode & 0o777).toBe(0o600);
    const copy = new DatabaseSync(`${path}.v${migrations.length}.bak`);
    expect(copy.prepare('SELECT count(*) AS n FROM versions').get()).toEqual({ n: 1 });
    copy.close();
  });

  test('a failed migration changes nothing', async () => {
    await open().close();
    const database = new DatabaseSync(path);
    const steps = [...migrations, 'CREATE TABLE half (x); CREATE TABLE half (x);'];
    expect(() => migrate(database, { file: path, firstRevision: 1, steps })).toThrow('half');
    database.close();
    await open().close();
  });

  test('history is compacted by itself, by number and age', async () => {
    const store = open({ historyCommits: 10, historyMs: 2_000, maintenanceMs: 20 });
    const first = await store.revision();
    for (let i = 0; i < 30; i++) await write(store, put(ref(`s${i % 3}`), i));
    // Too young at first, whatever their number.
    expect((await store.list({ resource: 'services', revision: first + 1 })).items).toHaveLength(1);
    const newest = await store.revision();
    await eventually(() =>
      expect(store.list({ resource: 'services', revision: newest - 11 })).rejects.toThrow('forgotten'),
    );
    expect((await store.list({ resource: 'services', revision: newest - 10 })).items).toHaveLength(3);
    await store.close();
    const database = new DatabaseSync(path);
    const { n } = database.prepare('SELECT count(*) AS n FROM versions').get() as { n: number };
    expect(n).toBe(13);
    database.close();
  });

  test('compaction while lists and watches go on', async () => {
    const store = open();
    for (let i = 0; i < 300; i++)
      await write(store, put(ref(`s${i % 50}`), i), remove(ref(`t${i}`)), put(ref(`t${i + 1}`)));
    const revision = await store.revision();
    const compaction = store.compact(revision - 5);
    const page = await store.list({ resource: 'services', limit: 10, revision: revision - 5 });
    await compaction;
    const rest = await store.list({ resource: 'services', continue: page.continue as string });
    expect(page.items.length + rest.items.length).toBe(51);
    await store.close();
    const again = open();
    expect((await again.list({ resource: 'services', revision: revision - 5 })).items).toHaveLength(51);
    await again.close();
  });

  test('a write that fails is told, uses up its revision, and the next one works', async () => {
    const store = open();
    const first = await write(store, put(ref('a')));
    const other = new DatabaseSync(path);
    other.exec(
      "CREATE TRIGGER refuse BEFORE INSERT ON versions WHEN NEW.key = 'default/bad' BEGIN SELECT RAISE(ABORT, 'disk on fire'); END",
    );
    await expect(store.commit([put(ref('bad'))])).rejects.toMatchObject({
      code: 'StoreUnavailable',
      message: expect.stringContaining('disk on fire'),
    });
    expect(await store.get(ref('bad'))).toBeUndefined();
    expect(await store.revision()).toBe(first);
    expect(await write(store, put(ref('b')))).toBe(first + 2);
    other.close();
    await store.close();
  });
});
