import { getOrMake } from '../../kit/maps.ts';
import type { Resource } from '../resource.ts';
import type { ClassTable } from './class-table.ts';
import type { ProxyState } from './masks.ts';
import type { RootClass } from './root-class.ts';
import { UnionMap } from './union-map.ts';

type ResourceMap = ReadonlyMap<string, Resource>;

export const noResources: ResourceMap = new Map();

/**
 * What proxies hold of a type, as one map over the classes that make it: the same object for all proxies of the same classes. It is
 * asked for several times for each acknowledgement of each proxy, so the answer is found by identity, not by name.
 */
export class ClassViews {
  readonly #classes: ClassTable;
  /** By type and the classes that make it. */
  readonly #unions = new Map<string, UnionMap<string, Resource>>();
  /** By all classes of a proxy: its views by type. */
  readonly #byClasses = new Map<string, Map<string, ResourceMap>>();
  readonly #ids = new WeakMap<RootClass, number>();
  #nextId = 1;
  #epoch = 0;

  constructor(classes: ClassTable) {
    this.#classes = classes;
  }

  view(proxy: ProxyState, typeUrl: string): ResourceMap {
    if (this.#epoch !== this.#classes.epoch) {
      this.#unions.clear();
      this.#byClasses.clear();
      this.#epoch = this.#classes.epoch;
    }
    if (proxy.views === undefined || proxy.viewsEpoch !== this.#epoch) {
      proxy.views = getOrMake(this.#byClasses, this.classesOf(proxy), () => new Map<string, ResourceMap>());
      proxy.viewsEpoch = this.#epoch;
    }
    return getOrMake(proxy.views, typeUrl, () => this.#make(proxy, typeUrl));
  }

  #make(proxy: ProxyState, typeUrl: string): ResourceMap {
    const parts = this.#classes.roots.filter((root) => root.types.has(typeUrl));
    const classes = parts.map((root) => proxy.visible[root.index] as RootClass);
    const [only] = classes;
    if (only === undefined) return noResources;
    if (classes.length === 1) return only.byName(typeUrl);
    const id = `${typeUrl} ${this.#name(classes)}`;
    return getOrMake(this.#unions, id, () => new UnionMap(classes.map((item) => item.byName(typeUrl))));
  }

  /** Equal for proxies whose published resources come from the same classes. */
  classesOf(proxy: ProxyState): string {
    return this.#name(proxy.visible);
  }

  #name(classes: readonly RootClass[]): string {
    return classes.map((item) => this.#id(item)).join(' ');
  }

  #id(item: RootClass): number {
    let id = this.#ids.get(item);
    if (id === undefined) {
      id = this.#nextId++;
      this.#ids.set(item, id);
    }
    return id;
  }
}
