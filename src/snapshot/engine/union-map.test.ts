import { expect, test } from 'vitest';
import { UnionMap } from './union-map.ts';

const mapOf = (...keys: string[]): Map<string, string> =>
  new Map(keys.map((key) => [key, `${key} of ${keys[0]}`]));

test('every key counts once, whichever of the maps is the largest, and the first map has the say', () => {
  const [a, b, c] = [mapOf('a', 'x'), mapOf('b', 'x', 'y', 'z'), mapOf('c', 'y', 'q')];
  for (const maps of [[a, b, c], [b, a, c], [c, b, a], [a, c], [b], []]) {
    const union = new UnionMap(maps);
    expect(union.size).toBe(new Set(maps.flatMap((map) => [...map.keys()])).size);
    expect([...union.keys()]).toHaveLength(union.size);
    for (const [key, value] of union) expect(value).toBe(maps.find((map) => map.has(key))?.get(key));
  }
});
