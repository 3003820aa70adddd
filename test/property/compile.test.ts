import { expect, test } from 'vitest';
import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import { features } from '../../src/features/index.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { createStatuses, statusesType } from '../../src/pipeline/statuses.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { createEngine } from '../../src/snapshot/engine/engine.ts';
import { Mirror } from '../../src/snapshot/engine/testing/mirror.ts';
import { Random } from '../../src/snapshot/engine/testing/random.ts';
import type { MeshProxy } from '../../src/snapshot/proxy.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { testProxy } from '../../src/snapshot/testing.ts';
import { World, type WorldChange } from '../../src/snapshot/world.ts';
import { ObjectFeed } from '../bench/compile-mesh.ts';
import { labelSets, randomObject, randomUsage } from './random-objects.ts';

/** The engine with every feature of this build against a rebuild from scratch, over random edits of users' objects. */
const runs = Number(process.env.OSTRIA_PROPERTY_SEEDS ?? (process.env.OSTRIA_NIGHTLY ? 100 : 6));
const steps = Number(process.env.OSTRIA_PROPERTY_STEPS ?? 160);
const firstSeed = Number(process.env.OSTRIA_PROPERTY_FIRST_SEED ?? 1);
/** What objects are told in their status is compiled incrementally too. */
const collections = [...roots.collections, createStatuses(features)];
const types = [...Object.values(typeUrls), statusesType];

/**
 * How many classes of proxies a query may tell apart in these small meshes. A query that reads more than it needs shows here before it
 * costs memory in a big mesh. `perProxy` ones belong to one workload by nature.
 */
const boundOfOthers = 24;
const perProxy = /inbound|explicit|own-/;

class History {
  readonly random: Random;
  readonly world = new World();
  readonly feed = new ObjectFeed();
  mesh: MeshConfig = defaultMeshConfig;
  time = 0;
  readonly engine;
  readonly mirror: Mirror;
  readonly connected = new Map<string, MeshProxy>();
  readonly objects = new Map<string, ConfigObject>();
  edits = 0;
  compared = 0;
  resources = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.engine = createEngine({
      roots: collections,
      clock: () => this.time,
      graceMs: 50,
      verify: { sampleRate: 0.02 },
    });
    this.mirror = new Mirror(this.engine, types);
    for (let i = 0; i < 20; i++) this.apply(this.edit());
    this.engine.flush();
  }

  apply(changes: WorldChange[]): void {
    this.world.apply(changes);
    this.engine.apply(changes, ++this.edits);
  }

  edit(): WorldChange[] {
    const { random, objects } = this;
    if (random.chance(0.08)) return randomUsage(random);
    if (random.chance(0.25) && objects.size > 0) {
      const [id, gone] = random.pick([...objects]);
      objects.delete(id);
      return this.feed.remove(gone);
    }
    const object = randomObject(random);
    objects.set(`${object.kind} ${objectKey(object)}`, object);
    return this.feed.put(object);
  }

  editMesh(): void {
    const { random } = this;
    this.mesh = {
      ...this.mesh,
      outboundTrafficPolicy: random.pick(['ALLOW_ANY', 'REGISTRY_ONLY']),
      defaultMtlsMode: random.pick(['STRICT', 'PERMISSIVE']),
      connectTimeout: random.pick(['10s', '3s']),
      enableAutoMtls: random.chance(0.8),
      accessLogFile: random.pick(['', '/dev/stdout']),
    };
    this.world.setMesh(this.mesh);
    this.engine.setMesh(this.mesh, ++this.edits);
  }

  proxy(): MeshProxy {
    const { random } = this;
    const at = random.below(8);
    const namespace = random.pick(['shop', 'bank']);
    const sidecar = testProxy(`pod${at}`, {
      namespace,
      labels: random.pick(labelSets),
      metadata: { INSTANCE_IPS: `10.1.0.${1 + at}` },
    });
    const locality = { region: 'r', zone: random.pick(['z1', 'z2']), subZone: '' };
    const kind = random.below(8);
    if (kind === 0)
      return {
        ...sidecar,
        type: 'router',
        labels: { istio: 'ingressgateway', 'gateway.networking.k8s.io/gateway-name': 'front' },
        namespace: 'istio-system',
        locality,
      };
    if (kind === 1) {
      const explicit = {
        outbound: { [`web.${namespace}.svc.cluster.local:8080`]: 20001, 'api.example.com:8080': 20002 },
        inbound: [{ servicePort: 8080, listen: 21000, app: 8080 }],
        httpProxy: 20000,
      };
      return { ...sidecar, capture: 'explicit', explicit };
    }
    return { ...sidecar, locality, vhds: random.chance(0.7) };
  }

  churn(): void {
    const proxy = this.proxy();
    const known = this.connected.get(proxy.id);
    if (known !== undefined && this.random.chance(0.5)) {
      this.engine.disconnect(proxy.id);
      this.connected.delete(proxy.id);
      this.mirror.disconnected(proxy.id);
      return;
    }
    this.engine.connect(proxy);
    this.connected.set(proxy.id, proxy);
    this.mirror.connected(proxy.id);
  }

  async flush(): Promise<void> {
    this.time += this.random.below(30);
    if (this.random.chance(0.6)) this.engine.flush();
    else
      await this.engine.flushAsync({
        sliceMs: 0,
        pause: async () => {
          if (this.random.chance(0.02)) this.churn();
        },
      });
  }

  compare(): void {
    for (const proxy of this.connected.values()) if (this.random.chance(0.3)) this.compareOne(proxy);
  }

  compareOne(proxy: MeshProxy): void {
    this.compared++;
    const failures: string[] = [];
    const expected = rebuild(this.world, this.mesh, proxy, collections, {
      onFailure: ({ collection, key, error }) => failures.push(`${collection} ${key}: ${error}`),
    });
    expect(failures, proxy.id).toEqual([]);
    for (const typeUrl of types) {
      const wanted = expected.get(typeUrl) ?? new Map();
      const text = (map: ReadonlyMap<string, { version: string }>) =>
        [...map].map(([name, r]) => `${name} ${r.version}`).sort();
      const held = this.mirror.held.get(proxy.id)?.get(typeUrl) ?? new Map();
      this.resources += wanted.size;
      expect(text(held), `${proxy.id} ${typeUrl}: mirror`).toEqual(text(wanted));
      expect(text(this.engine.resources(proxy.id, typeUrl)), `${proxy.id} ${typeUrl}`).toEqual(text(wanted));
    }
  }
}

test('random edits of real objects agree with a rebuild from scratch, with few classes, and nothing is left behind', async () => {
  const total = { edits: 0, compared: 0, resources: 0, deltas: 0, verified: 0 };
  const classes = new Map<string, number>();
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const history = new History(seed);
    try {
      for (let step = 0; step < steps; step++) {
        if (history.random.chance(0.25)) history.churn();
        for (let i = history.random.below(3); i >= 0; i--) history.apply(history.edit());
        if (history.random.chance(0.03)) history.editMesh();
        await history.flush();
        history.compare();
      }
      for (const proxy of history.connected.values()) history.compareOne(proxy);
    } catch (error) {
      throw new Error(`seed ${seed}, after ${history.edits} edits: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const stats = history.engine.stats();
    for (const { name, maxClasses } of [...stats.queries, ...stats.collections])
      classes.set(name, Math.max(classes.get(name) ?? 0, maxClasses));
    total.edits += history.edits;
    total.compared += history.compared;
    total.resources += history.resources;
    total.deltas += history.mirror.deltas;
    total.verified += stats.verified;
    for (const id of history.connected.keys()) history.engine.disconnect(id);
    history.time += 1000;
    history.engine.collect();
    expect(history.engine.stats()).toMatchObject({ entries: 0, unused: 0, cells: 0, facts: 0, masks: 0 });
  }
  const most = [...classes].sort((a, b) => b[1] - a[1]).slice(0, 12);
  console.log(JSON.stringify({ ...total, classes: Object.fromEntries(most) }));
  expect([...classes].filter(([name, count]) => count > boundOfOthers && !perProxy.test(name))).toEqual([]);
  expect(total.verified).toBeGreaterThan(total.edits / 10);
  expect(total.resources).toBeGreaterThan(total.compared * 10);
}, 3_600_000);
