import type { ListPosition } from '../continue-token.ts';
import type { StoredObject } from '../store.ts';
import { refKey } from '../stored-value.ts';

interface Entry {
  key: string;
  stored: StoredObject;
}

interface Resource {
  /** Sorted by key. */
  entries: Entry[];
  byKey: Map<string, StoredObject>;
  /** The newest revision that changed anything here. */
  changedAt: number;
}

export interface KeyspacePage {
  items: StoredObject[];
  /** Objects of the list after the last item. */
  remaining: number;
}

/** The newest state, in memory: what reads answer from, and what preconditions are checked against. */
export class Keyspace {
  readonly #resources = new Map<string, Resource>();
  #loadedAt = 0;

  get(resource: string, key: string): StoredObject | undefined {
    return this.#resources.get(resource)?.byKey.get(key);
  }

  /** Fills an empty keyspace with the state at `revision`, given in order. */
  load(objects: Iterable<StoredObject>, revision: number): void {
    this.#loadedAt = revision;
    for (const stored of objects) this.put(stored);
  }

  /**
   * The newest revision at which a list of `resource` (absent: of everything) may have changed: a list at or after it
   * is the newest list. What happened before `load` is not known.
   */
  changedAt(resource: string | undefined): number {
    let newest = this.#loadedAt;
    if (resource !== undefined) return Math.max(newest, this.#resources.get(resource)?.changedAt ?? 0);
    for (const { changedAt } of this.#resources.values()) newest = Math.max(newest, changedAt);
    return newest;
  }

  put(stored: StoredObject): void {
    const resource = this.#resource(stored.ref.resource);
    const key = refKey(stored.ref);
    const known = resource.byKey.has(key);
    resource.byKey.set(key, stored);
    resource.changedAt = stored.revision;
    const at = lowerBound(resource.entries, key);
    resource.entries.splice(at, known ? 1 : 0, { key, stored });
  }

  delete(name: string, key: string, revision: number): void {
    const resource = this.#resource(name);
    resource.changedAt = revision;
    if (resource.byKey.delete(key)) resource.entries.splice(lowerBound(resource.entries, key), 1);
  }

  /** Objects of a resource (absent: of all) in order, after `after`; `limit` 0 gives all. */
  page(
    filter: { resource?: string; namespace?: string },
    after: ListPosition | undefined,
    limit: number,
  ): KeyspacePage {
    const names = filter.resource === undefined ? [...this.#resources.keys()].sort() : [filter.resource];
    const items: StoredObject[] = [];
    let remaining = 0;
    for (const name of names) {
      const entries = this.#resources.get(name)?.entries;
      if (!entries || (after && name < after.resource)) continue;
      const { start, end } = range(
        entries,
        filter.namespace,
        after?.resource === name ? after.key : undefined,
      );
      const taken = limit === 0 ? end : Math.min(end, start + limit - items.length);
      for (let i = start; i < taken; i++) items.push((entries[i] as Entry).stored);
      remaining += end - Math.max(taken, start);
    }
    return { items, remaining };
  }

  #resource(name: string): Resource {
    let resource = this.#resources.get(name);
    if (!resource) {
      resource = { entries: [], byKey: new Map(), changedAt: 0 };
      this.#resources.set(name, resource);
    }
    return resource;
  }
}

/** The keys of one namespace: `namespace/` up to the first key that cannot begin so (0 follows / in ASCII). */
export function namespaceRange(namespace: string): { from: string; to: string } {
  return { from: `${namespace}/`, to: `${namespace}0` };
}

function range(
  entries: Entry[],
  namespace: string | undefined,
  after: string | undefined,
): { start: number; end: number } {
  const bounds = namespace === undefined ? undefined : namespaceRange(namespace);
  let start = bounds ? lowerBound(entries, bounds.from) : 0;
  const end = bounds ? lowerBound(entries, bounds.to) : entries.length;
  if (after !== undefined) {
    const next = lowerBound(entries, after);
    start = Math.max(start, entries[next]?.key === after ? next + 1 : next);
  }
  return { start, end: Math.max(start, end) };
}

function lowerBound(entries: readonly Entry[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as Entry).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
