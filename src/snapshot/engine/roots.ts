import type { Collection, Key, Query } from '../query.ts';
import type { Resource } from '../resource.ts';
import { ClassTable } from './class-table.ts';
import { diffKeys } from './diff-keys.ts';
import type { Entry, Failure } from './entry.ts';
import type { Evaluator } from './evaluator.ts';
import type { Mask, ProxyState } from './masks.ts';
import { type ItemChange, type Root, RootClass } from './root-class.ts';

type Good = (key: Key, old: Resource | undefined) => Resource | undefined;
const same: Good = (_, old) => old;
const none: Good = () => undefined;

/** A step of a flush: the caller may pause after each. */
export type Steps = Generator<undefined, void, undefined>;

/** Makes the classes of the root collections and brings them up to date: what proxies that join find, and what a flush changes. */
export class Roots {
  readonly classes: ClassTable;
  /** Classes with members to refresh in this flush. */
  readonly todo = new Set<RootClass>();
  /** Classes with something to publish or members to tell. */
  readonly touched = new Set<RootClass>();
  readonly #evaluator: Evaluator;
  readonly #onStale = (item: RootClass) => {
    if (item.members.size > 0) this.todo.add(item);
  };

  constructor(collections: readonly Collection<Resource>[], evaluator: Evaluator) {
    this.#evaluator = evaluator;
    this.classes = new ClassTable(collections, evaluator);
  }

  /** Puts a proxy that just connected into a class of each root. */
  join(proxy: ProxyState): void {
    for (const root of this.classes.roots) {
      const item = this.#findOrMake(root, proxy);
      this.classes.enter(item, proxy);
      proxy.see(item);
      if (this.#evaluator.verification !== undefined && !item.isStale)
        for (const entry of item.items.values()) this.#evaluator.sample(entry, proxy);
    }
  }

  /** Whether a proxy that joins now finds its classes made and up to date. */
  isWarm(proxy: ProxyState): boolean {
    return this.classes.roots.every((root) => {
      const item = this.classes.find(root, proxy);
      return item !== undefined && !(item.isStale && item.members.size === 0);
    });
  }

  /** Makes the classes of a proxy that is about to join, in steps; they wait for it as if their last member had left. */
  *warm(proxy: ProxyState): Steps {
    for (const root of this.classes.roots) {
      yield* this.#warmRoot(root, proxy);
      const item = this.#findOrMake(root, proxy);
      this.classes.enter(item, proxy);
      this.classes.exit(item, proxy);
      yield;
    }
    proxy.joined.length = 0;
  }

  /** Computes what making or waking a class will ask for. Between steps anything may change: then some of it is computed again. */
  *#warmRoot(root: Root, proxy: ProxyState): Steps {
    const { collection } = root;
    const compute = (key: Key) => this.#evaluator.evaluate(collection.item as unknown as Query, [key], proxy);
    const found = this.classes.find(root, proxy);
    if (found !== undefined && found.members.size > 0) return;
    const base = found ?? this.classes.someClean(root);
    if (base === undefined || base.keysStale || !this.#serves(base.keysEntry, proxy)) {
      const entry = this.#evaluator.evaluate(collection.keys as unknown as Query, [], proxy);
      yield;
      for (const key of entry.failure === undefined ? (entry.value as readonly Key[]) : []) {
        if (base !== undefined && !base.stale.has(key) && this.#serves(base.items.get(key), proxy)) continue;
        compute(key);
        yield;
      }
      return;
    }
    for (const [key, entry] of base.items) {
      if (!base.stale.has(key) && this.#serves(entry, proxy)) continue;
      compute(key);
      yield;
    }
  }

  #serves(entry: Entry | undefined, proxy: ProxyState): boolean {
    return entry !== undefined && this.#evaluator.masks.projection(entry.mask, proxy) === entry.projection;
  }

  leave(proxy: ProxyState): void {
    for (const item of proxy.joined) this.classes.exit(item, proxy);
    proxy.joined.length = 0;
    proxy.seeNothing();
  }

  #findOrMake(root: Root, proxy: ProxyState): RootClass {
    let item = this.classes.find(root, proxy);
    // Each turn makes one class current or merges it into another, which may have slept as well.
    while (item?.isStale && item.members.size === 0 && !item.refreshing) {
      // It slept while it had no members: nobody is told, so what changed is published at once.
      for (const _ of this.#refreshAs(item, proxy));
      item.publish();
      this.touched.delete(item);
      if (item.dead) item = this.classes.find(root, proxy);
    }
    if (item !== undefined) return item;
    const base = this.classes.someClean(root);
    const made = base === undefined ? this.#build(root, proxy) : this.#cloneFor(base, proxy, false);
    made.publish();
    return made;
  }

  #build(root: Root, proxy: ProxyState): RootClass {
    const { empty, everybody } = this.#evaluator.masks;
    const item = new RootClass(root, empty, everybody, this.#onStale);
    const needed = new Set<Mask>();
    for (const _ of this.#refreshItems(item, proxy, needed));
    const mask = this.#evaluator.masks.union(needed);
    return this.classes.register(item, mask, this.#evaluator.masks.projection(mask, proxy));
  }

  /**
   * A class for a proxy, from one whose items mostly serve it too. `heir`: the proxy holds what `base` has published and keeps
   * its last good resources; else it is a newcomer.
   */
  #cloneFor(base: RootClass, proxy: ProxyState, heir: boolean): RootClass {
    const { masks } = this.#evaluator;
    const item = new RootClass(base.root, masks.empty, masks.everybody, this.#onStale);
    for (const [typeUrl, names] of base.published) item.published.set(typeUrl, new Map(names));
    for (const [typeUrl, names] of base.staged) item.staged.set(typeUrl, new Map(names));
    for (const [id, claims] of base.conflicts) item.conflicts.set(id, new Map(claims));
    item.keys = base.keys;
    item.keysFailure = base.keysFailure;
    if (base.keysEntry !== undefined && this.#serves(base.keysEntry, proxy)) {
      this.classes.linkKeys(item, base.keysEntry);
      item.keysStale = false;
    }
    for (const [key, entry] of base.items) {
      this.classes.linkItem(item, key, entry);
      const good = base.lastGood.get(key);
      if (good !== undefined) item.lastGood.set(key, good);
      const failure = base.failures.get(key);
      if (failure !== undefined) item.failures.set(key, failure);
      if (!this.#serves(entry, proxy)) item.stale.set(key, base.inForce(key, entry));
    }
    const needed = new Set([base.mask]);
    // What an heir holds is what the base has published, not what it is about to.
    const held = (key: Key, old: Resource | undefined) => (base.before.has(key) ? base.before.get(key) : old);
    for (const _ of this.#refreshItems(item, proxy, needed, heir ? held : none));
    if (heir) item.splitFrom = base;
    const mask = masks.union(needed);
    return this.classes.register(item, mask, masks.projection(mask, proxy));
  }

  /** Refreshes a class for its members; they may part. */
  *refresh(item: RootClass): Steps {
    const [first] = item.members;
    if (first !== undefined && !item.dead && item.isStale) yield* this.#refreshAs(item, first);
  }

  *#refreshAs(item: RootClass, proxy: ProxyState): Steps {
    const { masks } = this.#evaluator;
    const needed = new Set([item.mask]);
    this.touched.add(item);
    item.refreshing = true;
    yield* this.#refreshItems(item, proxy, needed);
    item.refreshing = false;
    const mask = masks.union(needed);
    if (mask === item.mask) return;
    const projection = masks.projection(mask, proxy);
    const twin = item.root.classes.get(projection);
    this.classes.unregister(item);
    if (twin === undefined) this.classes.register(item, mask, projection);
    // Members may still be split off from it, by what it now needs.
    else item.mask = mask;
    for (const member of [...item.members]) {
      if (twin === undefined && masks.projection(mask, member) === projection) continue;
      yield;
      // It may have left during the pause.
      if (item.members.has(member)) this.#move(member, item);
    }
    if (twin !== undefined) this.classes.bury(item, (entry) => this.#evaluator.garbage.unlink(entry, item));
  }

  #move(proxy: ProxyState, from: RootClass): void {
    const to = this.classes.find(from.root, proxy) ?? this.#cloneFor(from, proxy, true);
    const holds = from.movedIn.get(proxy) ?? from;
    from.movedIn.delete(proxy);
    this.classes.exit(from, proxy);
    this.classes.enter(to, proxy);
    this.touched.add(to);
    if (to.isStale) this.todo.add(to);
    const sameStart = holds === to || (to.splitFrom === from && holds === from);
    if (!sameStart) to.movedIn.set(proxy, holds);
  }

  /** Brings keys and stale items up to date and stages what changed. `needed` collects the masks, for one union over all. */
  *#refreshItems(item: RootClass, proxy: ProxyState, needed: Set<Mask>, good = same): Steps {
    const { collection } = item.root;
    const changes: ItemChange[] = [];
    if (item.keysStale) {
      const entry = this.#evaluator.evaluate(collection.keys as unknown as Query, [], proxy);
      needed.add(entry.mask);
      this.#refreshKeys(item, entry, changes);
      yield;
    }
    for (const [key, old] of item.stale) {
      const entry = this.#evaluator.evaluate(collection.item as unknown as Query, [key], proxy);
      needed.add(entry.mask);
      this.classes.linkItem(item, key, entry);
      const next = this.#settleItem(item, key, entry, good(key, old));
      if (next !== old) changes.push({ key, old, next });
      yield;
    }
    item.stale.clear();
    for (const { key, old } of changes) if (!item.before.has(key)) item.before.set(key, old);
    item.stage(changes);
    this.classes.noteTypes(item.root, item.staged.keys());
  }

  #refreshKeys(item: RootClass, entry: Entry, changes: ItemChange[]): void {
    this.classes.linkKeys(item, entry);
    item.keysStale = false;
    if (item.keysFailure !== entry.failure) this.classes.failuresChanged = true;
    item.keysFailure = entry.failure;
    // The last good keys stay in force.
    if (entry.failure !== undefined) return;
    const keys = entry.value as readonly Key[];
    const { removed, added } = diffKeys(item.keys, keys);
    item.keys = keys;
    for (const key of removed) changes.push({ key, old: this.#dropItem(item, key), next: undefined });
    for (const key of added) if (!item.items.has(key)) item.stale.set(key, undefined);
  }

  #settleItem(item: RootClass, key: Key, entry: Entry, good: Resource | undefined): Resource | undefined {
    const failure = entry.failure ?? malformed(item, key, entry.value);
    this.#setFailure(item, key, failure);
    if (failure === undefined) {
      item.lastGood.delete(key);
      return entry.value as Resource | undefined;
    }
    if (good === undefined) item.lastGood.delete(key);
    else item.lastGood.set(key, good);
    return good;
  }

  #setFailure(item: RootClass, key: Key, failure: Failure | undefined): void {
    if (item.failures.get(key) === failure) return;
    this.classes.failuresChanged = true;
    if (failure === undefined) item.failures.delete(key);
    else item.failures.set(key, failure);
  }

  #dropItem(item: RootClass, key: Key): Resource | undefined {
    const entry = item.items.get(key);
    if (entry === undefined) return undefined;
    const old = item.stale.has(key) ? item.stale.get(key) : item.inForce(key, entry);
    item.items.delete(key);
    item.stale.delete(key);
    item.lastGood.delete(key);
    this.#setFailure(item, key, undefined);
    this.#evaluator.garbage.unlink(entry, item);
    return old;
  }
}

function malformed(item: RootClass, key: Key, value: unknown): Failure | undefined {
  if (value === undefined) return undefined;
  const { typeUrl, name, version } = (value ?? {}) as Partial<Resource>;
  if (typeof typeUrl === 'string' && typeof name === 'string' && typeof version === 'string')
    return undefined;
  const query = item.root.collection.item.name;
  return {
    query,
    args: [key],
    error: new TypeError(`${query}(${key}) returned no resource (typeUrl, name, version, bytes)`),
  };
}
