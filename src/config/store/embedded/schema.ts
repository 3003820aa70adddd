import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../store.ts';

/** `Ostr`: tells our file from any other SQLite database. */
const applicationId = 0x4f737472;

/**
 * What brings a database from version n to n+1, in order; version 0 is an empty file. Never edit a released step: add one.
 *
 * `versions` holds every state of every object since the compacted revision, and below it the newest one; `object` NULL
 * is a deletion. `previous` is the revision of the state before, 0 where there was none. `id` is the order of events.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    resource TEXT NOT NULL,
    key TEXT NOT NULL,
    previous INTEGER NOT NULL,
    object TEXT
  ) STRICT;
  CREATE UNIQUE INDEX versions_by_object ON versions (resource, key, revision);
  CREATE INDEX versions_by_revision ON versions (revision);
  CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL
  ) STRICT;
  `,
];

/** WAL with a sync at each commit: what was acknowledged survives a power cut (https://sqlite.org/pragma.html#pragma_synchronous). */
export const pragmas = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA busy_timeout = 5000;
`;

/** The file must be private before SQLite opens it: its -wal and -shm files take over its mode. */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    chmodSync(path, 0o600);
  }
}

/**
 * Brings a database to the newest schema. `file` (absent for memory) is copied beside itself before an older version is
 * changed. Throws `StoreFormat` for a newer version or somebody else's database, which stays as it was.
 */
export function migrate(
  database: DatabaseSync,
  options: { file?: string; firstRevision: number; steps?: readonly string[] },
): void {
  const { file, firstRevision, steps = migrations } = options;
  const where = file ?? ':memory:';
  const version = Number(readPragma(database, 'user_version', where));
  const owner = Number(readPragma(database, 'application_id', where));
  const empty = Number(readPragma(database, 'schema_version', where)) === 0;
  if (!empty && owner !== applicationId) {
    throw new StoreError(
      'StoreFormat',
      `${where} is a SQLite database, but no configuration store; give another path`,
    );
  }
  if (version > steps.length) {
    throw new StoreError(
      'StoreFormat',
      `${where} has schema version ${version}, this program knows up to ${steps.length}; run the newer version that wrote it`,
    );
  }
  if (version === steps.length) return;
  if (version > 0 && file !== undefined) backUp(database, `${file}.v${version}.bak`);
  database.exec('BEGIN IMMEDIATE');
  try {
    for (const step of steps.slice(version)) database.exec(step);
    if (version === 0)
      database.prepare('INSERT INTO state VALUES (1, ?, ?)').run(firstRevision, firstRevision - 1);
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${steps.length};`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function readPragma(database: DatabaseSync, name: string, where: string): unknown {
  try {
    return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  } catch (error) {
    throw new StoreError(
      'StoreFormat',
      `${where} is no SQLite database; give another path, or remove the file`,
      {
        cause: error,
      },
    );
  }
}

function backUp(database: DatabaseSync, copy: string): void {
  rmSync(copy, { force: true });
  createPrivateFile(copy);
  // VACUUM INTO writes into an existing file only when it is empty, and keeps its mode.
  database.prepare('VACUUM INTO ?').run(copy);
}
