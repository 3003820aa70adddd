import { afterEach, beforeEach, expect, test } from 'vitest';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../config/object.ts';
import { roots } from '../../pipeline/roots.ts';
import { defaultMeshConfig } from '../../registry/mesh-config.ts';
import { createEngine, type Engine } from '../../snapshot/engine/engine.ts';
import { testProxy } from '../../snapshot/testing.ts';
import { createLedger } from '../../xds/ledger.ts';
import { Delivery } from '../delivery/delivery.ts';
import { FlushLog } from '../delivery/flush-log.ts';
import { RevisionBook } from '../delivery/revision-book.ts';
import { Flusher } from '../flusher.ts';
import { MeshState } from '../mesh-state.ts';
import { Rollouts } from './rollouts.ts';

let engine: Engine;
let state: MeshState;
let flusher: Flusher;
let rollouts: Rollouts;
let pushed: Set<string>;
let stored: number;

beforeEach(async () => {
  engine = createEngine({ roots: roots.collections });
  const flushes = new FlushLog();
  flushes.follow(engine);
  pushed = new Set();
  engine.onPush(({ deltas }) => {
    for (const { proxies } of deltas) for (const id of proxies) pushed.add(id);
  });
  flusher = new Flusher(
    engine,
    (error) => {
      throw error;
    },
    { onFlush: (from, to) => flushes.flushed(from, to) },
  );
  const revisions = new RevisionBook();
  state = new MeshState({
    sources: ['store'],
    mesh: defaultMeshConfig,
    targets: [engine],
    parseMesh: () => ({ ok: false, error: '' }),
    onProblem: () => undefined,
    onMerged: (_source, changes) => rollouts.observe(changes),
    onTaken: (_source, revision, mesh) => revisions.note(revision, mesh),
  });
  rollouts = make(20_000);
  stored = 0;
  await write(service('reviews', 9080), route('/old'));
  for (let n = 0; n < 10; n++) engine.connect(testProxy(`web-${n}`, { namespace: 'default' }));
  pushed.clear();

  function make(leaseMs: number): Rollouts {
    return new Rollouts({
      engine,
      flusher,
      state,
      delivery: new Delivery({ ledger: createLedger(), flushes, revisions, engine }),
      kinds: createBuiltInRegistry(),
      hasTaken: (revision) => revisions.meshRevisionOf(revision) !== undefined,
      log: { info: () => undefined, warn: () => undefined },
      leaseMs,
    });
  }
  remake = (leaseMs) => {
    rollouts.close();
    rollouts = make(leaseMs);
  };
});

let remake: (leaseMs: number) => void;

afterEach(() => {
  rollouts.close();
  flusher.close();
});

const service = (name: string, port: number): ConfigObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { ports: [{ name: 'http', port }], clusterIP: '10.0.0.9' },
});

const route = (path: string): ConfigObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews', namespace: 'default' },
  spec: {
    hosts: ['reviews'],
    http: [{ match: [{ uri: { prefix: path } }], route: [{ destination: { host: 'reviews' } }] }],
  },
});

async function write(...objects: ConfigObject[]): Promise<number> {
  stored++;
  const changes = objects.map((object) => ({
    group: object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] as string) : '',
    kind: object.kind,
    key: `default/${object.metadata.name}`,
    object,
  }));
  state.take('store', { revision: stored, changes, initial: false });
  await flusher.soon();
  return stored;
}

/** Which proxies hold the route of a path. */
function holders(path: string): string[] {
  return [...engine.proxies.keys()].filter((id) =>
    [...engine.resources(id, 'type.googleapis.com/envoy.config.route.v3.VirtualHost').values()].some(
      ({ bytes }) => Buffer.from(bytes).includes(path),
    ),
  );
}

test('the members get it, in a stable order, and nobody else is sent anything', async () => {
  expect(holders('/old')).toHaveLength(10);
  const begun = await rollouts.start({ objects: [route('/new')] }, 0.2);
  expect(begun).toMatchObject({ state: 'trying', concerned: 10 });
  expect(begun.members).toHaveLength(2);
  expect(holders('/new').sort()).toEqual([...begun.members].sort());
  expect([...pushed].sort()).toEqual([...begun.members].sort());
  const more = await rollouts.step(begun.id, 0.5);
  expect(more.members.slice(0, 2)).toEqual(begun.members);
  expect(holders('/new').sort()).toEqual([...more.members].sort());
  await expect(rollouts.start({ objects: [route('/other')] }, 1)).rejects.toThrow(
    'another change is being tried',
  );
  await rollouts.end(begun.id, undefined);
  expect(holders('/old')).toHaveLength(10);
  expect(engine.proxies.size).toBe(10);
  const again = await rollouts.start({ objects: [route('/new')] }, 0.2);
  expect(again.members).toEqual(begun.members);
});

test('where it is stored for everybody, those that tried it are sent nothing', async () => {
  const { id, members } = await rollouts.start({ objects: [route('/new')] }, 0.3);
  pushed.clear();
  const revision = await write(route('/new'));
  await rollouts.end(id, revision);
  expect(holders('/new')).toHaveLength(10);
  expect(members.filter((member) => pushed.has(member))).toEqual([]);
  expect(pushed.size).toBe(7);
});

test('other changes reach everybody meanwhile', async () => {
  const { members } = await rollouts.start({ objects: [route('/new')] }, 0.2);
  pushed.clear();
  await write(service('ratings', 9080));
  expect(pushed.size).toBe(10);
  expect(holders('ratings')).toHaveLength(10);
  expect(holders('/new').sort()).toEqual([...members].sort());
});

test('it ends when somebody else changes its object, and when nobody asks about it', async () => {
  const first = await rollouts.start({ objects: [route('/new')] }, 1);
  await write(route('/theirs'));
  await flusher.soon();
  expect(await rollouts.report(first.id, 0)).toMatchObject({
    state: 'ended',
    why: 'VirtualService default/reviews was changed by somebody else meanwhile',
  });
  await expect.poll(() => holders('/theirs').length).toBe(10);
  // Longer than a loaded machine takes to look.
  remake(3_000);
  const second = await rollouts.start({ objects: [route('/new')] }, 1);
  expect(holders('/new')).toHaveLength(10);
  await expect.poll(() => holders('/theirs').length, { timeout: 30_000 }).toBe(10);
  expect(await rollouts.report(second.id, 0)).toMatchObject({ why: 'nobody asked about it any longer' });
});

test('who is asked for goes first, and a deletion is tried like any change', async () => {
  const all = await rollouts.start({ objects: [route('/new')] }, 1);
  const last = all.members.at(-1) as string;
  await rollouts.end(all.id, undefined);
  const name = last.split('~')[2] as string;
  const { id, members } = await rollouts.start({ removed: [route('/old')] }, 0.1, [name]);
  expect(members).toEqual([last]);
  expect(holders('/old')).toHaveLength(9);
  expect(holders('/old')).not.toContain(last);
  await rollouts.end(id, undefined);
  expect(holders('/old')).toHaveLength(10);
});

test('of some kinds only what acts in the compile is tried', async () => {
  const filter = (applyTo: string): ConfigObject => ({
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'patch', namespace: 'default' },
    spec: { configPatches: [{ applyTo, patch: { operation: 'MERGE', value: {} } }] },
  });
  await expect(rollouts.start({ objects: [filter('BOOTSTRAP')] }, 1)).rejects.toThrow(
    'EnvoyFilter patch cannot be tried on some proxies: spec.configPatches[0]',
  );
  const tokens: ConfigObject = {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'tokens', namespace: 'default' },
    spec: { jwtRules: [{ issuer: 'https://idp.example', jwksUri: 'https://idp.example/keys' }] },
  };
  await expect(rollouts.start({ objects: [tokens] }, 1)).rejects.toThrow('keys are fetched');
});

test('what cannot be tried, or is not valid, is refused and leaves nothing behind', async () => {
  await expect(rollouts.start({ objects: [service('reviews', 80)] }, 1)).rejects.toThrow(
    'Service reviews: this kind cannot be tried on some proxies',
  );
  const wrong = { ...route('/x'), spec: { hosts: ['reviews'], http: [{ route: 'nothing' }] } };
  await expect(rollouts.start({ objects: [wrong] }, 1)).rejects.toThrow('spec.http[0].route');
  await expect(rollouts.report('unknown', 0)).rejects.toThrow('there is no such rollout');
  const same = await rollouts.start({ objects: [route('/old')] }, 1);
  expect(same).toMatchObject({ state: 'ended', concerned: 0 });
  expect(pushed.size).toBe(0);
});
