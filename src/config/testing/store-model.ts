import { expect, test } from 'vitest';
import { fc } from '../../../test/support/properties.ts';
import type {
  CommitResult,
  ListOptions,
  ObjectRef,
  Store,
  StoredObject,
  StoreEvent,
  WatchItem,
  WriteOp,
} from '../store/store.ts';
import { put, remove, type StoreUnderTest } from './store-operations.ts';

/** What one actor does. Names and namespaces are few, so that actors meet. */
type Step =
  | {
      do: 'commit';
      writes: { key: number; remove: boolean; expect: 'any' | 'absent' | 'current' | 'stale' }[];
    }
  | { do: 'list'; filter: number; limit: number }
  | { do: 'watch'; filter: number; back: number }
  | { do: 'compact'; back: number }
  | { do: 'rest'; turns: number };

const keys: ObjectRef[] = ['services', 'pods'].flatMap((resource) =>
  ['', 'a', 'a-b'].flatMap((namespace) => ['x', 'y'].map((name) => ({ resource, namespace, name }))),
);
const filters: { resource?: string; namespace?: string }[] = [
  {},
  { resource: 'services' },
  { resource: 'pods', namespace: 'a' },
  { resource: 'services', namespace: '' },
];

const writeArbitrary = fc.record({
  key: fc.nat(keys.length - 1),
  remove: fc.boolean(),
  expect: fc.constantFrom(
    'any' as const,
    'absent' as const,
    'current' as const,
    'current' as const,
    'stale' as const,
  ),
});
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      writes: fc.uniqueArray(writeArbitrary, { maxLength: 3, selector: (w) => w.key }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('list' as const),
      filter: fc.nat(filters.length - 1),
      limit: fc.nat(4),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('watch' as const),
      filter: fc.nat(filters.length - 1),
      back: fc.nat(20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const), back: fc.nat(10) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rest' as const), turns: fc.nat(3) }) },
);
const actorsArbitrary = fc.array(fc.array(stepArbitrary, { maxLength: 12 }), { minLength: 1, maxLength: 5 });

/** Everything that was seen of the store from outside. */
interface Observed {
  commits: { ops: WriteOp[]; before: number; result: CommitResult; after: number }[];
  lists: { filter: (typeof filters)[number]; items: StoredObject[]; revision: number }[];
  watches: { filter: (typeof filters)[number]; from: number; items: WatchItem[]; failure?: string }[];
}

/** A state of the model: objects by id, with the revision that wrote them. */
type State = ReadonlyMap<string, { revision: number; value: unknown }>;

const id = (ref: ObjectRef) => `${ref.resource}/${ref.namespace}/${ref.name}`;
const valueIn = (object: { spec?: unknown } | undefined) =>
  (object?.spec as { value: unknown } | undefined)?.value;
const wanted = (ref: ObjectRef, filter: (typeof filters)[number]) =>
  (filter.resource === undefined || filter.resource === ref.resource) &&
  (filter.namespace === undefined || filter.namespace === ref.namespace);

/** Random actors at the same time on one store; then what each saw is compared with a replay of the commits in their order. */
export function testStoreModel(name: string, open: () => Promise<StoreUnderTest>, numRuns: number): void {
  test(`${name}: concurrent writers, readers and watchers agree with the model`, {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(actorsArbitrary, async (actors) => {
        const { store, dispose } = await open();
        try {
          const first = await store.revision();
          check(await run(store, actors, first), first);
        } finally {
          await dispose();
        }
      }),
      { numRuns },
    );
  });
}

async function run(store: Store, actors: readonly (readonly Step[])[], first: number): Promise<Observed> {
  const observed: Observed = { commits: [], lists: [], watches: [] };
  const abort = new AbortController();
  const watching: Promise<void>[] = [];
  let values = 0;
  const act = async (step: Step): Promise<void> => {
    if (step.do === 'rest')
      for (let i = 0; i < step.turns; i++) await new Promise((resolve) => setImmediate(resolve));
    if (step.do === 'commit') {
      const ops: WriteOp[] = [];
      for (const write of step.writes) ops.push(await writeOp(store, write, () => ++values));
      const before = await store.revision();
      const result = await store.commit(ops);
      observed.commits.push({ ops, before, result, after: await store.revision() });
    }
    if (step.do === 'list') {
      const filter = filters[step.filter] as (typeof filters)[number];
      const listed = await listAll(store, { ...filter, limit: step.limit });
      if (listed) observed.lists.push({ filter, ...listed });
    }
    if (step.do === 'watch') {
      const filter = filters[step.filter] as (typeof filters)[number];
      const from = Math.max(first, (await store.revision()) - step.back);
      watching.push(watch(store, filter, from, abort.signal, observed));
    }
    if (step.do === 'compact') await store.compact(Math.max(first, (await store.revision()) - step.back));
  };
  await Promise.all(
    actors.map(async (steps) => {
      for (const step of steps) await act(step);
    }),
  );
  const last = await store.revision();
  const behind = () =>
    observed.watches.some(
      ({ items, failure }) => failure === undefined && (items.at(-1)?.revision ?? 0) < last,
    );
  for (let i = 0; i < 2000 && behind(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(behind(), 'a watcher did not catch up').toBe(false);
  abort.abort();
  await Promise.all(watching);
  return observed;
}

async function writeOp(
  store: Store,
  write: Extract<Step, { do: 'commit' }>['writes'][number],
  nextValue: () => number,
): Promise<WriteOp> {
  const ref = keys[write.key] as ObjectRef;
  const current = (await store.get(ref))?.revision ?? 0;
  const expected = { any: undefined, absent: 0, current, stale: Math.max(1, current - 1) }[write.expect];
  return write.remove ? remove(ref, expected) : put(ref, nextValue(), expected);
}

/** All pages. Undefined where compaction overtook the list, which is allowed. */
async function listAll(
  store: Store,
  options: ListOptions,
): Promise<{ items: StoredObject[]; revision: number } | undefined> {
  const items: StoredObject[] = [];
  try {
    let page = await store.list(options);
    items.push(...page.items);
    while (page.continue !== undefined) {
      page = await store.list({ ...options, continue: page.continue });
      items.push(...page.items);
    }
    return { items, revision: page.revision };
  } catch (error) {
    expect((error as { code: string }).code).toMatch(/^(ContinueExpired|RevisionCompacted)$/);
    return undefined;
  }
}

async function watch(
  store: Store,
  filter: (typeof filters)[number],
  from: number,
  signal: AbortSignal,
  observed: Observed,
): Promise<void> {
  const watched: Observed['watches'][number] = { filter, from, items: [] };
  observed.watches.push(watched);
  try {
    for await (const item of store.watch({ ...filter, from, signal })) watched.items.push(item);
  } catch (error) {
    watched.failure = (error as { code: string }).code;
  }
}

function check(observed: Observed, first: number): void {
  const { states, events } = replay(observed.commits, first);
  const revisions = [...states.keys()];
  const stateAt = (revision: number): State =>
    states.get(revisions.findLast((r) => r <= revision) ?? first) ?? new Map();

  for (const { ops, before, result, after } of observed.commits) {
    if (result.ok) {
      expect(result.revision).toBeLessThanOrEqual(after);
      continue;
    }
    const { index, current } = result.conflict;
    const op = ops[index] as WriteOp;
    const possible = [stateAt(before), ...revisions.filter((r) => r > before && r <= after).map(stateAt)];
    const seen = current && { revision: current.revision, value: valueIn(current.object) };
    expect(possible.map((state) => state.get(id(op.ref)))).toContainEqual(seen);
    expect(op.expect).not.toBe(current?.revision ?? 0);
  }
  for (const { filter, items, revision } of observed.lists) {
    const expected = [...stateAt(revision)].filter(([key]) => wanted(refOf(key), filter));
    const got = items.map((item) => [id(item.ref), { revision: item.revision, value: valueIn(item.object) }]);
    expect(Object.fromEntries(got)).toEqual(Object.fromEntries(expected));
    expect(got).toHaveLength(expected.length);
  }
  for (const { filter, from, items, failure } of observed.watches) {
    if (failure !== undefined) {
      expect([failure, items.length]).toEqual(['RevisionCompacted', items.length]);
    }
    const got = items.filter((item) => item.type === 'events');
    const expected = [...events]
      .filter(([revision]) => revision > from)
      .map(
        ([revision, all]) =>
          [
            revision,
            all
              .filter((event) => wanted(event.ref, filter))
              .map((event) => event.text)
              .sort(),
          ] as const,
      )
      .filter(([, texts]) => texts.length > 0);
    const seen = got.map((item) => [item.revision, item.events.map(textOf).sort()]);
    expect(seen).toEqual(failure === undefined ? expected : expected.slice(0, seen.length));
    const order = items.map((item) => item.revision);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  }
}

function refOf(key: string): ObjectRef {
  const [resource = '', namespace = '', name = ''] = key.split('/');
  return { resource, namespace, name };
}

function textOf(event: StoreEvent): string {
  return `${event.type} ${id(event.ref)} ${valueIn(event.object)} was ${valueIn(event.previous)}`;
}

/** The states and events that the successful commits make, in the order of their revisions. */
function replay(commits: Observed['commits'], first: number) {
  const states = new Map<number, State>([[first, new Map()]]);
  const events = new Map<number, { ref: ObjectRef; text: string }[]>();
  const state = new Map<string, { revision: number; value: unknown }>();
  const done = commits.flatMap(({ ops, result }) => (result.ok ? [{ ops, revision: result.revision }] : []));
  // A commit that changed nothing shares the revision of the one before it, and comes after it.
  const changing = (ops: readonly WriteOp[]) => (ops.some((op) => op.type === 'put') ? 0 : 1);
  done.sort((a, b) => a.revision - b.revision || changing(a.ops) - changing(b.ops));
  for (const { ops, revision } of done) {
    const made: { ref: ObjectRef; text: string }[] = [];
    const changes: [string, { revision: number; value: unknown } | undefined][] = [];
    for (const op of ops) {
      const before = state.get(id(op.ref));
      if (op.expect !== undefined) expect(before?.revision ?? 0).toBe(op.expect);
      if (op.type === 'delete' && !before) continue;
      const value = op.type === 'put' ? valueIn(op.object) : before?.value;
      const type = op.type === 'delete' ? 'deleted' : before ? 'modified' : 'added';
      made.push({ ref: op.ref, text: `${type} ${id(op.ref)} ${value} was ${before?.value}` });
      changes.push([id(op.ref), op.type === 'put' ? { revision, value } : undefined]);
    }
    if (made.length === 0) continue;
    expect(events.has(revision), `revision ${revision} was given out twice`).toBe(false);
    for (const [key, value] of changes) {
      if (value) state.set(key, value);
      else state.delete(key);
    }
    events.set(revision, made);
    states.set(revision, new Map(state));
  }
  return { states, events };
}
