import { UnionMap } from '../snapshot/engine/union-map.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import { endpointSetOf, type Resource } from '../snapshot/resource.ts';
import { byName, isSorted, mergedList, type ResourceList, sharedList } from './held.ts';
import { routeConfigOf } from './xds-type.ts';

export type ResourceMap = ReadonlyMap<string, Resource>;

const nothing: ResourceList = [];

interface ListEntry {
  readonly epoch: number;
  readonly list: ResourceList;
}

interface EndpointsEntry extends ListEntry {
  readonly map: ResourceMap;
}

/**
 * The source's resources as sorted lists. A source may change its maps in place at a push; a list is a fixed copy that any
 * number of clients share, made once per map and push.
 */
export class Views {
  readonly #source: ResourceSource;
  readonly #lists = new WeakMap<ResourceMap, ListEntry>();
  readonly #hosts = new WeakMap<ResourceList, Map<string, ResourceList>>();
  readonly #selections = new WeakMap<ResourceList, Map<string, ResourceList>>();
  readonly #endpoints = new WeakMap<readonly Resource[], EndpointsEntry>();
  #epoch = 0;

  constructor(source: ResourceSource) {
    this.#source = source;
  }

  /** To be called at every push. */
  invalidate(): void {
    this.#epoch++;
  }

  get revision(): number {
    return this.#source.revision;
  }

  map(proxyId: string, typeUrl: string): ResourceMap {
    return this.#source.resources(proxyId, typeUrl);
  }

  list(map: ResourceMap): ResourceList {
    if (map instanceof UnionMap) return this.#joined(map.parts);
    const known = this.#lists.get(map);
    if (known && known.epoch === this.#epoch && known.list.length === map.size) return known.list;
    const list = [...map.values()];
    if (!isSorted(list)) list.sort(byName);
    const shared = sharedList(list, 1);
    this.#lists.set(map, { epoch: this.#epoch, list: shared });
    return shared;
  }

  /**
   * A proxy has a view of its own as soon as one small part of it is its own: what it shares with its class is listed once, and
   * joined once with what others have too. Of a name that two parts hold the first one's resource shows.
   */
  #joined(parts: readonly ResourceMap[]): ResourceList {
    return parts.reduceRight<ResourceList>((joined, part) => mergedList(joined, this.list(part)), nothing);
  }

  /** The endpoints of a list of clusters, as one list for all who were sent that list. Undefined: some have none. */
  endpointsOf(clusters: readonly Resource[], map: ResourceMap): ResourceList | undefined {
    const known = this.#endpoints.get(clusters);
    if (known && known.epoch === this.#epoch && known.map === map) return known.list;
    const list: Resource[] = [];
    for (const cluster of clusters) {
      const name = endpointSetOf(cluster);
      if (name === undefined) continue;
      const endpoints = map.get(name);
      if (!endpoints) return undefined;
      list.push(endpoints);
    }
    const sorted = isSorted(list) ? list : [...new Set(list)].sort(byName);
    this.#endpoints.set(clusters, { epoch: this.#epoch, map, list: sorted });
    return sorted;
  }

  /** The virtual hosts of one route configuration. */
  hostsOf(list: ResourceList, routeConfig: string): ResourceList {
    let groups = this.#hosts.get(list);
    if (!groups) {
      groups = groupByRouteConfig(list);
      this.#hosts.set(list, groups);
    }
    return groups.get(routeConfig) ?? [];
  }

  /** The virtual hosts of several route configurations as one list, the same array for the same question. */
  hostsOfAll(list: ResourceList, routeConfigs: readonly string[]): ResourceList {
    const key = [...routeConfigs].sort().join('\n');
    let selections = this.#selections.get(list);
    if (!selections) {
      selections = new Map();
      this.#selections.set(list, selections);
    }
    const known = selections.get(key);
    if (known) return known;
    const hosts = routeConfigs.flatMap((routeConfig) => this.hostsOf(list, routeConfig)).sort(byName);
    const selection = hosts.length === list.length ? list : hosts;
    selections.set(key, selection);
    return selection;
  }
}

const routeConfigsByList = new WeakMap<readonly Resource[], readonly string[]>();

/** The route configurations that a list of virtual hosts belongs to. */
export function routeConfigsOf(hosts: readonly Resource[]): readonly string[] {
  let names = routeConfigsByList.get(hosts);
  if (!names) {
    names = [...new Set(hosts.map((host) => routeConfigOf(host.name)))];
    routeConfigsByList.set(hosts, names);
  }
  return names;
}

function groupByRouteConfig(list: ResourceList): Map<string, ResourceList> {
  const groups = new Map<string, Resource[]>();
  for (const resource of list) {
    const routeConfig = routeConfigOf(resource.name);
    const group = groups.get(routeConfig);
    if (group) group.push(resource);
    else groups.set(routeConfig, [resource]);
  }
  return groups;
}
