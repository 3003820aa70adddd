import { afterEach, describe, expect, it } from 'vitest';
import { type Resource, typeUrls } from '../../src/snapshot/resource.ts';
import { sleep, until } from './fake-envoy.ts';
import { fake, type Harness, startHarness } from './harness.ts';
import { ModelEnvoy, type Random, seeded } from './model-envoy.ts';
import { makeResource } from './scripted-source.ts';

const { cluster, endpoints, listener, route, virtualHost } = typeUrls;
const types = [cluster, endpoints, listener, route, virtualHost];

/** A mesh that changes at random and is whole after every edit: hosts lead to clusters that exist. */
class RandomMesh {
  readonly clusters = new Set<string>();
  /** Route table → host → cluster. */
  readonly tables = new Map<string, Map<string, string>>();
  readonly #random: Random;
  readonly #poisoned = new Map<string, () => Resource>();
  #stamp = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  start(): Resource[] {
    return [this.#addCluster(), this.#addCluster(), this.#addTable()].flat();
  }

  /** One edit of several changes. */
  edit(): { upserts: Resource[]; removed: Record<string, string[]> } {
    const upserts = new Map<string, Resource>();
    const gone = new Set<string>();
    for (let i = 0; i <= this.#random.int(3); i++) {
      const removed: Record<string, string[]> = {};
      const changed = this.#change(removed);
      for (const [typeUrl, names] of Object.entries(removed))
        for (const name of names) {
          upserts.delete(`${typeUrl} ${name}`);
          gone.add(`${typeUrl} ${name}`);
        }
      for (const resource of changed) {
        gone.delete(`${resource.typeUrl} ${resource.name}`);
        upserts.set(`${resource.typeUrl} ${resource.name}`, resource);
      }
    }
    const removed = Object.fromEntries(
      types.map((typeUrl) => [
        typeUrl,
        [...gone].filter((key) => key.startsWith(`${typeUrl} `)).map((key) => key.slice(typeUrl.length + 1)),
      ]),
    );
    return { upserts: [...upserts.values()], removed };
  }

  /** Good versions of everything that is bad. */
  heal(): Resource[] {
    const healed = [...this.#poisoned.values()].map((make) => make());
    this.#poisoned.clear();
    return healed;
  }

  #change(removed: Record<string, string[]>): Resource[] {
    const remove = (typeUrl: string, ...names: string[]): void => {
      removed[typeUrl] = [...(removed[typeUrl] ?? []), ...names];
      for (const name of names) this.#poisoned.delete(`${typeUrl} ${name}`);
    };
    const what = this.#random.int(10);
    if (what === 0) return this.#addCluster();
    if (what === 1) return this.#dropCluster(remove);
    if (what === 2) return this.#updateCluster();
    if (what === 3) return [fake.endpoints(this.#pick([...this.clusters]), this.#next())];
    if (what === 4 && this.tables.size < 3) return this.#addTable();
    if (what === 5 && this.tables.size > 1) return this.#dropTable(remove);
    if (what === 6) return this.#dropHost(remove);
    if (what === 7) return this.#poisonHost();
    return this.#putHost();
  }

  #next(): string {
    return `v${++this.#stamp}`;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.int(list.length)] as T;
  }

  #addCluster(): Resource[] {
    const name = `c${this.#random.int(8)}`;
    this.clusters.add(name);
    this.#poisoned.delete(`${cluster} ${name}`);
    const hints = { eds: true, ...(this.#random.chance(0.3) ? { slowWarming: true } : {}) };
    return [fake.cluster(name, this.#next(), hints), fake.endpoints(name, this.#next())];
  }

  #updateCluster(): Resource[] {
    const name = this.#pick([...this.clusters]);
    return [fake.cluster(name, this.#next())];
  }

  #dropCluster(remove: (typeUrl: string, ...names: string[]) => void): Resource[] {
    const name = this.#pick([...this.clusters]);
    if (this.clusters.size < 2) return [];
    this.clusters.delete(name);
    remove(cluster, name);
    remove(endpoints, name);
    const moved: Resource[] = [];
    for (const [table, hosts] of this.tables)
      for (const [host, target] of hosts) if (target === name) moved.push(this.#host(table, host));
    return moved;
  }

  #host(table: string, host: string, word = ''): Resource {
    const target = this.#pick([...this.clusters]);
    this.tables.get(table)?.set(host, target);
    this.#poisoned.delete(`${virtualHost} ${table}/${host}`);
    return makeResource(virtualHost, `${table}/${host}`, `host ${word} ${this.#next()} ${target}`, {
      clusters: [target],
    });
  }

  #putHost(): Resource[] {
    return [this.#host(this.#pick([...this.tables.keys()]), `h${this.#random.int(6)}`)];
  }

  #poisonHost(): Resource[] {
    const table = this.#pick([...this.tables.keys()]);
    const host = this.#pick([...(this.tables.get(table)?.keys() ?? [])]);
    if (!host) return [];
    // A poisoned version leads where the good one did: it is never taken, and the good one must stay valid.
    const target = this.tables.get(table)?.get(host) as string;
    const make = (word: string): Resource =>
      makeResource(virtualHost, `${table}/${host}`, `host ${word} ${this.#next()} ${target}`, {
        clusters: [target],
      });
    this.#poisoned.set(`${virtualHost} ${table}/${host}`, () => this.#host(table, host));
    return [make('poison')];
  }

  #addTable(): Resource[] {
    const table = `t${this.#random.int(4)}`;
    if (this.tables.has(table)) return [];
    this.tables.set(table, new Map());
    const hosts = Array.from({ length: this.#random.int(4) }, (_, i) => this.#host(table, `h${i}`));
    return [
      makeResource(listener, `l-${table}`, `listener ${this.#next()} ${table}`),
      fake.route(table),
      ...hosts,
    ];
  }

  #dropTable(remove: (typeUrl: string, ...names: string[]) => void): Resource[] {
    const table = this.#pick([...this.tables.keys()]);
    remove(listener, `l-${table}`);
    remove(route, table);
    remove(virtualHost, ...[...(this.tables.get(table)?.keys() ?? [])].map((host) => `${table}/${host}`));
    this.tables.delete(table);
    return [];
  }

  #dropHost(remove: (typeUrl: string, ...names: string[]) => void): Resource[] {
    const table = this.#pick([...this.tables.keys()]);
    const host = this.#pick([...(this.tables.get(table)?.keys() ?? [])]);
    if (!host) return [];
    this.tables.get(table)?.delete(host);
    remove(virtualHost, `${table}/${host}`);
    return [];
  }
}

/** Name → version. */
function versionsOf(
  entries: Iterable<readonly [string, { readonly version: string }]>,
): Record<string, string> {
  return Object.fromEntries(
    [...entries].map(([name, { version }]) => [name, version] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function difference(harness: Harness, envoy: ModelEnvoy): string[] {
  return types.flatMap((typeUrl) => {
    const wanted = versionsOf(harness.source.resources('', typeUrl));
    const held = versionsOf(envoy.map(typeUrl));
    const names = new Set([...Object.keys(wanted), ...Object.keys(held)]);
    return [...names]
      .filter((name) => wanted[name] !== held[name])
      .map((name) => `${typeUrl.split('.').at(-1)} ${name}: should be ${wanted[name]}, is ${held[name]}`);
  });
}

let harness: Harness | undefined;
let envoys: ModelEnvoy[] = [];

afterEach(async () => {
  await Promise.all(envoys.map((envoy) => envoy.disconnect()));
  await harness?.server.stop(50);
});

/** OSTRIA_XDS_SEEDS: how many meshes; each takes half a second. */
describe('delivery at random', () => {
  for (const seed of Array.from({ length: Number(process.env.OSTRIA_XDS_SEEDS ?? 8) }, (_, i) => i + 1))
    it(`ends where the mesh is, and never leads to a cluster that is not there (seed ${seed})`, async () => {
      const random = seeded(seed * 7919);
      const mesh = new RandomMesh(random);
      const started = await startHarness({
        resources: mesh.start(),
        limits: { removalGraceMs: 30, keepaliveMs: 200 },
      });
      harness = started;
      envoys = [0, 1, 2].map(
        (i) =>
          new ModelEnvoy(
            started.port,
            `sidecar~10.0.0.1~w-${i}.d~d.svc.cluster.local`,
            seeded(seed * 31 + i),
          ),
      );
      for (const envoy of envoys) envoy.connect();
      for (let step = 0; step < 120; step++) {
        started.source.edit(mesh.edit());
        if (random.chance(0.3)) await sleep(random.int(12));
        if (random.chance(0.05)) {
          const envoy = envoys[random.int(3)] as ModelEnvoy;
          await envoy.disconnect();
          started.source.edit(mesh.edit());
          envoy.connect();
        }
      }
      started.source.edit({ upserts: mesh.heal() });
      const settled = (): boolean =>
        envoys.every((envoy) => !envoy.isBusy && difference(started, envoy).length === 0);
      await until(settled, 8_000, 'not settled').catch(() => undefined);
      for (const envoy of envoys) {
        expect(difference(started, envoy)).toEqual([]);
        expect(envoy.problems).toEqual([]);
      }
      expect(envoys.reduce((sum, envoy) => sum + envoy.rejections, 0)).toBeGreaterThan(0);
      const { done, rejected } = await started.ledger.waitFor(started.source.revision, { timeoutMs: 4_000 });
      expect({ done, rejected }).toEqual({ done: true, rejected: [] });
    });
});
