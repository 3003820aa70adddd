import type { Any } from '@bufbuild/protobuf/wkt';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { deepEqual } from '../kit/deep-equal.ts';
import type { Model } from '../model/model.ts';
import { type DecodedResources, unpack } from '../simulate/decoded-resources.ts';
import { isSimulatedFilter } from '../simulate/http-filters.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { ResourceChange, Touched } from './touched.ts';

/** Kinds that put into proxies what the simulation does not know. */
const opaqueKinds: ReadonlySet<string> = new Set(['EnvoyFilter', 'WasmPlugin']);

/** What a change brings that cannot be followed to requests, in words. */
export function unforeseen(before: Model, after: Model, { proxies }: Touched): string[] {
  if (proxies.length === 0) return [];
  const filters = new Set<string>();
  const seen = new Set<readonly ResourceChange[]>();
  for (const proxy of proxies) {
    if (seen.has(proxy.changes)) continue;
    seen.add(proxy.changes);
    for (const { typeUrl, name } of proxy.changes)
      if (typeUrl === typeUrls.listener) noteFilters(name, proxy.before, proxy.after, filters);
  }
  return [
    ...changedObjects(before, after).map(
      (name) =>
        `${name}: what it does beyond routes, clusters and the filters that are simulated is not foreseen`,
    ),
    ...[...filters]
      .sort()
      .map((name) => `the filter ${name} is not simulated: what its change does to requests is not foreseen`),
  ];
}

function changedObjects(before: Model, after: Model): string[] {
  const ids = new Set([...before.objects.keys(), ...after.objects.keys()]);
  return [...ids].flatMap((id) => {
    const [old, now] = [before, after].map((model) => model.objects.get(id)?.object);
    const { kind, metadata } = now ?? old ?? {};
    if (kind === undefined || !opaqueKinds.has(kind) || deepEqual(old?.spec, now?.spec)) return [];
    return [`${kind} ${metadata?.namespace}/${metadata?.name}`];
  });
}

/** Filters of a listener that are not simulated, and not what they were. */
function noteFilters(
  listener: string,
  before: DecodedResources,
  after: DecodedResources,
  into: Set<string>,
): void {
  const [old, now] = [before, after].map((resources) => opaqueFilters(resources, listener));
  for (const [key, name] of [...(old ?? []), ...(now ?? [])])
    if (old?.has(key) !== now?.has(key)) into.add(name);
}

/** By name and configuration. */
function opaqueFilters(resources: DecodedResources, wanted: string): Map<string, string> {
  const found = new Map<string, string>();
  const listener = resources.listeners().find(({ name }) => name === wanted);
  const chains = [
    ...(listener?.filterChains ?? []),
    ...(listener?.defaultFilterChain ? [listener.defaultFilterChain] : []),
  ];
  for (const { filters } of chains)
    for (const { configType } of filters) {
      const config = configType.case === 'typedConfig' ? configType.value : undefined;
      for (const filter of unpack(config, HttpConnectionManagerSchema)?.httpFilters ?? []) {
        const own = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined;
        if (own && !isSimulatedFilter(typeOf(own)))
          found.set(`${filter.name} ${own.value.join()}`, filter.name);
      }
    }
  return found;
}

function typeOf({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}
