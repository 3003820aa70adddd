import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ConfigObject } from '../../object.ts';
import type { ListPosition } from '../continue-token.ts';
import type { StoredObject, StoreEvent } from '../store.ts';
import { decodeObject, keyRef, storedObject, storeEvent } from '../stored-value.ts';
import type { Commit, WatchFilter } from '../watch-hub.ts';
import { type Keyspace, namespaceRange } from './keyspace.ts';

interface Row {
  revision: number;
  resource: string;
  key: string;
  previous: number;
}

/**
 * Past states, from the database. Objects that are still the newest state are taken from memory, so that all watchers
 * and lists share them.
 */
export class History {
  readonly #database: DatabaseSync;
  readonly #newest: Keyspace;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, newest: Keyspace) {
    this.#database = database;
    this.#newest = newest;
  }

  /** The newest states of all objects, to begin with. */
  *load(): Generator<StoredObject> {
    const rows = this.#prepare(`SELECT revision, resource, key, object FROM versions AS v
      WHERE object IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM versions AS w WHERE w.resource = v.resource AND w.key = v.key AND w.revision > v.revision)
      ORDER BY resource, key`).iterate();
    for (const row of rows as Iterable<Row & { object: string }>) {
      yield storedObject(keyRef(row.resource, row.key), row.revision, row.object);
    }
  }

  state(): { revision: number; compacted: number } {
    return this.#prepare('SELECT revision, compacted FROM state').get() as {
      revision: number;
      compacted: number;
    };
  }

  /**
   * Commits after `after`, oldest first, about `limit` events of them: the last commit is complete, and when `done`
   * there is none after it up to `upTo`.
   */
  commits(
    after: number,
    upTo: number,
    filter: WatchFilter,
    limit: number,
  ): { commits: Commit[]; done: boolean } {
    const { where, values } = conditions(filter);
    const rows =
      this.#prepare(`SELECT revision, resource, key, previous FROM versions INDEXED BY versions_by_revision
      WHERE revision > ? AND revision <= ? ${where} ORDER BY revision, id LIMIT ?`).all(
        after,
        upTo,
        ...values,
        limit + 1,
      ) as unknown as Row[];
    const done = rows.length <= limit;
    const last = rows.at(-1)?.revision;
    const complete = done ? rows : rows.filter((row) => row.revision !== last);
    // One commit with more events than the limit: read it whole.
    if (!done && complete.length === 0) return this.commits(after, upTo, filter, limit * 4);
    const commits: Commit[] = [];
    for (const row of complete) {
      let commit = commits.at(-1);
      if (commit?.revision !== row.revision) {
        commit = { revision: row.revision, events: [] };
        commits.push(commit);
      }
      commit.events.push(this.#event(row));
    }
    return { commits, done };
  }

  /** A page of the state at `revision`, after `after`. `limit` 0 gives all. */
  page(
    revision: number,
    filter: WatchFilter,
    after: ListPosition | undefined,
    limit: number,
  ): { items: StoredObject[]; remaining: number } {
    const { where, values } = conditions(filter);
    const beyond = after ? 'AND (resource, key) > (?, ?)' : '';
    const alive = `FROM versions AS v WHERE revision <= ? ${where} ${beyond} AND object IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM versions AS w
      WHERE w.resource = v.resource AND w.key = v.key AND w.revision > v.revision AND w.revision <= ?)`;
    const bound = [revision, ...values, ...(after ? [after.resource, after.key] : []), revision];
    const rows = this.#prepare(`SELECT revision, resource, key ${alive} ORDER BY resource, key LIMIT ?`).all(
      ...bound,
      limit === 0 ? -1 : limit,
    ) as unknown as Row[];
    const items = rows.map((row) => this.#stored(row.resource, row.key, row.revision));
    if (limit === 0 || rows.length < limit) return { items, remaining: 0 };
    const counted = this.#prepare(`SELECT count(*) AS n ${alive}`).get(...bound) as { n: number };
    return { items, remaining: counted.n - rows.length };
  }

  #event(row: Row): StoreEvent {
    const ref = keyRef(row.resource, row.key);
    const before = row.previous === 0 ? undefined : this.#object(row.resource, row.key, row.previous);
    return storeEvent(ref, row.revision, before, this.#object(row.resource, row.key, row.revision));
  }

  #stored(resource: string, key: string, revision: number): StoredObject {
    const newest = this.#newest.get(resource, key);
    if (newest?.revision === revision) return newest;
    return {
      ref: keyRef(resource, key),
      revision,
      object: this.#object(resource, key, revision) as ConfigObject,
    };
  }

  #object(resource: string, key: string, revision: number): ConfigObject | undefined {
    const newest = this.#newest.get(resource, key);
    if (newest?.revision === revision) return newest.object;
    const row = this.#prepare(
      'SELECT object FROM versions WHERE resource = ? AND key = ? AND revision = ?',
    ).get(resource, key, revision) as { object: string | null } | undefined;
    return row?.object == null ? undefined : decodeObject(row.object, revision);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function conditions({ resource, namespace }: WatchFilter): { where: string; values: string[] } {
  const parts: string[] = [];
  const values: string[] = [];
  if (resource !== undefined) {
    parts.push('AND resource = ?');
    values.push(resource);
  }
  if (namespace !== undefined) {
    const { from, to } = namespaceRange(namespace);
    parts.push('AND key >= ? AND key < ?');
    values.push(from, to);
  }
  return { where: parts.join(' '), values };
}
