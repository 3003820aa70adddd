import { decodeContinue, encodeContinue } from '../continue-token.ts';
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
import { checkOps, checkRef, defaultObjectLimit, encodeObject, refKey } from '../stored-value.ts';
import { type Commit, matches } from '../watch-hub.ts';
import { EtcdClient, type EtcdClientOptions } from './client.ts';
import { readCommits } from './commits.ts';
import { DecodedObjects } from './decoded-objects.ts';
import { EtcdKeys } from './keys.ts';
import { checkWatch, PrefixWatch } from './prefix-watch.ts';
import type { KeyValue, RangeResponse, TxnOp } from './wire.ts';

export interface EtcdStoreOptions extends EtcdClientOptions, RetentionOptions {
  /** Where our keys begin (default `/ostria`). Stores of different prefixes do not see each other. */
  prefix?: string;
  /** Largest object as JSON, in bytes (default 1.5 MiB). etcd's own limit, on whole commits, is --max-request-bytes. */
  objectLimit?: number;
  /** How often, in ms, history is compacted (default 60,000; 0: never, where etcd does it itself). It concerns all of etcd. */
  maintenanceMs?: number;
  /** How often, in ms, idle watchers are told how far they are (default 1,000). */
  progressMs?: number;
}

const pageSize = 200;
/** A commit of deletes alone is tried again when somebody else was faster; oftener than this is a quarrel. */
const mostAttempts = 10;

/**
 * The store on etcd 3.4 or newer, for several control planes. A revision is etcd's own, so it also moves when others write
 * to the same etcd. A commit holds at most 127 operations unless etcd's --max-txn-ops allows more.
 */
export class EtcdStore implements Store {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #objects = new DecodedObjects();
  readonly #watch: PrefixWatch;
  readonly #objectLimit: number;
  readonly #retention: Retention;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #closing = new AbortController();
  readonly #writing = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(options: EtcdStoreOptions) {
    this.#client = new EtcdClient(options);
    this.#keys = new EtcdKeys(options.prefix ?? '/ostria');
    this.#watch = new PrefixWatch(this.#client, this.#keys, this.#objects);
    this.#objectLimit = options.objectLimit ?? defaultObjectLimit;
    this.#retention = new Retention(options);
    const { maintenanceMs = 60_000, progressMs = 1000 } = options;
    if (maintenanceMs > 0) this.#every(maintenanceMs, () => void this.#compactOld());
    this.#every(progressMs, () => this.#watch.progress());
  }

  async get(ref: ObjectRef): Promise<StoredObject | undefined> {
    this.#open();
    checkRef(ref);
    const { kvs } = await this.#client.range({ key: this.#keys.key(ref) });
    return kvs[0] && this.#stored(kvs[0]);
  }

  async list(options: ListOptions): Promise<ListResult> {
    this.#open();
    const { resource, namespace, limit = 0 } = options;
    if (namespace !== undefined && resource === undefined) {
      throw new StoreError('RequestInvalid', 'a list of one namespace needs a resource');
    }
    let after =
      options.continue === undefined ? undefined : decodeContinue(options.continue, { resource, namespace });
    let revision = after?.revision ?? options.revision;
    const items: StoredObject[] = [];
    for (;;) {
      const wanted = limit === 0 ? pageSize : Math.min(pageSize, limit - items.length);
      const [key, rangeEnd] = this.#keys.range(resource, namespace, after);
      const page = await this.#page(key, rangeEnd, wanted, revision, options.continue !== undefined);
      revision ??= page.revision;
      for (const kv of page.kvs) items.push(this.#stored(kv));
      const last = items.at(-1);
      if (!page.more || !last) return { items, revision };
      after = { revision, resource: last.ref.resource, key: refKey(last.ref) };
      if (limit !== 0 && items.length >= limit) {
        return { items, revision, remaining: page.count - page.kvs.length, continue: encodeContinue(after) };
      }
    }
  }

  async commit(ops: readonly WriteOp[]): Promise<CommitResult> {
    this.#open();
    checkOps(ops);
    const texts = ops.map((op) =>
      op.type === 'put' ? encodeObject(op.ref, op.object, this.#objectLimit) : undefined,
    );
    const writing = texts.some((text) => text !== undefined)
      ? this.#write(ops, texts)
      : this.#deleteOnly(ops);
    const settled = writing.catch(() => {}).finally(() => this.#writing.delete(settled));
    this.#writing.add(settled);
    return writing;
  }

  async *watch(options: WatchOptions): AsyncGenerator<WatchItem, void, undefined> {
    const { from, signal, maxQueued, ...filter } = options;
    this.#open();
    if (signal.aborted) return;
    const newest = await this.revision();
    if (from > newest) {
      const message = `revision ${from} was not given out yet, the newest is ${newest}; list again without a revision`;
      throw new StoreError('RevisionInFuture', message);
    }
    const subscription = await this.#watch.subscribe(filter, from, maxQueued);
    const { queue, end } = subscription;
    const finish = () => queue.finish();
    signal.addEventListener('abort', finish, { once: true });
    try {
      const past =
        subscription.missingUpTo > 0
          ? this.#past(from, subscription.missingUpTo, signal)
          : subscription.recent;
      for await (const commit of past) {
        if (signal.aborted) return;
        const events = commit.events.filter((event) => matches(event, filter));
        if (events.length > 0) yield { type: 'events', revision: commit.revision, events };
      }
      if (signal.aborted) return;
      yield { type: 'progress', revision: subscription.position };
      for (let item = await queue.next(); item; item = await queue.next()) {
        // The shared watch may be behind the list that this one begins at.
        if (item.revision > subscription.position) yield item;
      }
    } finally {
      signal.removeEventListener('abort', finish);
      end();
    }
  }

  async revision(): Promise<number> {
    this.#open();
    return (await this.#client.range({ key: this.#keys.head, countOnly: true })).revision;
  }

  async compact(revision: number): Promise<void> {
    this.#open();
    try {
      await this.#client.compact(revision);
    } catch (error) {
      // It was compacted further already, by us or another control plane.
      if (!(error instanceof StoreError && error.code === 'RevisionCompacted')) throw error;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#shutDown();
    return this.#closed;
  }

  async #shutDown(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort();
    await Promise.all(this.#writing);
    this.#watch.close();
    this.#client.close();
  }

  async #write(ops: readonly WriteOp[], texts: readonly (string | undefined)[]): Promise<CommitResult> {
    const checked = ops.flatMap((op, index) =>
      op.expect === undefined ? [] : [{ index, key: this.#keys.key(op.ref), expect: op.expect }],
    );
    const success = ops.map((op, i): TxnOp => {
      const key = this.#keys.key(op.ref);
      const text = texts[i];
      return text === undefined ? { type: 'delete', key } : { type: 'put', key, value: text };
    });
    const response = await this.#client.txn({
      compare: checked.map(({ key, expect }) => ({ key, modRevision: expect })),
      success: [...success, { type: 'put', key: this.#keys.head, value: '' }],
      failure: checked.map(({ key }) => ({ type: 'range', range: { key } })),
    });
    if (response.succeeded) return { ok: true, revision: response.revision };
    return this.#conflict(checked, response.ranges) ?? unexplained();
  }

  /** etcd cannot be asked to write the head only where something is deleted: so it is seen first, and then held to that. */
  async #deleteOnly(ops: readonly WriteOp[]): Promise<CommitResult> {
    if (ops.length === 0) return { ok: true, revision: await this.revision() };
    const keys = ops.map((op) => this.#keys.key(op.ref));
    const reads = keys.map((key): TxnOp => ({ type: 'range', range: { key } }));
    let seen = await this.#client.txn({ compare: [], success: reads, failure: [] });
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const found = seen.ranges.map((range) => range.kvs[0]);
      const checked = ops.map((op, index) => ({
        index,
        expect: op.expect ?? found[index]?.modRevision ?? 0,
      }));
      const conflict = this.#conflict(checked, seen.ranges);
      if (conflict) return conflict;
      const present = keys.filter((_, i) => found[i]);
      if (present.length === 0) return { ok: true, revision: seen.revision };
      seen = await this.#client.txn({
        compare: keys.map((key, i) => ({ key, modRevision: found[i]?.modRevision ?? 0 })),
        success: [
          ...present.map((key): TxnOp => ({ type: 'delete', key })),
          { type: 'put', key: this.#keys.head, value: '' },
        ],
        failure: reads,
      });
      if (seen.succeeded) return { ok: true, revision: seen.revision };
    }
    return unexplained();
  }

  #conflict(
    checked: readonly { index: number; expect: number }[],
    ranges: readonly RangeResponse[],
  ): CommitResult | undefined {
    for (const [i, { index, expect }] of checked.entries()) {
      const kv = ranges[i]?.kvs[0];
      if ((kv?.modRevision ?? 0) !== expect) {
        return { ok: false, conflict: { index, current: kv && this.#stored(kv) } };
      }
    }
    return undefined;
  }

  /** Commits after `from` up to `upTo`, where there is one for certain. */
  async *#past(from: number, upTo: number, signal: AbortSignal): AsyncGenerator<Commit> {
    const stream = this.#client.watch(this.#keys.root, this.#keys.rootEnd, from + 1);
    const stop = () => stream.cancel();
    const ends = AbortSignal.any([signal, this.#closing.signal]);
    ends.addEventListener('abort', stop, { once: true });
    try {
      for await (const response of stream) {
        checkWatch(response);
        for (const commit of readCommits(response, this.#keys, this.#objects)) {
          if (commit.revision > upTo) return;
          yield commit;
          if (commit.revision === upTo) return;
        }
      }
      throw new StoreError('StoreUnavailable', 'etcd ended the watch; try again');
    } catch (error) {
      if (signal.aborted) return;
      this.#open();
      throw this.#client.storeError(error);
    } finally {
      ends.removeEventListener('abort', stop);
      stream.cancel();
    }
  }

  async #page(
    key: string,
    rangeEnd: string,
    limit: number,
    revision: number | undefined,
    continued: boolean,
  ): Promise<RangeResponse> {
    try {
      return await this.#client.range({
        key,
        rangeEnd,
        limit,
        ...(revision === undefined ? {} : { revision }),
      });
    } catch (error) {
      if (continued && error instanceof StoreError && error.code === 'RevisionCompacted') {
        throw new StoreError('ContinueExpired', error.message, { cause: error });
      }
      throw error;
    }
  }

  #stored(kv: KeyValue): StoredObject {
    const ref = this.#keys.ref(kv.key);
    if (!ref) {
      throw new StoreError(
        'StoreFormat',
        `etcd's key ${JSON.stringify(kv.key)} is none of ours; delete it, or use another prefix`,
      );
    }
    return { ref, revision: kv.modRevision, object: this.#objects.decode(kv) };
  }

  async #compactOld(): Promise<void> {
    try {
      const target = this.#retention.forgettable(await this.revision());
      if (target > 0) await this.compact(target);
    } catch {
      // History is only longer meanwhile; that etcd is away shows wherever it is needed.
    }
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

function unexplained(): never {
  throw new StoreError('StoreUnavailable', 'others kept changing the same objects; try again');
}
