import type { Key } from './query.ts';

const maxPending = 64;

/**
 * A set of keys that is read as a sorted, frozen array. The array is made on the first read; a few later changes are merged
 * into a copy (a list of thousands changes by one key at a time), many make it anew.
 */
export class SortedKeys {
  readonly #keys = new Set<Key>();
  #sorted: readonly Key[] | undefined;
  #changed = new Set<Key>();

  get size(): number {
    return this.#keys.size;
  }

  add(key: Key): void {
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.#touch(key);
  }

  delete(key: Key): void {
    if (this.#keys.delete(key)) this.#touch(key);
  }

  values(): readonly Key[] {
    if (this.#sorted === undefined) this.#sorted = Object.freeze([...this.#keys].sort());
    else if (this.#changed.size > 0) this.#sorted = Object.freeze(this.#merge(this.#sorted));
    this.#changed.clear();
    return this.#sorted;
  }

  #touch(key: Key): void {
    if (this.#sorted === undefined) return;
    this.#changed.add(key);
    if (this.#changed.size <= maxPending) return;
    this.#sorted = undefined;
    this.#changed.clear();
  }

  #merge(sorted: readonly Key[]): Key[] {
    const result = sorted.slice();
    for (const key of this.#changed) {
      const at = lowerBound(result, key);
      const present = result[at] === key;
      if (this.#keys.has(key)) {
        if (!present) result.splice(at, 0, key);
      } else if (present) result.splice(at, 1);
    }
    return result;
  }
}

function lowerBound(sorted: readonly Key[], key: Key): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as Key) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
