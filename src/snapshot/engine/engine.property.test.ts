import { expect, test } from 'vitest';
import { defaultMeshConfig, type MeshConfig } from '../../registry/mesh-config.ts';
import type { MeshProxy } from '../proxy.ts';
import { type RebuildFailure, rebuild } from '../rebuild.ts';
import type { Resource } from '../resource.ts';
import { testProxy } from '../testing.ts';
import { Trial } from '../trial.ts';
import { World, type WorldChange } from '../world.ts';
import { createEngine, type Engine } from './engine.ts';
import { Mirror } from './testing/mirror.ts';
import { Random } from './testing/random.ts';
import { syntheticRoots, types, virtualHosts, virtualHostsOfAll } from './testing/synthetic-mesh.ts';

const namespaces = ['a', 'b', 'root'];
const labelSets = [{}, { app: 'x' }, { app: 'y' }, { app: 'x', tier: 'front' }];
const zones = ['z1', 'z2'];
const hosts = Array.from({ length: 9 }, (_, i) => `${namespaces[i % 3]}/h${i}`);
const typeUrls = Object.values(types);
const runs = Number(process.env.OSTRIA_PROPERTY_SEEDS ?? (process.env.OSTRIA_NIGHTLY ? 300 : 16));
const steps = Number(process.env.OSTRIA_PROPERTY_STEPS ?? 420);
const firstSeed = Number(process.env.OSTRIA_PROPERTY_FIRST_SEED ?? 1);

const sameAs = (collection: string) =>
  collection === virtualHostsOfAll.name ? virtualHosts.name : collection;

/** One random history: the engine with its mirror, and a plain world for the oracle. */
class History {
  readonly random: Random;
  readonly world = new World();
  mesh: MeshConfig = { ...defaultMeshConfig, rootNamespace: 'root' };
  time = 0;
  readonly engine: Engine;
  readonly mirror: Mirror;
  readonly connected = new Map<string, MeshProxy>();
  /** Every resource that a key ever had, for any proxy: what may stay in force while it fails. */
  readonly seen = new Map<string, Set<string>>();
  /** What is tried on some proxies, if anything is; the objects of the world, to make theirs of. */
  tried: { readonly changes: readonly WorldChange[]; readonly members: ReadonlySet<string> } | undefined;
  readonly objects = new Map<string, WorldChange>();
  triedWorld: { readonly world: World; readonly edits: number; readonly trials: number } | undefined;
  trials = 0;
  edits = 0;
  failing = 0;
  compared = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.engine = createEngine({
      roots: syntheticRoots,
      clock: () => this.time,
      graceMs: 50,
      verify: { sampleRate: 0.05 },
    });
    this.mirror = new Mirror(this.engine, typeUrls);
    this.engine.setMesh(this.mesh);
    this.engine.flush();
  }

  change(): WorldChange {
    const { random } = this;
    const value = <T>(make: () => T): T | undefined => (random.chance(0.25) ? undefined : make());
    const labels = () => random.pick(labelSets);
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return {
          kind: 'syn-host',
          key: random.pick(hosts),
          value: value(() => ({
            namespace: random.pick(namespaces),
            exportTo: random.pick(['*', '*', 'a', 'b']),
            port: 80 + random.below(2),
            ...(random.chance(0.3) ? { alias: random.pick(hosts) } : {}),
            ...(random.chance(0.6) ? { nickname: `n${random.below(4)}` } : {}),
          })),
        };
      case 3:
      case 4:
      case 5:
        return {
          kind: 'syn-rule',
          key: `a/r${random.below(8)}`,
          value: value(() => ({
            host: random.pick(hosts),
            to: random.pick(hosts),
            note: String(random.below(3)),
            boom: random.chance(0.15),
            ...(random.chance(0.4) ? { sourceLabels: labels() } : {}),
            ...(random.chance(0.3) ? { sourceNamespace: random.pick(namespaces) } : {}),
          })),
        };
      case 6:
      case 7:
        return {
          kind: 'syn-traffic',
          key: `a/t${random.below(6)}`,
          value: value(() => ({
            host: random.pick(hosts),
            namespace: random.pick(namespaces),
            byZone: random.chance(0.4),
            policy: `p${random.below(3)}`,
          })),
        };
      case 8:
      case 9:
        return {
          kind: 'syn-addresses',
          key: random.pick(hosts),
          value: value(() => ({ ips: Array.from({ length: random.below(3) }, (_, i) => `10.0.0.${i}`) })),
        };
      case 10:
        return {
          kind: 'syn-policy',
          key: `a/p${random.below(6)}`,
          value: value(() => ({
            namespace: random.pick(namespaces),
            selector: labels(),
            rule: `r${random.below(3)}`,
          })),
        };
      default:
        return {
          kind: 'syn-switch',
          key: 'default/keys',
          value: value(() => ({ broken: random.chance(0.3) })),
        };
    }
  }

  edit(): void {
    const changes = Array.from({ length: 1 + this.random.below(3) }, () => this.change());
    this.edits += changes.length;
    this.world.apply(changes);
    for (const change of changes) this.objects.set(`${change.kind} ${change.key}`, change);
    this.engine.apply(changes, this.edits);
    this.editTrial(changes);
    if (this.random.chance(0.04)) this.editMesh();
  }

  /** A trial begins, goes over to others, or ends; also because one of its objects is changed for everybody. */
  editTrial(changes: readonly WorldChange[]): void {
    const { random, tried } = this;
    const isTouched = tried?.changes.some(({ kind, key }) =>
      changes.some((change) => change.kind === kind && change.key === key),
    );
    if (!isTouched && !random.chance(0.25)) return;
    if (tried && (isTouched || random.chance(0.4))) {
      this.tried = undefined;
      this.engine.setTrial(undefined);
      return;
    }
    const drawn = tried?.changes ?? Array.from({ length: 1 + random.below(3) }, () => this.change());
    const unique = [...new Map(drawn.map((change) => [`${change.kind} ${change.key}`, change])).values()];
    const members = new Set([...this.connected.keys()].filter(() => random.chance(0.4)));
    this.tried = { changes: unique, members };
    this.trials++;
    this.engine.setTrial(new Trial(this.world, unique, members));
  }

  /** The world as a proxy is to see it. */
  worldOf(proxy: MeshProxy): World {
    if (!this.tried?.members.has(proxy.id)) return this.world;
    if (this.triedWorld?.edits === this.edits && this.triedWorld.trials === this.trials)
      return this.triedWorld.world;
    const world = new World();
    world.apply(this.objects.values());
    world.apply(this.tried.changes);
    this.triedWorld = { world, edits: this.edits, trials: this.trials };
    return world;
  }

  editMesh(): void {
    const { random } = this;
    this.mesh = {
      ...this.mesh,
      connectTimeout: `${random.below(3)}s`,
      rootNamespace: random.pick(['root', 'root', 'b']),
      accessLogFile: random.pick(['', '/dev/stdout']),
    };
    this.engine.setMesh(this.mesh);
    this.edits++;
  }

  churn(): void {
    const { random } = this;
    const name = `p${random.below(9)}`;
    const id = [...this.connected.keys()].find((known) => known.includes(`~${name}.`));
    if (id !== undefined && random.chance(0.5)) {
      this.look(this.connected.get(id) as MeshProxy);
      this.engine.disconnect(id);
      this.mirror.disconnected(id);
      this.connected.delete(id);
      return;
    }
    if (id !== undefined) {
      this.connect(this.connected.get(id) as MeshProxy);
      return;
    }
    const proxy = testProxy(name, { namespace: random.pick(namespaces), labels: random.pick(labelSets) });
    const locality = { region: 'r', zone: random.pick(zones), subZone: '' };
    this.connect({ ...proxy, locality, vhds: random.chance(0.8) });
  }

  connect(proxy: MeshProxy): void {
    this.engine.connect(proxy);
    this.connected.set(proxy.id, proxy);
    this.mirror.connected(proxy.id);
    this.look(proxy);
  }

  /** Notes what the engine's present world gives a proxy that comes or goes between two comparisons. */
  look(proxy: MeshProxy): void {
    rebuild(this.engine.world, this.engine.world.mesh, proxy, [...syntheticRoots, virtualHostsOfAll], {
      onItem: (collection, key, resource) => this.see(collection, key, resource),
    });
  }

  see(collection: string, key: string, resource: Resource): void {
    const id = `${sameAs(collection)} ${key}`;
    const seen = this.seen.get(id) ?? new Set();
    this.seen.set(id, seen.add(`${resource.typeUrl} ${resource.name} ${resource.version}`));
  }

  async flush(): Promise<void> {
    this.time += this.random.below(30);
    if (this.random.chance(0.5)) {
      this.engine.flush();
      return;
    }
    const pause = async () => {
      if (this.random.chance(0.2)) this.churn();
      // Until the end of the flush nobody sees half of it.
      if (this.random.chance(0.1)) this.compareMirror();
    };
    await this.engine.flushAsync({ sliceMs: 0, pause });
  }

  compareMirror(): void {
    for (const [id, byType] of this.mirror.held)
      for (const [typeUrl, names] of byType) {
        const present = this.engine.resources(id, typeUrl);
        const text = (map: ReadonlyMap<string, { version: string }>) =>
          [...map].map(([name, r]) => `${name}=${r.version}`).sort();
        expect(text(names), `${id} ${typeUrl}: mirror against resources()`).toEqual(text(present));
        expect(present.size).toBe(names.size);
      }
  }

  compareOracle(): void {
    for (const proxy of this.connected.values()) this.compareOne(proxy);
  }

  compareOne(proxy: MeshProxy): void {
    this.compared++;
    const failing = new Set<string>();
    const broken = new Set<string>();
    const onItems = {
      onItem: (collection: string, key: string, resource: Resource) => this.see(collection, key, resource),
      onFailure: ({ collection, key, error }: RebuildFailure) => {
        if ((error as { code?: string }).code === 'DUPLICATE_RESOURCE') return;
        if (key === undefined) broken.add(collection);
        else failing.add(`${sameAs(collection)} ${key}`);
      },
    };
    const world = this.worldOf(proxy);
    const expected = rebuild(world, this.mesh, proxy, syntheticRoots, onItems);
    // While the key list fails the last good keys stay, and their items go on living.
    if (broken.has(virtualHosts.name)) {
      const found = rebuild(world, this.mesh, proxy, [virtualHostsOfAll], onItems);
      const held = this.mirror.held.get(proxy.id)?.get(types.virtualHost) ?? new Map();
      for (const [name, { version }] of held)
        if (!failing.has(`${virtualHosts.name} ${name}`))
          expect(version, `${proxy.id} ${name}, keys broken`).toBe(
            found.get(types.virtualHost)?.get(name)?.version,
          );
    }
    this.failing += failing.size + broken.size;
    const mayStay = (typeUrl: string, name: string, version: string) => {
      const text = `${typeUrl} ${name} ${version}`;
      for (const id of failing) if (this.seen.get(id)?.has(text)) return true;
      return broken.has(virtualHosts.name) && typeUrl === types.virtualHost;
    };
    for (const typeUrl of typeUrls) {
      const held = this.mirror.held.get(proxy.id)?.get(typeUrl) ?? new Map();
      const wanted = expected.get(typeUrl) ?? new Map();
      for (const [name, { version }] of wanted)
        expect(held.get(name)?.version, `${proxy.id} ${typeUrl} ${name}`).toBe(version);
      for (const [name, { version }] of held)
        if (!wanted.has(name) && !mayStay(typeUrl, name, version))
          throw new Error(`${proxy.id} holds ${typeUrl} ${name}=${version}, which nothing makes`);
    }
  }

  async drain(): Promise<void> {
    for (const id of this.connected.keys()) this.engine.disconnect(id);
    this.time += 1000;
    this.engine.collect();
  }
}

test('random histories agree with a rebuild from scratch, and nothing is left behind', async () => {
  const total = { edits: 0, trials: 0, compared: 0, deltas: 0, verified: 0, failing: 0 };
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const history = new History(seed);
    try {
      for (let step = 0; step < steps; step++) {
        if (history.random.chance(0.3)) history.churn();
        history.edit();
        if (history.random.chance(0.1)) history.churn();
        await history.flush();
        if (history.random.chance(0.15)) history.engine.collect();
        history.compareMirror();
        history.compareOracle();
      }
    } catch (error) {
      throw new Error(`seed ${seed}, after ${history.edits} edits: ${(error as Error).message}`, {
        cause: error,
      });
    }
    total.edits += history.edits;
    total.trials += history.trials;
    total.compared += history.compared;
    total.deltas += history.mirror.deltas;
    total.failing += history.failing;
    total.verified += history.engine.stats().verified;
    await history.drain();
    expect(history.engine.stats()).toMatchObject({
      proxies: 0,
      entries: 0,
      unused: 0,
      cells: 0,
      facts: 0,
      masks: 0,
      projections: 0,
    });
    expect(history.engine.stats().collections.every((c) => c.classes === 0)).toBe(true);
    expect(history.engine.stats().queries.every((q) => q.instances === 0)).toBe(true);
  }
  console.log(JSON.stringify(total));
  if (runs * steps >= 10_000) expect(total.edits).toBeGreaterThan(10_000);
  expect(total.verified).toBeGreaterThan(runs * 10);
  expect(total.failing).toBeGreaterThan(runs);
}, 3_600_000);
