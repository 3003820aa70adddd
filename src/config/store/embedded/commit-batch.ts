import type { CommitResult, ObjectRef, StoredObject, StoreEvent, WriteOp } from '../store.ts';
import { encodeObject, refKey, storedObject, storeEvent } from '../stored-value.ts';
import type { Commit } from '../watch-hub.ts';
import type { Keyspace } from './keyspace.ts';
import type { VersionRow } from './writer.ts';

/** An operation with its object already as text: taken when `commit` is called, so the caller may change the object afterwards. */
export interface EncodedOp {
  ref: ObjectRef;
  key: string;
  expect: number | undefined;
  /** Undefined: delete. */
  text: string | undefined;
}

export function encodeOps(ops: readonly WriteOp[], objectLimit: number): EncodedOp[] {
  return ops.map((op) => ({
    ref: { resource: op.ref.resource, namespace: op.ref.namespace, name: op.ref.name },
    key: refKey(op.ref),
    expect: op.expect,
    text: op.type === 'put' ? encodeObject(op.ref, op.object, objectLimit) : undefined,
  }));
}

interface Change {
  op: EncodedOp;
  before: StoredObject | undefined;
  after: StoredObject | undefined;
}

/** Commits that become durable together. Each sees the ones before it, and has a revision of its own. */
export class CommitBatch {
  readonly rows: VersionRow[] = [];
  readonly #newest: Keyspace;
  /** What this batch changes, over the newest durable state. */
  readonly #staged = new Map<string, StoredObject | undefined>();
  readonly #commits: { revision: number; changes: Change[] }[] = [];
  #revision: number;

  constructor(newest: Keyspace, revision: number) {
    this.#newest = newest;
    this.#revision = revision;
  }

  /** The revision of the last commit that was added. */
  get revision(): number {
    return this.#revision;
  }

  /** Checks preconditions and adds the commit. The result counts once the batch is durable. */
  add(ops: readonly EncodedOp[]): CommitResult {
    const changes: Change[] = [];
    for (const [index, op] of ops.entries()) {
      const before = this.#current(op);
      if (op.expect !== undefined && op.expect !== (before?.revision ?? 0)) {
        return { ok: false, conflict: { index, current: before } };
      }
      if (before || op.text !== undefined) changes.push({ op, before, after: undefined });
    }
    if (changes.length === 0) return { ok: true, revision: this.#revision };
    const revision = ++this.#revision;
    for (const change of changes) {
      const { op, before } = change;
      if (op.text !== undefined) change.after = storedObject(op.ref, revision, op.text);
      this.#staged.set(`${op.ref.resource}/${op.key}`, change.after);
      this.rows.push([revision, op.ref.resource, op.key, before?.revision ?? 0, op.text ?? null]);
    }
    this.#commits.push({ revision, changes });
    return { ok: true, revision };
  }

  /** Makes the batch the newest state, and yields its commits for the watchers. */
  *apply(): Generator<Commit> {
    for (const { revision, changes } of this.#commits) {
      const events: StoreEvent[] = [];
      for (const { op, before, after } of changes) {
        if (after) this.#newest.put(after);
        else this.#newest.delete(op.ref.resource, op.key, revision);
        events.push(storeEvent(op.ref, revision, before?.object, after?.object));
      }
      yield { revision, events };
    }
  }

  #current(op: EncodedOp): StoredObject | undefined {
    const id = `${op.ref.resource}/${op.key}`;
    return this.#staged.has(id) ? this.#staged.get(id) : this.#newest.get(op.ref.resource, op.key);
  }
}
