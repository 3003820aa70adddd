import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makePrivateDirectory } from '../../../kit/atomic-file.ts';
import { decodeContinue, encodeContinue, type ListPosition } from '../continue-token.ts';
import { Retention, type RetentionOptions } from '../retention.ts';
import {
  type CommitResult,
  type ListOptions,
  type ListResult,
  type ObjectRef,
  type Store,
  type StoredObject,
  StoreError,
  type WatchItem,
  type WatchOptions,
  type WriteOp,
} from '../store.ts';
import { checkOps, checkRef, defaultObjectLimit, refKey } from '../stored-value.ts';
import { WatchHub } from '../watch-hub.ts';
import { CommitBatch, type EncodedOp, encodeOps } from './commit-batch.ts';
import { History } from './history.ts';
import { Keyspace } from './keyspace.ts';
import { lockStore, type StoreLock } from './lock.ts';
import { createPrivateFile, migrate, pragmas } from './schema.ts';
import { inlineWriter, ThreadWriter, type Writer } from './writer.ts';

export interface EmbeddedStoreOptions extends RetentionOptions {
  /** The database file, made with its directory when absent (0600, 0700); or `:memory:`, which forgets all at close. */
  path: string;
  /** Largest object as JSON, in bytes (default 1.5 MiB). */
  objectLimit?: number;
  /** How often, in ms, history is compacted (default 30,000) … */
  maintenanceMs?: number;
  /** … and idle watchers are told how far they are (default 1,000). */
  progressMs?: number;
  /**
   * Revision of a new, empty store. Default 1; for `:memory:` the time in ms, so that revisions of an earlier run are
   * not given out again.
   */
  firstRevision?: number;
}

interface PendingCommit {
  ops: EncodedOp[];
  resolve: (result: CommitResult) => void;
  reject: (error: unknown) => void;
}

/** Commits made durable with one sync. More would hold the event loop while they are prepared. */
const largestBatch = 256;
/** Commits that wait; writers beyond are turned away. */
const mostPending = 20_000;
/** Events read at once when a watch catches up. */
const catchUpEvents = 200;
/** Revisions compacted in one transaction. */
const compactionStep = 1000;

/**
 * Opens the store that needs nothing but a file: SQLite with one writing thread, one fsync for all commits that wait
 * together, and the newest state in memory. Throws `StoreLocked`, `StoreFormat`.
 */
export function openEmbeddedStore(options: EmbeddedStoreOptions): EmbeddedStore {
  const memory = options.path === ':memory:';
  const firstRevision = options.firstRevision ?? (memory ? Date.now() : 1);
  if (memory) {
    const database = new DatabaseSync(':memory:');
    migrate(database, { firstRevision });
    return new EmbeddedStore(database, inlineWriter(database), undefined, options);
  }
  makePrivateDirectory(dirname(options.path));
  const lock = lockStore(options.path);
  let database: DatabaseSync | undefined;
  try {
    createPrivateFile(options.path);
    database = new DatabaseSync(options.path);
    migrateFile(database, options.path, firstRevision);
    return new EmbeddedStore(database, new ThreadWriter(options.path), lock, options);
  } catch (error) {
    database?.close();
    lock.release();
    throw error;
  }
}

function migrateFile(database: DatabaseSync, file: string, firstRevision: number): void {
  // The format is looked at before anything, such as the journal mode, is written to a file that may be somebody else's.
  migrate(database, { file, firstRevision });
  database.exec(pragmas);
}

export class EmbeddedStore implements Store {
  readonly #database: DatabaseSync;
  readonly #writer: Writer;
  readonly #lock: StoreLock | undefined;
  readonly #newest = new Keyspace();
  readonly #history: History;
  readonly #hub = new WatchHub();
  readonly #objectLimit: number;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #retention: Retention;
  /** The newest durable revision: what readers see. */
  #revision: number;
  /** The newest revision given to a batch. Those of a failed batch are never used again. */
  #assigned: number;
  #compacted: number;
  #compaction: Promise<void> = Promise.resolve();
  #pending: PendingCommit[] = [];
  #pumping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  /** Use `openEmbeddedStore`. */
  constructor(
    database: DatabaseSync,
    writer: Writer,
    lock: StoreLock | undefined,
    options: EmbeddedStoreOptions,
  ) {
    this.#database = database;
    this.#writer = writer;
    this.#lock = lock;
    this.#retention = new Retention(options);
    this.#objectLimit = options.objectLimit ?? defaultObjectLimit;
    this.#history = new History(database, this.#newest);
    const { revision, compacted } = this.#history.state();
    this.#revision = revision;
    this.#assigned = revision;
    this.#compacted = compacted;
    this.#newest.load(this.#history.load(), revision);
    this.#every(options.maintenanceMs ?? 30_000, () => void this.#compactOld());
    this.#every(options.progressMs ?? 1000, () => this.#hub.progress(this.#revision));
  }

  async get(ref: ObjectRef): Promise<StoredObject | undefined> {
    this.#open();
    checkRef(ref);
    return this.#newest.get(ref.resource, refKey(ref));
  }

  async list(options: ListOptions): Promise<ListResult> {
    this.#open();
    const { limit = 0, ...filter } = options;
    if (filter.namespace !== undefined && filter.resource === undefined) {
      throw new StoreError('RequestInvalid', 'a list of one namespace needs a resource');
    }
    const after = options.continue === undefined ? undefined : decodeContinue(options.continue, filter);
    const revision = after?.revision ?? options.revision ?? this.#revision;
    this.#checkReadable(revision, after === undefined ? 'RevisionCompacted' : 'ContinueExpired');
    const unchanged = this.#newest.changedAt(filter.resource) <= revision;
    const { items, remaining } = unchanged
      ? this.#newest.page(filter, after, limit)
      : this.#history.page(revision, filter, after, limit);
    if (remaining === 0) return { items, revision };
    return { items, revision, remaining, continue: encodeContinue(positionAfter(items, revision)) };
  }

  async commit(ops: readonly WriteOp[]): Promise<CommitResult> {
    this.#open();
    checkOps(ops);
    const encoded = encodeOps(ops, this.#objectLimit);
    if (this.#pending.length >= mostPending) {
      throw new StoreError('StoreUnavailable', `${mostPending} commits wait to be written; try again later`);
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ ops: encoded, resolve, reject });
      this.#pumping ??= this.#pump();
    });
  }

  async *watch(options: WatchOptions): AsyncGenerator<WatchItem, void, undefined> {
    const { from, signal, maxQueued, ...filter } = options;
    this.#open();
    if (from > this.#revision) throw this.#inFuture(from);
    let at = from;
    // History first, page by page, as fast as it is read; the last look and the subscription are one step.
    for (;;) {
      if (signal.aborted) return;
      this.#open();
      this.#checkReadable(at, 'RevisionCompacted');
      const target = this.#revision;
      const { commits, done } = this.#history.commits(at, target, filter, catchUpEvents);
      if (done && commits.length === 0) break;
      for (const commit of commits) {
        yield { type: 'events', ...commit };
        at = commit.revision;
        if (signal.aborted) return;
      }
      if (done) at = target;
    }
    const { queue, end } = this.#hub.subscribe(filter, this.#revision, maxQueued);
    const finish = () => queue.finish();
    signal.addEventListener('abort', finish, { once: true });
    try {
      queue.push({ type: 'progress', revision: this.#revision });
      for (let item = await queue.next(); item; item = await queue.next()) yield item;
    } finally {
      signal.removeEventListener('abort', finish);
      end();
    }
  }

  async revision(): Promise<number> {
    this.#open();
    return this.#revision;
  }

  async compact(revision: number): Promise<void> {
    this.#open();
    if (revision > this.#revision) throw this.#inFuture(revision);
    const after = this.#compacted;
    if (revision <= after) return this.#compaction;
    // At once, so that no reader begins with what is about to go.
    this.#compacted = revision;
    const before = this.#compaction;
    this.#compaction = this.#dropHistory(after, revision, before);
    return this.#compaction;
  }

  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  async #shutDown(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#pumping;
    await this.#compaction.catch(() => {});
    this.#hub.fail(new StoreError('StoreClosed', 'the store was closed'));
    await this.#writer.close();
    this.#database.close();
    this.#lock?.release();
  }

  /** Writes what waits, batch by batch; what arrives during a sync is the next batch. */
  async #pump(): Promise<void> {
    // Commits of the same turn of the event loop share the first sync.
    await Promise.resolve();
    while (this.#pending.length > 0) await this.#writeBatch(this.#pending.splice(0, largestBatch));
    this.#pumping = undefined;
  }

  async #writeBatch(commits: readonly PendingCommit[]): Promise<void> {
    const batch = new CommitBatch(this.#newest, this.#assigned);
    const results = commits.map(({ ops }) => batch.add(ops));
    this.#assigned = batch.revision;
    try {
      if (batch.rows.length > 0)
        await this.#writer.run({ type: 'append', rows: batch.rows, revision: batch.revision });
    } catch (error) {
      for (const { reject } of commits) reject(error);
      return;
    }
    for (const commit of batch.apply()) {
      this.#revision = commit.revision;
      this.#hub.publish(commit);
    }
    for (const [i, { resolve }] of commits.entries()) resolve(results[i] as CommitResult);
  }

  async #dropHistory(after: number, revision: number, before: Promise<void>): Promise<void> {
    await before.catch(() => {});
    for (let at = after; at < revision; ) {
      const upTo = Math.min(revision, at + compactionStep);
      await this.#writer.run({ type: 'compact', after: at, upTo });
      at = upTo;
    }
  }

  async #compactOld(): Promise<void> {
    const target = this.#retention.forgettable(this.#revision);
    // A failure shows at the next write, to somebody who can be told; history is only longer meanwhile.
    if (target > this.#compacted) await this.compact(target).catch(() => {});
  }

  #checkReadable(revision: number, compactedCode: 'RevisionCompacted' | 'ContinueExpired'): void {
    if (revision > this.#revision) throw this.#inFuture(revision);
    if (revision >= this.#compacted) return;
    throw new StoreError(
      compactedCode,
      `the state at revision ${revision} is forgotten, history begins at ${this.#compacted}; list again from the newest state`,
    );
  }

  #inFuture(revision: number): StoreError {
    const message = `revision ${revision} was not given out yet, the newest is ${this.#revision}; list again without a revision`;
    return new StoreError('RevisionInFuture', message);
  }

  #open(): void {
    if (this.#closed) throw new StoreError('StoreClosed', 'the store was closed; open it again');
  }

  #every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms);
    timer.unref();
    this.#timers.push(timer);
  }
}

function positionAfter(items: readonly StoredObject[], revision: number): ListPosition {
  const { ref } = items.at(-1) as StoredObject;
  return { revision, resource: ref.resource, key: refKey(ref) };
}
