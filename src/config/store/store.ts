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

/**
 * An object as stored, with `metadata.resourceVersion` set from `revision` (the revision that last wrote it).
 * Objects that a store hands out are shared by all its readers and watchers and therefore frozen, with all they hold:
 * copy what is to be changed. What is given to `commit` is copied at once and stays the caller's.
 */
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
  /** Absent: every resource; `namespace` must then be absent too. */
  resource?: string;
  /** Absent: all namespaces; '' gives the cluster-scoped objects. */
  namespace?: string;
  /** Page size; absent or 0: everything. */
  limit?: number;
  /** Opaque token of the previous page; the list stays at the first page's revision. */
  continue?: string;
  /** Read at exactly this revision (else: the newest). Throws `RevisionCompacted` / `RevisionInFuture`. */
  revision?: number;
}

export interface ListResult {
  /** Within a resource in the order of the text `namespace/name`; resources in an order of the store's own. */
  items: StoredObject[];
  /** The state that was listed: a watch from here misses nothing. */
  revision: number;
  /** There is more: give this to the next call, with the same resource and namespace. */
  continue?: string;
  /** How many objects follow; with `continue` only. */
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
  /** Events after this revision. Throws `RevisionCompacted` when they are gone, `RevisionInFuture` when it was never given out. */
  from: number;
  /** Ends the iteration, without an error. */
  signal: AbortSignal;
  /** Ends the watch with `WatchOverflow` when this many events wait unread (default 10,000). */
  maxQueued?: number;
}

export type WatchItem =
  | { type: 'events'; revision: number; events: readonly StoreEvent[] }
  /**
   * Nothing else of interest happened up to `revision`: lets a watcher resume from there. One comes as soon as the watch
   * has caught up with the state at its start, later ones now and then.
   */
  | { type: 'progress'; revision: number };

/**
 * Where configuration lives. Failures are `StoreError`s; a failed precondition is none, but a result. Implementations: embedded (SQLite) and etcd; one contract test suite for both.
 * `commit` resolves only when the write is durable. One revision per commit, strictly increasing, never reused.
 */
export interface Store {
  get(ref: ObjectRef): Promise<StoredObject | undefined>;
  list(options: ListOptions): Promise<ListResult>;
  /**
   * All operations or none. Each object may be named once. A commit that changes nothing (no operations, or only deletes
   * of what is not there) succeeds with the newest revision.
   */
  commit(ops: readonly WriteOp[]): Promise<CommitResult>;
  /** One `events` item carries all events of one commit (filtered): a transaction is seen whole or not at all. */
  watch(options: WatchOptions): AsyncIterable<WatchItem>;
  /** The newest committed revision. */
  revision(): Promise<number>;
  /**
   * Forgets history before `revision`: the state at it can still be listed, and watched from. Done by itself as well
   * (default: history of 10,000 commits is kept, at least 5 minutes).
   */
  compact(revision: number): Promise<void>;
  /** Ends watches with `StoreClosed`, after the writes under way. Twice is harmless. */
  close(): Promise<void>;
}

export type StoreErrorCode =
  /** The caller's mistake: a bad reference, an object named twice in a commit, a continue token that is none. */
  | 'RequestInvalid'
  /** Another process has the store open. */
  | 'StoreLocked'
  /** The stored data is not ours, or of a newer version than this program knows. */
  | 'StoreFormat'
  | 'RevisionCompacted'
  | 'RevisionInFuture'
  | 'WatchOverflow'
  | 'ContinueExpired'
  | 'ObjectTooLarge'
  | 'StoreClosed'
  /** The write may or may not have happened, or could not be tried; trying again is sensible. */
  | 'StoreUnavailable';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
