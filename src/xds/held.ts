import type { Resource } from '../snapshot/resource.ts';

/** A list of resources in ascending order of their names (by UTF-16 code unit), each name once. Never mutated. */
export type ResourceList = readonly Resource[];

/** Changes that are kept beside a shared list before the two are merged. */
const overlayLimit = 256;
const emptyList: ResourceList = [];

/**
 * What a client holds of one type: a list shared with its class and the few changes since. A thousand resources for each of
 * 500 clients in maps of their own would be 100 MB.
 */
export class Held {
  #base: ResourceList = emptyList;
  #overlay: Map<string, Resource | undefined> | undefined;

  get(name: string): Resource | undefined {
    const changed = this.#overlay?.get(name);
    if (changed !== undefined) return changed;
    if (this.#overlay?.has(name)) return undefined;
    return find(this.#base, name);
  }

  /** Takes over a whole state. */
  reset(list: ResourceList): void {
    this.#base = list;
    this.#overlay = undefined;
  }

  /** Applies an acknowledged response. `resources` may become shared state: it must never change. */
  apply(resources: readonly Resource[], removed: readonly string[]): void {
    if (resources.length > overlayLimit || (this.#base.length === 0 && !this.#overlay)) {
      this.#merge();
      this.#base = mergedList(this.#base, resources);
    } else if (resources.length > 0) {
      this.#overlay ??= new Map();
      for (const resource of resources) this.#overlay.set(resource.name, resource);
    }
    for (const name of removed) this.delete(name);
    if (this.#overlay && this.#overlay.size > overlayLimit) this.#merge();
  }

  delete(name: string): void {
    if (find(this.#base, name)) {
      this.#overlay ??= new Map();
      this.#overlay.set(name, undefined);
    } else this.#overlay?.delete(name);
  }

  get size(): number {
    let size = this.#base.length;
    for (const [name, resource] of this.#overlay ?? []) {
      const inBase = find(this.#base, name) !== undefined;
      if (resource && !inBase) size++;
      else if (!resource && inBase) size--;
    }
    return size;
  }

  /** Every resource, in the order of names. */
  list(): ResourceList {
    if (!this.#overlay || this.#overlay.size === 0) return this.#base;
    this.#merge();
    return this.#base;
  }

  #merge(): void {
    const overlay = this.#overlay;
    if (!overlay) return;
    const kept = this.#base.filter((resource) => !overlay.has(resource.name));
    const added = [...overlay.values()].filter((resource) => resource !== undefined);
    this.reset(sharedList([...kept, ...added].sort(byName)));
  }
}

/** By the list and what was merged into it: a change that concerns a whole class is merged once. */
const mergedWith = new WeakMap<ResourceList, WeakMap<ResourceList, ResourceList>>();

/** Both lists as one; of a name that both hold, the resource of `changes`, which must never change. The same list for the same two. */
export function mergedList(base: ResourceList, changes: readonly Resource[]): ResourceList {
  if (base === changes || changes.length === 0) return base;
  let byChanges = mergedWith.get(base);
  if (!byChanges) {
    byChanges = new WeakMap();
    mergedWith.set(base, byChanges);
  }
  const done = byChanges.get(changes);
  if (done) return done;
  const sorted = isSorted(changes) ? changes : lastOfEach(changes);
  const list = base.length === 0 ? sorted : mergeSorted(base, sorted);
  const result = isSame(list, base) ? base : sharedList(list);
  byChanges.set(changes, result);
  return result;
}

/** Lists from this length on are worth looking for. */
const sharedLength = 16;
/** Different lists that begin with one resource; more are simply kept apart. */
const listsPerStart = 32;
const known = new WeakMap<Resource, WeakRef<ResourceList>[]>();

/**
 * The list that others use already where it holds the same resources: proxies of different classes, and clients that came by
 * different ways to one state, hold a thousand resources once.
 */
export function sharedList(list: ResourceList, leastLength = sharedLength): ResourceList {
  const first = list[0];
  if (first === undefined || list.length < leastLength) return list;
  const lists: WeakRef<ResourceList>[] = [];
  for (const reference of known.get(first) ?? []) {
    const other = reference.deref();
    if (other === undefined) continue;
    if (isSame(other, list)) return other;
    lists.push(reference);
  }
  known.set(first, [new WeakRef(list), ...lists.slice(0, listsPerStart - 1)]);
  return list;
}

/** In the order of names; of a name that occurs twice the later one. */
function lastOfEach(resources: readonly Resource[]): ResourceList {
  return [...new Map(resources.map((resource) => [resource.name, resource])).values()].sort(byName);
}

/** Both in the order of names; of equal names the second list's. */
function mergeSorted(base: ResourceList, changes: ResourceList): Resource[] {
  const list: Resource[] = [];
  let at = 0;
  for (const change of changes) {
    for (let old = base[at]; old && old.name <= change.name; old = base[++at])
      if (old.name !== change.name) list.push(old);
    list.push(change);
  }
  return list.concat(base.slice(at));
}

export function byName(a: Resource, b: Resource): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export function isSorted(list: readonly Resource[]): boolean {
  for (let i = 1; i < list.length; i++)
    if ((list[i - 1] as Resource).name >= (list[i] as Resource).name) return false;
  return true;
}

function isSame(a: ResourceList, b: ResourceList): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Binary search. */
export function find(list: ResourceList, name: string): Resource | undefined {
  let low = 0;
  let high = list.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const resource = list[middle] as Resource;
    if (resource.name === name) return resource;
    if (resource.name < name) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}
