import { expect, test } from 'vitest';
import { roots } from '../../src/pipeline/roots.ts';
import { createEngine } from '../../src/snapshot/engine/engine.ts';
import { meshObjects, ObjectFeed, sidecar, virtualServiceObject } from '../bench/compile-mesh.ts';

/** These belong to one workload by nature: its own ports, its own capture. */
const perWorkload = /inbound|own-|explicit/;
const size = { services: 200, namespaces: 20 };
const proxies = 120;
const labelSets = 30;

/**
 * Work and memory follow the number of classes of proxies, not of proxies: 120 sidecars in 20 namespaces with 30 label sets. A query
 * that reads more of the proxy than it needs makes a class of nearly every one, and this test names it.
 */
test('no query tells apart more proxies than namespaces', () => {
  const engine = createEngine({ roots: roots.collections, defaultBound: size.namespaces });
  const feed = new ObjectFeed();
  engine.apply(feed.put(...meshObjects(size)));
  engine.flush();
  for (let i = 0; i < proxies; i++) engine.connect(sidecar(i, size, labelSets));
  const { exceeded, entries, collections } = engine.stats();
  expect(exceeded.filter(({ name }) => !perWorkload.test(name))).toEqual([]);
  expect(collections.find(({ name }) => name === 'cluster/outbound')?.classes).toBeLessThanOrEqual(
    size.namespaces,
  );
  expect(entries / size.services).toBeLessThan(45);
  expect(engine.failures()).toEqual([]);
});

test('one selector parts each class at most in two, and they become one again when it is gone', () => {
  const engine = createEngine({ roots: roots.collections });
  const feed = new ObjectFeed();
  engine.apply(feed.put(...meshObjects(size)));
  engine.flush();
  for (let i = 0; i < proxies; i++) engine.connect(sidecar(i, size, labelSets));
  const classes = () =>
    engine
      .stats()
      .collections.filter(({ name }) => !perWorkload.test(name))
      .reduce((sum, collection) => sum + collection.classes, 0);
  const before = classes();
  engine.apply(feed.put(virtualServiceObject(0, size, 50, { app: 'app3' })));
  engine.flush();
  expect(classes()).toBeGreaterThan(before);
  expect(classes()).toBeLessThanOrEqual(before + size.namespaces);
  engine.apply(feed.put(virtualServiceObject(0, size, 50)));
  engine.flush();
  for (let i = 0; i < 4; i++) engine.collect();
  expect(classes()).toBe(before);
});
