import { expect, test } from 'vitest';
import { defaultMeshConfig } from '../../registry/mesh-config.ts';
import { defineAttribute } from '../attribute.ts';
import type { Push } from '../push.ts';
import { defineCollection, defineQuery, type Query } from '../query.ts';
import type { Resource } from '../resource.ts';
import { testProxy, testResource } from '../testing.ts';
import type { View } from '../view.ts';
import { defineIndex, defineKindToken, type WorldChange } from '../world.ts';
import { createEngine, type EngineOptions } from './engine.ts';

interface Item {
  readonly text: string;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly boom?: string;
}
const kind = defineKindToken<Item>('engine-test-item');
const all = defineIndex('engine-test-items', kind, () => ['']);
const namespaceOf = defineAttribute('engine-test-namespace', (proxy) => proxy.namespace);
const put = (key: string, value: Item | undefined): WorldChange => ({ kind: kind.name, key, value });
const type = 't';
let made = 0;

/** A collection with an item per object. */
function items(compute: (view: View, key: string) => Resource | undefined) {
  const name = `engine-test-${made++}`;
  const keys = defineQuery(`${name}-keys`, (view) => view.list(all, ''));
  return defineCollection(name, keys, defineQuery(`${name}-item`, compute));
}

const plain = (view: View, key: string): Resource | undefined => {
  const item = view.get(kind, key);
  if (item === undefined) return undefined;
  if (item.boom !== undefined) throw new Error(item.boom);
  const selected = item.labels === undefined ? '' : ` ${view.matches(item.labels)}`;
  return testResource(type, item.name ?? key, item.text + selected);
};

function start(roots: EngineOptions['roots'], options: Partial<EngineOptions> = {}) {
  let now = 0;
  const engine = createEngine({ roots, clock: () => now, graceMs: 1000, ...options });
  const pushes: Push[] = [];
  engine.onPush((push) => pushes.push(push));
  const edit = (...changes: WorldChange[]) => {
    engine.apply(changes, engine.revision + 1);
    return engine.flush();
  };
  const texts = (id: string): Record<string, string> =>
    Object.fromEntries(
      [...engine.resources(id, type)].map(([name, r]): [string, string] => [name, r.version]),
    );
  return { engine, pushes, edit, texts, wait: (ms: number) => (now += ms) };
}

const shown = (push: Push | undefined) =>
  push?.deltas.map(({ proxies, upserts, removed }) => ({
    proxies: [...proxies].map((id) => id.split('~')[2]?.split('.')[0]).sort(),
    upserts: upserts.map((r) => `${r.name}=${r.version}`),
    removed,
  }));

const x = testProxy('x', { namespace: 'a', labels: { app: 'x' } });
const x2 = testProxy('x2', { namespace: 'a', labels: { app: 'x' } });
const y = testProxy('y', { namespace: 'b', labels: { app: 'y' } });

test('an edit is pushed once to all whom it concerns, an equal value to nobody', () => {
  const { engine, edit, pushes } = start([items(plain)]);
  edit(put('one', { text: '1' }), put('two', { text: '2' }));
  for (const proxy of [x, x2, y]) engine.connect(proxy);
  expect(shown(edit(put('one', { text: '1!' })))).toEqual([
    { proxies: ['x', 'x2', 'y'], upserts: ['one=1!'], removed: [] },
  ]);
  expect(edit(put('one', { text: '1!' }))).toBeUndefined();
  expect(shown(edit(put('two', undefined), put('three', { text: '3' })))).toEqual([
    { proxies: ['x', 'x2', 'y'], upserts: ['three=3'], removed: ['two'] },
  ]);
  expect(pushes).toHaveLength(2);
  expect(engine.revision).toBe(4);
  expect(pushes.at(-1)?.revision).toBe(4);
});

test('proxies of a class share one map, and a type of several collections reads as one', () => {
  const inbound = defineCollection(
    'engine-test-inbound',
    defineQuery('engine-test-inbound-keys', (view) => [view.attribute(namespaceOf)]),
    defineQuery('engine-test-inbound-item', (_, key) => testResource(type, `in|${key}`, 'in')),
  );
  const { engine, edit, texts } = start([items(plain), inbound]);
  edit(put('one', { text: '1' }));
  for (const proxy of [x, x2, y]) engine.connect(proxy);
  expect(texts(x.id)).toEqual({ one: '1', 'in|a': 'in' });
  expect(texts(y.id)).toEqual({ one: '1', 'in|b': 'in' });
  const map = engine.resources(x.id, type);
  expect(engine.resources(x2.id, type)).toBe(map);
  expect(map.size).toBe(2);
  expect([...map.keys()].sort()).toEqual(['in|a', 'one']);
  expect(map.get('in|a')?.version).toBe('in');
  expect(engine.resources('nobody', type).size).toBe(0);
  expect(engine.resources(x.id, 'other').size).toBe(0);
});

test('a query that starts to tell proxies apart parts the class; each hears the difference', () => {
  const { engine, edit, texts } = start([items(plain)]);
  edit(put('one', { text: '1' }), put('two', { text: '2' }));
  for (const proxy of [x, x2, y]) engine.connect(proxy);
  expect(engine.stats().collections[0]?.classes).toBe(1);
  expect(shown(edit(put('one', { text: '1', labels: { app: 'x' } })))).toEqual([
    { proxies: ['x', 'x2'], upserts: ['one=1 true'], removed: [] },
    { proxies: ['y'], upserts: ['one=1 false'], removed: [] },
  ]);
  expect(engine.stats().collections[0]?.classes).toBe(2);
  expect(shown(edit(put('two', { text: '2!' })))).toHaveLength(2);
  expect(texts(y.id)).toEqual({ one: '1 false', two: '2!' });
});

test('classes that nothing tells apart any more become one again', () => {
  const { engine, edit, texts } = start([items(plain)]);
  edit(put('one', { text: '1', labels: { app: 'x' } }), put('two', { text: '2' }));
  for (const proxy of [x, x2, y]) engine.connect(proxy);
  expect(engine.stats().collections[0]?.classes).toBe(2);
  edit(put('one', { text: '1' }));
  expect(engine.stats().collections[0]?.classes).toBe(2);
  engine.collect();
  expect(engine.stats().collections[0]?.classes).toBe(1);
  expect(engine.resources(x.id, type)).toBe(engine.resources(y.id, type));
  expect(shown(edit(put('two', { text: '2!' })))).toEqual([
    { proxies: ['x', 'x2', 'y'], upserts: ['two=2!'], removed: [] },
  ]);
  expect(texts(y.id)).toEqual({ one: '1', two: '2!' });
  expect(engine.stats()).toMatchObject({ facts: 0, masks: 0, projections: 0 });
});

test('equal results stop a change, and what was not read is not recomputed', () => {
  const length: Query<[string], number> = defineQuery(
    'engine-test-length',
    (view, key) => view.get(kind, key)?.text.length ?? 0,
  );
  const { engine, edit } = start([
    items((view, key) => testResource(type, key, `${view.call(length, key)} ${view.mesh('trustDomain')}`)),
  ]);
  edit(put('one', { text: 'abc' }), put('two', { text: 'abcd' }));
  engine.connect(x);
  const runs = (name: RegExp) => engine.stats().queries.find((q) => name.test(q.name))?.computed;
  const before = runs(/-item$/);
  expect(edit(put('one', { text: 'xyz' }))).toBeUndefined();
  expect(runs(/length/)).toBe(3);
  expect(runs(/-item$/)).toBe(before);
  engine.setMesh({ ...defaultMeshConfig, connectTimeout: '1s' });
  expect(engine.flush()).toBeUndefined();
  expect(runs(/-item$/)).toBe(before);
  engine.setMesh({ ...defaultMeshConfig, trustDomain: 'elsewhere' });
  expect(shown(engine.flush())?.[0]?.upserts).toEqual(['one=3 elsewhere', 'two=4 elsewhere']);
});

test('a throwing item keeps its last good resource and is reported when that changes', () => {
  const { engine, edit, texts } = start([items(plain)]);
  const reports: string[][] = [];
  engine.onFailures((failures) =>
    reports.push(failures.map((f) => `${f.args} ${(f.error as Error).message} ${f.proxies.size}`)),
  );
  edit(put('one', { text: '1' }), put('two', { text: '2' }));
  engine.connect(x);
  expect(edit(put('one', { text: '1!', boom: 'no' }))).toBeUndefined();
  expect(texts(x.id)).toEqual({ one: '1', two: '2' });
  edit(put('two', { text: '2!' }));
  edit(put('one', { text: '1!!', boom: 'no' }));
  expect(reports).toEqual([['one no 1']]);
  edit(put('one', { text: '1!!', boom: 'still' }));
  engine.connect(y);
  expect(texts(y.id)).toEqual({ one: '1', two: '2!' });
  expect(shown(edit(put('one', { text: 'good' })))?.[0]?.upserts).toEqual(['one=good']);
  expect(reports.slice(1)).toEqual([['one still 1'], ['one still 2'], []]);
  expect(engine.failures()).toEqual([]);
});

test('two items of one name: the smaller key wins, is reported, and the other takes over', () => {
  const { engine, edit, texts } = start([items(plain)]);
  engine.connect(x);
  edit(put('b', { text: 'of b', name: 'same' }));
  edit(put('a', { text: 'of a', name: 'same' }), put('c', { text: 'of c', name: 'same' }));
  expect(texts(x.id)).toEqual({ same: 'of a' });
  expect(engine.failures().map((f) => [f.args, (f.error as { code?: string }).code])).toEqual([
    [['b'], 'DUPLICATE_RESOURCE'],
    [['c'], 'DUPLICATE_RESOURCE'],
  ]);
  expect(shown(edit(put('a', undefined)))?.[0]?.upserts).toEqual(['same=of b']);
  edit(put('b', { text: 'of b', name: 'other' }), put('c', { text: 'of c', name: 'same' }));
  expect(texts(x.id)).toEqual({ other: 'of b', same: 'of c' });
  edit(put('b', { text: 'b', name: 'same' }), put('c', { text: 'c', name: 'other' }));
  expect(texts(x.id)).toEqual({ same: 'b', other: 'c' });
  expect(engine.failures()).toEqual([]);
});

test('a class that everybody left is kept for the grace period, then nothing is', () => {
  const { engine, edit, texts, wait } = start([items(plain)]);
  edit(put('one', { text: '1', labels: { app: 'x' } }));
  engine.connect(x);
  const computed = () => engine.stats().queries.reduce((sum, q) => sum + q.computed, 0);
  const before = computed();
  engine.disconnect(x.id);
  wait(900);
  engine.collect();
  engine.connect(x);
  expect(computed()).toBe(before);
  engine.disconnect(x.id);
  edit(put('one', { text: 'changed meanwhile' }));
  engine.connect(x);
  expect(texts(x.id)).toEqual({ one: 'changed meanwhile' });
  engine.disconnect(x.id);
  wait(1100);
  engine.collect();
  expect(engine.stats()).toMatchObject({
    entries: 0,
    unused: 0,
    cells: 0,
    facts: 0,
    masks: 0,
    projections: 0,
  });
});

test('in slices: nobody sees half of a flush, what is written meanwhile waits, newcomers are served', async () => {
  const { engine, edit, texts, pushes } = start([
    items((view, key) => plain(view, key) && testResource(type, key, view.mesh('trustDomain'))),
  ]);
  edit(...Array.from({ length: 50 }, (_, i) => put(`k${i}`, { text: '' })));
  engine.connect(x);
  engine.setMesh({ ...defaultMeshConfig, trustDomain: 'new' }, 7);
  let pauses = 0;
  const seen = new Set<string>();
  const done = engine.flushAsync({
    sliceMs: 0,
    pause: async () => {
      if (pauses++ === 10) {
        engine.apply([put('later', { text: '' })], 8);
        engine.connect(y);
        expect(new Set(Object.values(texts(y.id))).size).toBe(1);
        engine.disconnect(y.id);
      }
      for (const text of Object.values(texts(x.id))) seen.add(text);
    },
  });
  await done;
  expect(pauses).toBeGreaterThan(40);
  expect([...seen]).toEqual(['cluster.local']);
  expect(pushes.map((push) => push.revision)).toEqual([7]);
  expect(texts(x.id)).not.toHaveProperty('later');
  expect(engine.pending).toBe(true);
  engine.flush();
  expect(texts(x.id)).toHaveProperty('later', 'new');
  expect(engine.revision).toBe(8);
});

test('what a proxy will need is prepared in slices; connecting then computes nothing, and the world may change meanwhile', async () => {
  const root = items(plain);
  let time = 0;
  let pauses = 0;
  let meanwhile: (() => void) | undefined;
  const pause = async () => {
    if (++pauses === 20) meanwhile?.();
  };
  const { engine, edit, texts } = start([root], { pause, clock: () => ++time * 20 });
  const computed = () => engine.stats().queries.find((query) => query.name === root.item.name)?.computed ?? 0;
  edit(...Array.from({ length: 50 }, (_, i) => put(`k${i}`, { text: 'old' })));
  meanwhile = () => {
    edit(put('k3', { text: 'new' }), put('k50', { text: 'late' }), put('k4', undefined));
  };
  const [first, second] = [testProxy('a'), testProxy('b')];
  await Promise.all([engine.prepare?.(first), engine.prepare?.(second)]);
  expect(pauses).toBeGreaterThan(50);
  const before = computed();
  engine.connect(first);
  expect(computed() - before).toBeLessThan(3);
  expect(texts(first.id)).toMatchObject({ k0: 'old', k3: 'new', k50: 'late' });
  expect(texts(first.id)).not.toHaveProperty('k4');
  expect(engine.prepare?.(second)).toBeUndefined();
  engine.connect(second);
  expect(texts(second.id)).toEqual(texts(first.id));
  engine.disconnect(first.id);
  engine.disconnect(second.id);
});

test('a synchronous flush ends one that is under way', async () => {
  const { engine, edit, texts } = start([items(plain)]);
  edit(put('one', { text: '1' }), put('two', { text: '2' }));
  engine.connect(x);
  engine.apply([put('one', { text: '1!' })]);
  const sliced = engine.flushAsync({ sliceMs: 0, pause: () => Promise.resolve() });
  engine.apply([put('two', { text: '2!' })]);
  engine.flush();
  expect(texts(x.id)).toEqual({ one: '1!', two: '2!' });
  await sliced;
  expect(engine.pending).toBe(false);
});

test('verification finds what a query reads behind the back of its view', () => {
  let hidden = 'first';
  const { engine, edit } = start([items((_, key) => testResource(type, key, hidden))], {
    verify: { sampleRate: 1 },
  });
  edit(put('one', { text: '1' }));
  engine.connect(x);
  engine.connect(x2);
  hidden = 'second';
  expect(() => engine.connect(y)).toThrow(/gives another result for sidecar.*shares.*module state/);
  expect(engine.proxies.has(y.id)).toBe(true);
});

test('a query that tells apart more classes than allowed is reported by name', () => {
  const greedy: Query<[], string> = defineQuery('engine-test-greedy', (view) => view.attribute(namespaceOf));
  const { engine, edit } = start([items((view, key) => testResource(type, key, view.call(greedy)))], {
    bounds: { 'engine-test-greedy': 2 },
  });
  edit(put('one', { text: '1' }));
  engine.connect(x);
  engine.connect(y);
  expect(engine.stats().exceeded).toEqual([]);
  engine.connect(testProxy('z', { namespace: 'c' }));
  expect(engine.stats().exceeded).toEqual([{ name: 'engine-test-greedy', classes: 3, bound: 2 }]);
});

test('a circle is an error of each of its queries until an edit breaks it', () => {
  const follow: Query<[string], string> = defineQuery('engine-test-follow', (view, key) => {
    const next = view.get(kind, key)?.text ?? '';
    return next === '' ? key : view.call(follow, next);
  });
  const { engine, edit, texts } = start([
    items((view, key) => testResource(type, key, view.call(follow, key))),
  ]);
  engine.connect(x);
  edit(put('a', { text: 'b' }), put('b', { text: 'c' }), put('c', { text: 'a' }), put('d', { text: '' }));
  expect(texts(x.id)).toEqual({ d: 'd' });
  const messages = new Set(engine.failures().map((f) => (f.error as Error).message));
  expect([...messages]).toEqual([
    expect.stringContaining(
      'engine-test-follow(a) → engine-test-follow(b) → engine-test-follow(c) → engine-test-follow(a)',
    ),
  ]);
  edit(put('c', { text: 'd' }));
  expect(texts(x.id)).toEqual({ a: 'd', b: 'd', c: 'd', d: 'd' });
  expect(engine.failures()).toEqual([]);
});

test('an item that is no resource, a promise and an argument that is no text are failures, not crashes', () => {
  const wrong: Record<string, (view: View) => unknown> = {
    promise: async () => testResource(type, 'p', ''),
    number: () => 7,
    argument: (view) =>
      view.call(
        defineQuery(`engine-test-${made++}`, (_, a: string) => a),
        7 as unknown as string,
      ),
  };
  const { engine, edit } = start([items((view, key) => wrong[key]?.(view) as Resource)]);
  engine.connect(x);
  edit(...Object.keys(wrong).map((key) => put(key, { text: '' })));
  const messages = engine.failures().map((f) => String(f.error));
  expect(messages.sort()).toEqual([
    expect.stringMatching(/^Error: .*returned a promise/),
    expect.stringMatching(/^TypeError: .*returned no resource/),
    expect.stringMatching(/^TypeError: .*called with a number/),
  ]);
});

test('a value that contains itself is refused before anything is queued', () => {
  const { engine } = start([items(plain)]);
  const cyclic: { text: string; self?: unknown } = { text: '' };
  cyclic.self = cyclic;
  expect(() => engine.apply([put('fine', { text: '1' }), put('bad', cyclic)])).toThrow(/contains itself/);
  expect(engine.pending).toBe(false);
});

test('an error of one listener reaches the caller after all others were told', () => {
  const { engine, edit, pushes } = start([items(plain)]);
  engine.connect(x);
  const stop = engine.onPush(() => {
    throw new Error('listener');
  });
  engine.onPush((push) => pushes.push(push));
  expect(() => edit(put('one', { text: '1' }))).toThrow('listener');
  expect(pushes).toHaveLength(2);
  stop();
  edit(put('one', { text: '2' }));
  expect(pushes).toHaveLength(4);
});
