/** A read-only view over maps with disjoint keys, without copying; of a key that two hold, the first map's value shows. */
export class UnionMap<K, V> implements ReadonlyMap<K, V> {
  readonly #maps: readonly ReadonlyMap<K, V>[];

  constructor(maps: readonly ReadonlyMap<K, V>[]) {
    this.#maps = maps;
  }

  /** The maps that it is a view over: most often a large one that many views share, and small ones. */
  get parts(): readonly ReadonlyMap<K, V>[] {
    return this.#maps;
  }

  /** Looks at every key but those of the largest map: the others are small beside it. */
  get size(): number {
    const [largest, ...others] = this.#maps.toSorted((a, b) => b.size - a.size);
    let size = largest?.size ?? 0;
    for (const [i, map] of others.entries())
      for (const key of map.keys())
        if (!largest?.has(key) && !others.slice(0, i).some((other) => other.has(key))) size++;
    return size;
  }

  #hidden(key: K, before: number): boolean {
    for (let i = 0; i < before; i++) if (this.#maps[i]?.has(key)) return true;
    return false;
  }

  get(key: K): V | undefined {
    for (const map of this.#maps) {
      const value = map.get(key);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  has(key: K): boolean {
    return this.#maps.some((map) => map.has(key));
  }

  *entries(): MapIterator<[K, V]> {
    for (const [i, map] of this.#maps.entries())
      for (const entry of map) if (!this.#hidden(entry[0], i)) yield entry;
  }

  *keys(): MapIterator<K> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
}
