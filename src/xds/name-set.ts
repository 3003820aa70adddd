import { find, type ResourceList } from './held.ts';

/**
 * The names that a client subscribed to. Most clients ask for the endpoints of all their clusters: that set is kept as a
 * reference to the class's list, with the few names that came or went since.
 */
export class NameSet {
  #base: ResourceList | undefined;
  #added: Set<string> | undefined;
  #removed: Set<string> | undefined;

  has(name: string): boolean {
    if (this.#added?.has(name)) return true;
    if (this.#base === undefined || this.#removed?.has(name)) return false;
    return find(this.#base, name) !== undefined;
  }

  add(name: string): void {
    if (this.#base && find(this.#base, name)) this.#removed?.delete(name);
    else {
      this.#added ??= new Set();
      this.#added.add(name);
    }
  }

  /** Adds every name of a list, which must never change. */
  addAll(list: ResourceList): void {
    if (this.#base === undefined && this.#added === undefined) this.#base = list;
    else for (const resource of list) this.add(resource.name);
  }

  delete(name: string): void {
    this.#added?.delete(name);
    if (this.#base && find(this.#base, name)) {
      this.#removed ??= new Set();
      this.#removed.add(name);
    }
  }

  clear(): void {
    this.#base = undefined;
    this.#added = undefined;
    this.#removed = undefined;
  }

  get size(): number {
    return (this.#base?.length ?? 0) + (this.#added?.size ?? 0) - (this.#removed?.size ?? 0);
  }

  *values(): Generator<string> {
    for (const resource of this.#base ?? []) if (!this.#removed?.has(resource.name)) yield resource.name;
    yield* this.#added ?? [];
  }
}
