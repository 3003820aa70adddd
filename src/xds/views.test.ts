import { expect, test } from 'vitest';
import { UnionMap } from '../snapshot/engine/union-map.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import type { Resource } from '../snapshot/resource.ts';
import { type ResourceMap, Views } from './views.ts';

function resource(name: string): Resource {
  return { typeUrl: 't', name, version: name, bytes: new Uint8Array(), origins: [] };
}

const mapOf = (...resources: Resource[]): Map<string, Resource> =>
  new Map(resources.map((one) => [one.name, one]));

const source: ResourceSource = {
  connect: () => undefined,
  disconnect: () => undefined,
  resources: () => new Map(),
  onPush: () => () => undefined,
  revision: 1,
};

const list = (views: Views, map: ResourceMap): readonly string[] => views.list(map).map(({ name }) => name);

test('a view over several maps is listed in the order of names; of a name that two hold the first shows', () => {
  const views = new Views(source);
  const [own, shared] = [resource('b'), resource('b')];
  const small = mapOf(own, resource('0'), resource('x'));
  const large = mapOf(resource('y'), shared, resource('a'), resource('c'));
  const other = mapOf(resource('d'), shared);
  for (const maps of [[small, large, other], [large, small], [other, small, large], [small], []]) {
    const union = new UnionMap(maps);
    expect(views.list(union)).toEqual(
      [...union.values()].sort((one, another) => (one.name < another.name ? -1 : 1)),
    );
    expect(views.list(union).find(({ name }) => name === 'b')).toBe(union.get('b'));
  }
});

test('proxies whose own parts hold the same resources share one list, and those that differ do not', () => {
  const views = new Views(source);
  const large = mapOf(resource('c'), resource('a'));
  const own = resource('b');
  const [first, second] = [new UnionMap([mapOf(own), large]), new UnionMap([mapOf(own), large])];
  expect(views.list(first)).toBe(views.list(second));
  expect(list(views, first)).toEqual(['a', 'b', 'c']);
  const third = new UnionMap([mapOf(resource('b')), large]);
  expect(views.list(third)).not.toBe(views.list(first));
  expect(views.list(third)[1]).not.toBe(own);
});

test('a list is a copy that stands as it was; after a push the view is listed as it is by then', () => {
  const views = new Views(source);
  const [small, large] = [mapOf(resource('b')), mapOf(resource('a'), resource('c'))];
  const union = new UnionMap([small, large]);
  const before = views.list(union);
  small.delete('b');
  large.set('d', resource('d'));
  views.invalidate();
  expect(list(views, union)).toEqual(['a', 'c', 'd']);
  expect(before.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
});
