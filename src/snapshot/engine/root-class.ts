import { getOrMake } from '../../kit/maps.ts';
import type { Collection, Key } from '../query.ts';
import { DuplicateError } from '../rebuild.ts';
import type { Resource } from '../resource.ts';
import type { Entry, Failure } from './entry.ts';
import type { Mask, Projection, ProxyState } from './masks.ts';

/** A root collection and its classes of proxies. */
export interface Root {
  readonly index: number;
  readonly collection: Collection<Resource>;
  /** Every type that it has ever made. */
  readonly types: Set<string>;
  readonly classes: Map<Projection, RootClass>;
  readonly masks: Map<Mask, number>;
  /** The class that was made last. */
  latest: RootClass | undefined;
  maxClasses: number;
}

/** A key whose resource may differ: before and after. */
export interface ItemChange {
  readonly key: Key;
  readonly old: Resource | undefined;
  readonly next: Resource | undefined;
}

/**
 * One class of proxies of a root collection: the items, and the resources as they were last published. A refresh stages what
 * changed beside them; the commit at the end of a flush publishes it. Nothing refers to a class, so its mask may grow in place.
 */
export class RootClass {
  readonly root: Root;
  mask: Mask;
  projection: Projection;
  keysEntry: Entry | undefined;
  keysStale = true;
  keys: readonly Key[] = [];
  keysFailure: Failure | undefined;
  readonly items = new Map<Key, Entry>();
  /** Keys to look at again, with the resource that was in force when they were marked. */
  readonly stale = new Map<Key, Resource | undefined>();
  readonly failures = new Map<Key, Failure>();
  /** Of failing keys: the resource that stays in force. */
  readonly lastGood = new Map<Key, Resource>();
  /** Of the keys that this flush changed: what was published before. */
  readonly before = new Map<Key, Resource | undefined>();
  /** Names that several keys make, with every claim; the smallest key wins. */
  readonly conflicts = new Map<string, Map<Key, Resource>>();
  readonly published = new Map<string, Map<string, Resource>>();
  /** null: to be removed. */
  readonly staged = new Map<string, Map<string, Resource | null>>();
  readonly members = new Set<ProxyState>();
  /** Members that came from another class in this flush, with the class whose published resources they hold. */
  readonly movedIn = new Map<ProxyState, RootClass>();
  /** Split off from that class in this flush: the published resources are equal. */
  splitFrom: RootClass | undefined;
  dead = false;
  /** A refresh is under way, perhaps paused. */
  refreshing = false;
  emptySince = 0;
  #ids = new Set<string>();
  #idsShared = false;
  readonly #onStale: (item: RootClass) => void;

  constructor(root: Root, mask: Mask, projection: Projection, onStale: (item: RootClass) => void) {
    this.root = root;
    this.mask = mask;
    this.projection = projection;
    this.#onStale = onStale;
  }

  get isStale(): boolean {
    return this.refreshing || this.keysStale || this.stale.size > 0;
  }

  /** Ids of the members. The set handed out is never changed. */
  get ids(): ReadonlySet<string> {
    this.#idsShared = true;
    return this.#ids;
  }

  addMember(proxy: ProxyState): void {
    this.members.add(proxy);
    this.#ownIds().add(proxy.proxy.id);
  }

  removeMember(proxy: ProxyState): void {
    this.members.delete(proxy);
    this.#ownIds().delete(proxy.proxy.id);
  }

  #ownIds(): Set<string> {
    if (this.#idsShared) this.#ids = new Set(this.#ids);
    this.#idsShared = false;
    return this.#ids;
  }

  /** An entry right below was marked: called before anything is computed again, so its value is still the published one. */
  childMarked(child: Entry): void {
    const first = !this.isStale;
    if (child === this.keysEntry) this.keysStale = true;
    else {
      const key = child.instance.args[0] as Key;
      if (!this.stale.has(key)) this.stale.set(key, this.inForce(key, child));
    }
    if (first) this.#onStale(this);
  }

  /** The resource that a key contributes at present; for a failing one the last good. */
  inForce(key: Key, entry: Entry): Resource | undefined {
    return this.failures.has(key) ? this.lastGood.get(key) : (entry.value as Resource | undefined);
  }

  /** The published resources of a type; the same object for the life of the class. */
  byName(typeUrl: string): Map<string, Resource> {
    return getOrMake(this.published, typeUrl, () => new Map<string, Resource>());
  }

  /** As it will be after the commit. */
  upcoming(typeUrl: string, name: string): Resource | undefined {
    const staged = this.staged.get(typeUrl)?.get(name);
    return staged === undefined ? this.published.get(typeUrl)?.get(name) : (staged ?? undefined);
  }

  /** Stages a batch: names given up first, so that two keys may swap theirs. */
  stage(changes: readonly ItemChange[]): void {
    for (const { key, old, next } of changes)
      if (old !== undefined && !sameName(old, next)) this.#withdraw(key, old);
    for (const { key, old, next } of changes) if (next !== undefined) this.#claim(key, old, next);
  }

  #withdraw(key: Key, resource: Resource): void {
    const id = nameId(resource);
    const claims = this.conflicts.get(id);
    if (claims === undefined) {
      this.#set(resource, null);
      return;
    }
    claims.delete(key);
    this.#set(resource, winner(claims));
    if (claims.size === 1) this.conflicts.delete(id);
  }

  #claim(key: Key, old: Resource | undefined, next: Resource): void {
    const id = nameId(next);
    let claims = this.conflicts.get(id);
    if (
      claims === undefined &&
      !sameName(next, old) &&
      this.upcoming(next.typeUrl, next.name) !== undefined
    ) {
      claims = this.#claimsOf(next);
      if (claims.size > 1) this.conflicts.set(id, claims);
      else claims = undefined;
    }
    if (claims === undefined) this.#set(next, next);
    else {
      claims.set(key, next);
      this.#set(next, winner(claims));
    }
  }

  /** Every key that makes this name: only looked for when two are known to. */
  #claimsOf(resource: Resource): Map<Key, Resource> {
    const claims = new Map<Key, Resource>();
    for (const [key, entry] of this.items) {
      const other = this.inForce(key, entry);
      if (other !== undefined && sameName(other, resource)) claims.set(key, other);
    }
    return claims;
  }

  #set(of: Resource, to: Resource | null): void {
    getOrMake(this.staged, of.typeUrl, () => new Map<string, Resource | null>()).set(of.name, to);
  }

  /** Publishes what is staged. */
  publish(): void {
    for (const [typeUrl, names] of this.staged) {
      const published = this.byName(typeUrl);
      for (const [name, resource] of names)
        if (resource === null) published.delete(name);
        else published.set(name, resource);
    }
    this.staged.clear();
    this.before.clear();
    this.movedIn.clear();
    this.splitFrom = undefined;
  }

  *allFailures(): Generator<Failure> {
    if (this.keysFailure !== undefined) yield this.keysFailure;
    yield* this.failures.values();
    const query = this.root.collection.item.name;
    for (const claims of this.conflicts.values()) {
      const first = smallest(claims.keys());
      for (const [key, resource] of claims)
        if (key !== first) yield { query, args: [key], error: new DuplicateError(resource) };
    }
  }
}

export function sameName(a: Resource, b: Resource | undefined): boolean {
  return b !== undefined && a.name === b.name && a.typeUrl === b.typeUrl;
}

export function sameVersion(a: Resource | undefined, b: Resource | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && sameName(a, b) && a.version === b.version);
}

function nameId(resource: Resource): string {
  return `${resource.typeUrl} ${resource.name}`;
}

function winner(claims: ReadonlyMap<Key, Resource>): Resource {
  return claims.get(smallest(claims.keys())) as Resource;
}

function smallest(keys: Iterable<Key>): Key {
  let first: Key | undefined;
  for (const key of keys) if (first === undefined || key < first) first = key;
  return first as Key;
}
