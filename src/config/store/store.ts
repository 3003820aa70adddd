import type { ConfigObject } from '../object.ts';

/** Identifies an object in a store. `resource` is `resourceName(kind)`; `namespace` is '' for cluster-scoped kinds. */
export interface ObjectRef {
  resource: string;
  namespace: string;
  name: string;
}

/**
 * One write of a transaction. `expect` is the precondition on the object's current revision:
 * a number must equal it, 0 means "must not exist", absent means "any".
 */
export type WriteOp =
  | { type: 'put'; ref: ObjectRef; object: ConfigObject; expect?: number }
  | { type: 'delete'; ref: ObjectRef; expect?: number };

/** An object as stored, with `metadata.resourceVersion` set from `revision` (the revision that last wrote it). */
export interface StoredObject {
  ref: ObjectRef;
  revision: number;
  object: ConfigObject;
}

export type CommitResult =
  | { ok: true; revision: number }
  /** The first operation whose precondition failed, and what is there now. Nothing was written. */
  | { ok: false; conflict: { index: number; current: StoredObject | undefined } };

export interface ListOptions {
  resource: string;
  /** Absent: all namespaces. */
  namespace?: string;
  /** Page size; absent: everything. */
  limit?: number;
  /** Opaque token of the previous page; the list stays at the first page's revision. */
  continue?: string;
  /** Read at exactly this revision (else: the newest). Throws `RevisionCompacted` / `RevisionInFuture`. */
  revision?: number;
}

export interface ListResult {
  items: StoredObject[];
  revision: number;
  continue?: string;
  remaining?: number;
}

export interface StoreEvent {
  type: 'added' | 'modified' | 'deleted';
  revision: number;
  ref: ObjectRef;
  /** For `deleted`: the last state, with the revision of the deletion as its resourceVersion. */
  object: ConfigObject;
  /** The state before this event, where there was one: selectors need it to turn a change into an add or a delete. */
  previous?: ConfigObject;
}

export interface WatchOptions {
  /** Absent: every resource. */
  resource?: string;
  namespace?: string;
  /** Events after this revision. Throws `RevisionCompacted` when they are gone. */
  from: number;
  signal: AbortSignal;
  /** Ends the watch with `WatchOverflow` when this many events wait unread (default 10,000). */
  maxQueued?: number;
}

export type WatchItem =
  | { type: 'events'; revision: number; events: readonly StoreEvent[] }
  /** Nothing of interest happened up to `revision`: lets a watcher resume from there. */
  | { type: 'progress'; revision: number };

/**
 * Where configuration lives. Implementations: embedded (SQLite) and etcd; one contract test suite for both.
 * `commit` resolves only when the write is durable. One revision per commit, strictly increasing, never reused.
 */
export interface Store {
  get(ref: ObjectRef): Promise<StoredObject | undefined>;
  list(options: ListOptions): Promise<ListResult>;
  commit(ops: readonly WriteOp[]): Promise<CommitResult>;
  /** One `events` item carries all events of one commit (filtered): a transaction is seen whole or not at all. */
  watch(options: WatchOptions): AsyncIterable<WatchItem>;
  /** The newest committed revision. */
  revision(): Promise<number>;
  /** Forgets history before `revision`. Done by itself as well (default: history of 10,000 commits is kept, at least 5 minutes). */
  compact(revision: number): Promise<void>;
  close(): Promise<void>;
}

export type StoreErrorCode =
  | 'RevisionCompacted'
  | 'RevisionInFuture'
  | 'WatchOverflow'
  | 'ContinueExpired'
  | 'ObjectTooLarge'
  | 'StoreClosed'
  | 'StoreUnavailable';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
