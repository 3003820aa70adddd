import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import { Random } from '../../snapshot/engine/testing/random.ts';
import { History, type HistoryLimits } from './history.ts';
import type { ObservedChange } from './observed-change.ts';

let directory: string;
let now: number;
let warnings: string[];
let world: Map<string, ObservedChange>;
let open: History[];

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'ostria-history-')), 'history');
  now = Date.parse('2026-11-27T14:00:00Z');
  warnings = [];
  world = new Map();
  open = [];
});

afterEach(async () => {
  for (const history of open) await history.close();
  rmSync(join(directory, '..'), { recursive: true, force: true });
});

async function start(limits: Partial<HistoryLimits> = {}): Promise<History> {
  const history = new History({
    directory,
    limits,
    present: () => world.values(),
    warn: (message) => warnings.push(message),
    now: () => now,
  });
  open.push(history);
  await history.start();
  return history;
}

function object(kind: string, name: string, fields: Record<string, unknown>): ConfigObject {
  const core = ['Secret', 'Pod', 'Event'].includes(kind);
  const apiVersion = core ? 'v1' : 'networking.istio.io/v1';
  return { apiVersion, kind, metadata: { name, namespace: 'default' }, ...fields };
}

/** One commit, as the merge tells of it. */
function write(history: History, ...objects: ConfigObject[]): void {
  now += 1_000;
  history.record(
    'store',
    objects.map((one) => observe(one)),
  );
}

function observe(one: ConfigObject): ObservedChange {
  const group = one.apiVersion.includes('/') ? (one.apiVersion.split('/')[0] as string) : '';
  const key = `default/${one.metadata.name}`;
  const id = `${group}/${one.kind} ${key}`;
  const change = { group, kind: one.kind, key, object: one, previous: world.get(id)?.object };
  world.set(id, change);
  return change;
}

function remove(history: History, kind: string, name: string): void {
  now += 1_000;
  const id = `networking.istio.io/${kind} default/${name}`;
  const previous = world.get(id)?.object;
  world.delete(id);
  history.record('store', [{ group: 'networking.istio.io', kind, key: `default/${name}`, previous }]);
}

const route = (name: string, weight: number) =>
  object('VirtualService', name, { spec: { hosts: [name], http: [{ weight }] } });

const files = () => readdirSync(directory).sort();

test('lists changes, newest first, with who wrote them and what they changed', async () => {
  const history = await start();
  const managed = (one: ConfigObject, manager: string, time: string): ConfigObject => ({
    ...one,
    metadata: {
      ...one.metadata,
      managedFields: [
        { manager: 'ostria-controller', subresource: 'status', time: '2027-01-01T00:00:00Z' },
        { manager, operation: 'Apply', time },
      ],
    },
  });
  write(history, managed(route('a', 1), 'kubectl', '2026-11-27T14:00:00Z'));
  write(history, managed(route('a', 2), 'helm', '2026-11-27T14:00:01Z'), route('b', 1));
  remove(history, 'VirtualService', 'a');
  const { changes, newest } = await history.list({});
  const brief = changes.map(({ revision, action, key, paths, by }) => [revision, action, key, paths, by]);
  expect(brief).toEqual([
    [3, 'deleted', 'default/a', [], undefined],
    [2, 'created', 'default/b', [], undefined],
    [2, 'changed', 'default/a', ['spec.http[0].weight'], 'helm'],
    [1, 'created', 'default/a', [], 'kubectl'],
  ]);
  expect(newest).toEqual({ revision: 3, at: Date.parse('2026-11-27T14:00:03Z') });
  const one = await history.list({ name: 'b', kinds: new Set(['networking.istio.io/VirtualService']) });
  expect(one.changes).toHaveLength(1);
  expect(await history.list({ limit: 1 })).toMatchObject({ more: true, changes: [{ revision: 3 }] });
  expect((await history.list({ since: now - 1_000 })).changes).toHaveLength(3);
  expect((await history.list({ until: now - 2_000 })).changes.map(({ revision }) => revision)).toEqual([1]);
});

test('tells the objects as of a time, and what differs between two', async () => {
  const history = await start();
  write(history, route('a', 1), route('b', 1), route('c', 1));
  const before = now;
  write(history, route('a', 2));
  write(history, route('b', 2));
  write(history, route('b', 1));
  remove(history, 'VirtualService', 'c');
  write(history, route('d', 1));
  const weights = async (at: number) =>
    [...(await history.objectsAt({ at })).state.values()].map(({ metadata, spec }) => [
      metadata.name,
      (spec as { http: { weight: number }[] }).http[0]?.weight,
    ]);
  expect(await weights(before)).toEqual([
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ]);
  expect(await weights(before + 999)).toEqual([
    ['a', 1],
    ['b', 1],
    ['c', 1],
  ]);
  expect(await weights(now)).toEqual([
    ['a', 2],
    ['b', 1],
    ['d', 1],
  ]);
  const difference = await history.difference({ at: before }, { at: now });
  expect(difference.from.revision).toBe(1);
  expect(difference.to.revision).toBe(6);
  expect(
    difference.objects.map(({ key, before: old, after }) => [key, old !== undefined, after !== undefined]),
  ).toEqual([
    ['default/a', true, true],
    ['default/c', true, false],
    ['default/d', false, true],
  ]);
  expect((await history.difference({ revision: 3 }, { revision: 4 })).objects).toHaveLength(1);
  await expect(history.objectsAt({ at: 1 })).rejects.toThrow(
    'the history begins at 2026-11-27T14:00:00.000Z',
  );
});

test('values of Secrets never reach a file, but that they changed does', async () => {
  const history = await start();
  const secret = (value: string): ConfigObject => {
    const data = { password: value, user: 'dXNlcg==' };
    const annotations = {
      'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ data }),
      note: 'kept',
    };
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default', annotations },
      data,
    };
  };
  write(history, secret('aHVudGVyMg=='));
  write(history, secret('czNjcmV0'));
  const { changes } = await history.list({ name: 's' });
  expect(changes.map(({ action, paths }) => [action, paths])).toEqual([
    ['changed', ['data.password']],
    ['created', []],
  ]);
  await history.close();
  const again = await start();
  write(again, secret('bmV4dA=='));
  const { state } = await again.objectsAt({ at: now });
  expect([...state.values()][0]).toMatchObject({
    data: { password: '[not kept: value 3]', user: '[not kept: value 1]' },
    metadata: { annotations: { note: 'kept' } },
  });
  await again.close();
  const written = files().map((file) => readFileSync(join(directory, file), 'latin1'));
  for (const text of ['aHVudGVyMg', 'czNjcmV0', 'dXNlcg', 'bmV4dA'])
    expect(written.join('')).not.toContain(text);
  for (const file of files()) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
});

test('statuses of ours, versions and events are no history; addresses of Pods are', async () => {
  const history = await start();
  write(history, route('a', 1), object('Event', 'e', {}));
  write(history, {
    ...route('a', 1),
    metadata: { name: 'a', namespace: 'default', resourceVersion: '9', generation: 2 },
    status: { conditions: [{ type: 'Programmed', status: 'False' }] },
  });
  write(history, object('Pod', 'p', { status: { podIP: '10.0.0.1', hostIP: '1.2.3.4' } }));
  write(history, object('Pod', 'p', { status: { podIP: '10.0.0.2', hostIP: '1.2.3.4' } }));
  const { changes } = await history.list({});
  expect(changes.map(({ key, action, paths }) => [key, action, paths])).toEqual([
    ['default/p', 'changed', ['status.podIP']],
    ['default/p', 'created', []],
    ['default/a', 'created', []],
  ]);
  const written = await history.list({ statuses: false });
  expect(written.changes.map(({ action }) => action)).toEqual(['created', 'created']);
  expect(written.statusesLeftOut).toBe(true);
});

test('goes on after a restart: what changed meanwhile is an entry of its own, a line that was cut is cut off', async () => {
  const first = await start();
  write(first, route('a', 1), route('b', 1));
  write(first, route('a', 2));
  await first.close();
  const log = join(directory, files().find((file) => file.endsWith('1.jsonl')) as string);
  truncateSync(log, statSync(log).size - 5);
  world.clear();
  observe(route('b', 1));
  observe(route('c', 1));
  now += 60_000;
  const second = await start();
  const { changes } = await second.list({});
  expect(changes.map(({ revision, source, key, action }) => [revision, source, key, action])).toEqual([
    [2, 'start', 'default/a', 'deleted'],
    [2, 'start', 'default/c', 'created'],
    [1, 'store', 'default/b', 'created'],
    [1, 'store', 'default/a', 'created'],
  ]);
  write(second, route('c', 5));
  expect((await second.difference({ revision: 1 }, { revision: 3 })).objects).toHaveLength(2);
  expect(warnings).toEqual([]);
});

test('is bounded in changes, bytes and age: the oldest goes, what is left can be read', async () => {
  const history = await start({ changes: 400 });
  for (let weight = 0; weight < 2_000; weight++) {
    write(history, route('a', weight));
    if (weight % 50 === 0) await history.settled();
  }
  await history.settled();
  const { changes, begins } = await history.list({ limit: 5_000 });
  expect(changes.length).toBeGreaterThanOrEqual(200);
  expect(changes.length).toBeLessThanOrEqual(501);
  expect(begins.revision).toBeGreaterThan(1_000);
  expect((await history.objectsAt({ revision: begins.revision })).state.size).toBe(1);
  await expect(history.objectsAt({ revision: begins.revision - 1 })).rejects.toThrow('the history begins');
  const [newest, before] = changes;
  const { objects } = await history.difference(
    { revision: before?.revision as number },
    { revision: newest?.revision as number },
  );
  expect(objects).toMatchObject([{ after: { spec: { http: [{ weight: 1_999 }] } } }]);
  await history.close();
  const aged = await start({ ageMs: 3_600_000 });
  for (let hour = 0; hour < 5; hour++) {
    now += 1_800_000;
    write(aged, route('a', hour));
    await aged.settled();
  }
  expect((await aged.list({ limit: 5_000 })).changes.length).toBeLessThan(10);
});

test('random commits, restarts and rotations: every remembered moment is told as it was', async () => {
  const random = new Random(Number(process.env.OSTRIA_SEED ?? 7));
  let history = await start({ changes: 1_600 });
  const states = new Map<number, string>();
  const text = (objects: Iterable<ConfigObject>): string =>
    JSON.stringify([...objects].map((one) => JSON.stringify(one)).sort());
  for (let step = 0; step < 600; step++) {
    const name = `r${random.below(12)}`;
    if (random.below(5) === 0 && world.has(`networking.istio.io/VirtualService default/${name}`))
      remove(history, 'VirtualService', name);
    else write(history, route(name, random.below(4)), route(`q${random.below(3)}`, random.below(100)));
    states.set(history.newest.revision, text([...world.values()].flatMap(({ object: one }) => one ?? [])));
    if (random.below(60) === 0) {
      await history.close();
      history = await start({ changes: 1_600 });
    } else if (random.below(10) === 0) await history.list({ limit: 1 });
  }
  const { begins } = await history.list({});
  let looked = 0;
  for (const [revision, expected] of states) {
    if (revision < begins.revision || random.below(8) > 0) continue;
    looked++;
    const { state } = await history.objectsAt({ revision });
    expect(text(state.values())).toBe(expected);
  }
  expect(looked).toBeGreaterThan(20);
  expect(warnings).toEqual([]);
});

test('a disk that refuses leaves a gap, which is told, and what comes after it is right', async () => {
  let full = false;
  const history = new History({
    directory,
    present: () => world.values(),
    warn: (message) => warnings.push(message),
    now: () => now,
    append: (file, bytes) => (full ? Promise.reject(new Error('no space left')) : file.appendFile(bytes)),
  });
  open.push(history);
  await history.start();
  write(history, route('a', 1));
  await history.list({});
  full = true;
  write(history, route('a', 2));
  await history.list({});
  expect(warnings.join()).toMatch(/has a gap from now on: no space left/);
  write(history, route('a', 3));
  full = false;
  now += 61_000;
  write(history, route('a', 4));
  await history.list({});
  write(history, route('a', 5));
  const weights = async (): Promise<unknown> =>
    (await history.difference({ revision: 1 }, { at: now })).objects.map(({ before, after }) => [
      before?.spec,
      after?.spec,
    ]);
  await expect.poll(weights).toMatchObject([[{ http: [{ weight: 1 }] }, { http: [{ weight: 5 }] }]]);
  const { changes } = await history.list({});
  expect(changes.map(({ paths }) => paths)).toEqual([['spec.http[0].weight'], []]);
});
