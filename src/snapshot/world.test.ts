import { expect, test } from 'vitest';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { defineIndex, defineKindToken, World } from './world.ts';

interface Thing {
  readonly tags: readonly string[];
  readonly inner?: { n: number };
}
const thing = defineKindToken<Thing>('world-test-thing');
const byTag = defineIndex('world-test-by-tag', thing, (t) => {
  if (t.tags.includes('boom')) throw new Error('boom');
  return t.tags;
});
const set = (key: string, ...tags: string[]) => ({ kind: thing.name, key, value: { tags } });

test('lists hold the keys of the indexed objects, sorted, and keep their identity until they change', () => {
  const world = new World();
  world.apply([set('b', 'x'), set('a', 'x', 'y'), set('c', 'y')]);
  expect(world.list(byTag, 'x')).toEqual(['a', 'b']);
  const y = world.list(byTag, 'y');
  expect(y).toEqual(['a', 'c']);
  world.apply([set('b', 'y'), set('0', 'x')]);
  expect(world.list(byTag, 'x')).toEqual(['0', 'a']);
  expect(world.list(byTag, 'y')).toEqual(['a', 'b', 'c']);
  expect(y).toEqual(['a', 'c']);
  world.apply([{ kind: thing.name, key: 'b', value: undefined }]);
  expect(world.list(byTag, 'y')).toEqual(['a', 'c']);
  expect(world.list(byTag, 'y')).toBe(world.list(byTag, 'y'));
  expect(world.get(thing, 'b')).toBeUndefined();
});

test('reports exactly the reads that changed, and nothing for an equal value', () => {
  const world = new World();
  const seen: string[] = [];
  const effect = {
    object: (kind: string, key: string) => seen.push(`${kind} ${key}`),
    list: (index: string, key: string) => seen.push(`${index} ${key}`),
    mesh: (field: string) => seen.push(field),
  };
  world.apply([set('a', 'x', 'y')], effect);
  const kept = world.get(thing, 'a');
  expect(seen).toEqual(['world-test-thing a', 'world-test-by-tag x', 'world-test-by-tag y']);
  seen.length = 0;
  world.apply([set('a', 'x', 'y')], effect);
  expect(seen).toEqual([]);
  expect(world.get(thing, 'a')).toBe(kept);
  world.apply([set('a', 'y', 'z')], effect);
  expect(seen).toEqual(['world-test-thing a', 'world-test-by-tag x', 'world-test-by-tag z']);
  seen.length = 0;
  world.setMesh({ ...defaultMeshConfig, connectTimeout: '3s' }, effect);
  expect(seen).toEqual(['connectTimeout']);
});

test('many changes between two reads of a list', () => {
  const world = new World();
  const keys = Array.from({ length: 500 }, (_, i) => `k${(i * 7919) % 500}`);
  world.apply([set('first', 'all')]);
  world.list(byTag, 'all');
  for (const key of keys) world.apply([set(key, 'all')]);
  expect(world.list(byTag, 'all')).toEqual(['first', ...keys].sort());
});

test('objects are frozen all the way down; a throwing index files nothing and says so', () => {
  const world = new World();
  world.apply([{ kind: thing.name, key: 'a', value: Object.freeze({ tags: ['boom'], inner: { n: 1 } }) }]);
  const inner = world.get(thing, 'a')?.inner;
  expect(() => {
    if (inner) inner.n = 2;
  }).toThrow(TypeError);
  expect([...world.indexErrors.keys()]).toEqual(['world-test-by-tag world-test-thing a']);
  world.apply([set('a', 'fine')]);
  expect(world.indexErrors.size).toBe(0);
  expect(world.list(byTag, 'fine')).toEqual(['a']);
});
