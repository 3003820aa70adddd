import type { Key, Query } from '../query.ts';
import type { Cell } from './cells.ts';
import type { Links } from './links.ts';
import type { Mask, Projection, ProxyState } from './masks.ts';
import type { RootClass } from './root-class.ts';

/** Ordered: a state only grows until the entry is refreshed. */
export const clean = 0;
/** Something below may have changed: the children are verified before the value is used. */
export const check = 1;
/** A recorded read changed: to be computed again. */
export const dirty = 2;
/** Its mask changed or it was collected: never used again. */
export const dead = 3;
export type State = typeof clean | typeof check | typeof dirty | typeof dead;

/** A thrown error, with the call that threw first. */
export interface Failure {
  readonly query: string;
  readonly args: readonly Key[];
  readonly error: unknown;
}

/** A query as the engine knows it: its memo table and its figures. */
export interface QueryState {
  readonly query: Query;
  readonly instances: Map<string, Instance>;
  /** Most entries that one instance ever had at a time: how many classes of proxies the query tells apart. */
  maxClasses: number;
  computed: number;
}

/** A memoised result for one class of proxies. `mask` and `projection` never change: a result with another mask is another entry. */
export class Entry {
  readonly instance: Instance;
  readonly mask: Mask;
  readonly projection: Projection;
  value: unknown;
  failure: Failure | undefined;
  cells: readonly Cell[] = [];
  /** In the order of their first call. */
  children: readonly Entry[] = [];
  parents: Links<Entry | RootClass>;
  state: State = clean;
  /** The last computation that called it. */
  calledBy = 0;
  /** The tick at which value or failure last changed. */
  changedAt: number;
  verifiedAt: number;
  /** Part of a cycle that its caller closes: not stored, its reads are its caller's. */
  transient = false;
  /** Dead in the present tick: the entry that took over, where the value is equal. */
  heir: Entry | undefined;

  constructor(instance: Instance, mask: Mask, projection: Projection, tick: number) {
    this.instance = instance;
    this.mask = mask;
    this.projection = projection;
    this.changedAt = tick;
    this.verifiedAt = tick;
  }
}

/** A query with arguments: one entry per class of proxies, found by mask, then projection. Most have a single one. */
export class Instance {
  readonly query: QueryState;
  readonly args: readonly Key[];
  readonly key: string;
  /** Its position in the stack of running computations, −1: not running. */
  running = -1;
  #single: Entry | undefined;
  #many: Map<Projection, Entry> | undefined;
  #masks: Map<Mask, number> | undefined;

  constructor(query: QueryState, args: readonly Key[], key: string) {
    this.query = query;
    this.args = args;
    this.key = key;
  }

  get size(): number {
    return this.#many?.size ?? (this.#single === undefined ? 0 : 1);
  }

  is(query: Query, args: readonly Key[]): boolean {
    if (this.query.query !== query || this.args.length !== args.length) return false;
    for (let i = 0; i < args.length; i++) if (args[i] !== this.args[i]) return false;
    return true;
  }

  at(projection: Projection): Entry | undefined {
    if (this.#many !== undefined) return this.#many.get(projection);
    return this.#single?.projection === projection ? this.#single : undefined;
  }

  /** An entry that is valid for the proxy. Two may be: a clean one is preferred. */
  find(proxy: ProxyState, project: (mask: Mask, proxy: ProxyState) => Projection): Entry | undefined {
    const single = this.#single;
    if (single !== undefined && single.mask.facts.length === 0) return single;
    if (single !== undefined) return project(single.mask, proxy) === single.projection ? single : undefined;
    if (this.#many === undefined || this.#masks === undefined) return undefined;
    let found: Entry | undefined;
    for (const mask of this.#masks.keys()) {
      const entry = this.#many.get(project(mask, proxy));
      if (entry === undefined) continue;
      if (entry.state === clean) return entry;
      found ??= entry;
    }
    return found;
  }

  add(entry: Entry): void {
    if (this.size === 0) {
      this.query.instances.set(this.key, this);
      this.#single = entry;
      return;
    }
    if (this.#many === undefined || this.#masks === undefined) {
      const first = this.#single as Entry;
      this.#single = undefined;
      this.#many = new Map([[first.projection, first]]);
      this.#masks = new Map([[first.mask, 1]]);
    }
    this.#many.set(entry.projection, entry);
    this.#masks.set(entry.mask, (this.#masks.get(entry.mask) ?? 0) + 1);
  }

  remove(entry: Entry): void {
    if (this.#many !== undefined && this.#masks !== undefined) {
      if (this.#many.get(entry.projection) !== entry) return;
      this.#many.delete(entry.projection);
      const left = (this.#masks.get(entry.mask) ?? 1) - 1;
      if (left === 0) this.#masks.delete(entry.mask);
      else this.#masks.set(entry.mask, left);
      if (this.#many.size > 1) return;
      this.#single = this.#many.values().next().value;
      this.#many = undefined;
      this.#masks = undefined;
    } else if (this.#single === entry) this.#single = undefined;
    if (this.size === 0) this.query.instances.delete(this.key);
  }

  *entries(): Generator<Entry> {
    if (this.#many !== undefined) yield* this.#many.values();
    else if (this.#single !== undefined) yield this.#single;
  }
}
