import type { Model, ModelWorkload } from '../model/model.ts';
import type { DecodedResources, ResourceSet } from '../simulate/decoded-resources.ts';
import type { Resource } from '../snapshot/resource.ts';

/** A resource of a proxy that comes, goes or becomes another. */
export interface ResourceChange {
  readonly typeUrl: string;
  readonly name: string;
  readonly before?: Resource;
  readonly after?: Resource;
}

/** A proxy that is sent something. */
export interface TouchedProxy {
  readonly workload: ModelWorkload;
  readonly before: DecodedResources;
  readonly after: DecodedResources;
  /** Shared by the proxies of a class: compare by identity. */
  readonly changes: readonly ResourceChange[];
}

export interface Touched {
  readonly proxies: readonly TouchedProxy[];
  /** Proxies that are there before or after alone, `namespace/name`. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly total: number;
  /** Proxies of the total that there was no time to compare. */
  readonly uncompared: number;
}

type Resources = ReadonlyMap<string, Resource>;

/**
 * Compares what every proxy holds with what it would hold. `hasTime` is asked before each is compiled, and told what is left; where it
 * says no, the proxies that were not compared are counted in the total alone.
 */
export function touchedProxies(
  before: Model,
  after: Model,
  hasTime: (left: string) => boolean = () => true,
): Touched {
  const total = [...after.workloads.values()].filter(({ proxy }) => proxy).length;
  const old = new Map<string, DecodedResources>();
  for (const { key, proxy } of before.workloads.values()) {
    if (!proxy) continue;
    if (!hasTime('no proxies were compared'))
      return { proxies: [], added: [], removed: [], total, uncompared: total };
    old.set(key, before.resources(proxy));
  }
  const proxies: TouchedProxy[] = [];
  const added: string[] = [];
  let compared = 0;
  const compare = new Comparison();
  for (const workload of after.workloads.values()) {
    if (!workload.proxy) continue;
    if (!hasTime(`${total - compared} of ${total} proxies were not compared`))
      return { proxies, added, removed: [], total, uncompared: total - compared };
    compared++;
    const now = after.resources(workload.proxy);
    const was = old.get(workload.key);
    old.delete(workload.key);
    if (!was) {
      added.push(workload.key);
      continue;
    }
    const changes = compare.changes(was.set, now.set);
    if (changes.length > 0) proxies.push({ workload, before: was, after: now, changes });
  }
  return { proxies, added, removed: [...old.keys()], total, uncompared: 0 };
}

/** Differences of maps that many proxies share are found once, and lists of them are shared too. */
class Comparison {
  readonly #byMaps = new Map<Resources | undefined, Map<Resources | undefined, readonly ResourceChange[]>>();
  readonly #ids = new Map<unknown, number>();
  readonly #lists = new Map<string, readonly ResourceChange[]>();
  readonly #changes = new Map<string, ResourceChange>();

  changes(before: ResourceSet, after: ResourceSet): readonly ResourceChange[] {
    const all = [...new Set([...before.keys(), ...after.keys()])].flatMap((typeUrl) =>
      this.#ofType(typeUrl, before.get(typeUrl), after.get(typeUrl)),
    );
    const key = all.map((change) => this.#id(change)).join(' ');
    const known = this.#lists.get(key);
    if (known) return known;
    this.#lists.set(key, all);
    return all;
  }

  #ofType(
    typeUrl: string,
    before: Resources | undefined,
    after: Resources | undefined,
  ): readonly ResourceChange[] {
    if (before === after) return [];
    let byAfter = this.#byMaps.get(before);
    if (!byAfter) {
      byAfter = new Map();
      this.#byMaps.set(before, byAfter);
    }
    let found = byAfter.get(after);
    if (!found) {
      found = this.#differences(typeUrl, before ?? new Map(), after ?? new Map());
      byAfter.set(after, found);
    }
    return found;
  }

  #differences(typeUrl: string, before: Resources, after: Resources): ResourceChange[] {
    const found: ResourceChange[] = [];
    for (const [name, old] of before) {
      const now = after.get(name);
      if (now !== old && now?.version !== old.version) found.push(this.#change(typeUrl, name, old, now));
    }
    for (const [name, now] of after)
      if (!before.has(name)) found.push(this.#change(typeUrl, name, undefined, now));
    return found;
  }

  /** Equal changes of several proxies are one object. */
  #change(
    typeUrl: string,
    name: string,
    before: Resource | undefined,
    after: Resource | undefined,
  ): ResourceChange {
    const key = `${typeUrl} ${name} ${before?.version} ${after?.version}`;
    let change = this.#changes.get(key);
    if (!change) {
      change = { typeUrl, name, ...(before ? { before } : {}), ...(after ? { after } : {}) };
      this.#changes.set(key, change);
    }
    return change;
  }

  #id(value: unknown): number {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(value, id);
    }
    return id;
  }
}
