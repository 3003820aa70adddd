/** Sets, or deletes where the value is undefined. */
export function setOrDelete<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

/** The value under a key, made on first use. */
export function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** Removes an element from a set in a map, and the set with its last element. */
export function removeFromSet<K, V>(map: Map<K, Set<V>>, key: K, element: V): void {
  const set = map.get(key);
  if (set?.delete(element) && set.size === 0) map.delete(key);
}

/** Code-unit order, the same everywhere (unlike localeCompare). */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
