import { expect, test } from 'vitest';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { defineCollection, defineQuery, type Query } from './query.ts';
import { inspect, type RebuildFailure, rebuild } from './rebuild.ts';
import type { Resource } from './resource.ts';
import { testProxy, testResource } from './testing.ts';
import type { View } from './view.ts';
import { defineKindToken, World } from './world.ts';

const kind = defineKindToken<{ text: string }>('rebuild-test');
const proxy = testProxy('p1', { namespace: 'shop' });

function run(item: (view: View, key: string) => Resource | undefined, keys = ['a', 'b']) {
  const name = `rebuild-test-${Math.random()}`;
  const collection = defineCollection(
    name,
    defineQuery(`${name}-keys`, () => keys),
    defineQuery(`${name}-item`, item),
  );
  const world = new World();
  world.apply([{ kind: kind.name, key: 'a', value: { text: 'hello' } }]);
  const failures: RebuildFailure[] = [];
  const result = rebuild(world, defaultMeshConfig, proxy, [collection], {
    onFailure: (f) => failures.push(f),
  });
  return { names: [...(result.get('t')?.keys() ?? [])], result, failures };
}

test('items become resources by type and name; absent ones are left out', () => {
  const { result, failures } = run((view, key) => {
    const object = view.get(kind, key);
    return object && testResource('t', `${key}-${object.text}`, view.mesh('trustDomain'));
  });
  expect(result.get('t')?.get('a-hello')?.version).toContain('cluster.local');
  expect(result.get('t')?.size).toBe(1);
  expect(failures).toEqual([]);
});

test('a throwing item is isolated', () => {
  const { names, failures } = run((_, key) => {
    if (key === 'a') throw new Error('no');
    return testResource('t', key, '');
  });
  expect(names).toEqual(['b']);
  expect(failures).toMatchObject([{ key: 'a', error: { message: 'no' } }]);
});

test('two items of one name: the first key wins and it is reported', () => {
  const { result, failures } = run((_, key) => testResource('t', 'same', key));
  expect(result.get('t')?.get('same')?.version).toContain('a');
  expect(failures).toMatchObject([{ key: 'b', error: { code: 'DUPLICATE_RESOURCE' } }]);
});

test('a view cannot be read after its query returned', () => {
  let leaked: View | undefined;
  const { failures } = run((view, key) => {
    leaked?.get(kind, 'a');
    leaked = view;
    return testResource('t', key, '');
  });
  expect(failures).toMatchObject([{ key: 'b', error: { code: 'VIEW_CLOSED' } }]);
});

test('values are frozen', () => {
  const list: Query<[], string[]> = defineQuery('rebuild-test-list', () => ['x']);
  const { failures } = run((view, key) => {
    if (key === 'a') view.call(list).push('y');
    return testResource('t', key, view.call(list).join());
  });
  expect(failures).toMatchObject([{ key: 'a' }]);
});

test('a cycle fails with the same readable chain wherever it is entered, and cannot be caught inside', () => {
  const ping: Query<[string], string> = defineQuery('rebuild-ping', (view, x) => {
    try {
      return view.call(pong, x);
    } catch {
      return 'caught';
    }
  });
  const pong: Query<[string], string> = defineQuery('rebuild-pong', (view, x) => view.call(ping, x));
  const { failures } = run((view, key) =>
    testResource('t', key, key === 'a' ? view.call(ping, 'x') : view.call(pong, 'x')),
  );
  const message = /circle: rebuild-ping\(x\) → rebuild-pong\(x\) → rebuild-ping\(x\)\. Break it by splitting/;
  expect(failures.map((f) => (f.error as Error).message)).toEqual([
    expect.stringMatching(message),
    expect.stringMatching(message),
  ]);
});

test('a function can look at the view of one proxy', () => {
  const world = new World();
  world.apply([{ kind: kind.name, key: 'a', value: { text: 'hello' } }]);
  let leaked: View | undefined;
  const text = inspect(world, defaultMeshConfig, proxy, (view) => {
    leaked = view;
    return `${view.get(kind, 'a')?.text} ${view.mesh('rootNamespace')}`;
  });
  expect(text).toBe('hello istio-system');
  expect(() => leaked?.get(kind, 'a')).toThrow(/after the query returned/);
});
