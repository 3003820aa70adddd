import { httpFilterOrder } from '../../../envoy/filter-order.ts';

/** Names that Envoy gave its filters first, and that EnvoyFilters of that time match. */
const modernNames: ReadonlyMap<string, readonly string[]> = new Map([
  ['envoy.buffer', ['envoy.filters.http.buffer']],
  ['envoy.cors', ['envoy.filters.http.cors']],
  ['envoy.csrf', ['envoy.filters.http.csrf']],
  ['envoy.ext_authz', ['envoy.filters.http.ext_authz', 'envoy.filters.network.ext_authz']],
  ['envoy.fault', ['envoy.filters.http.fault']],
  ['envoy.grpc_http1_bridge', ['envoy.filters.http.grpc_http1_bridge']],
  ['envoy.grpc_json_transcoder', ['envoy.filters.http.grpc_json_transcoder']],
  ['envoy.grpc_web', ['envoy.filters.http.grpc_web']],
  ['envoy.health_check', ['envoy.filters.http.health_check']],
  ['envoy.ip_tagging', ['envoy.filters.http.ip_tagging']],
  ['envoy.lua', ['envoy.filters.http.lua']],
  ['envoy.rate_limit', ['envoy.filters.http.ratelimit']],
  ['envoy.router', ['envoy.filters.http.router']],
  ['envoy.echo', ['envoy.filters.network.echo']],
  ['envoy.http_connection_manager', ['envoy.filters.network.http_connection_manager']],
  ['envoy.mongo_proxy', ['envoy.filters.network.mongo_proxy']],
  ['envoy.ratelimit', ['envoy.filters.network.ratelimit']],
  ['envoy.redis_proxy', ['envoy.filters.network.redis_proxy']],
  ['envoy.tcp_proxy', ['envoy.filters.network.tcp_proxy']],
  ['envoy.listener.http_inspector', ['envoy.filters.listener.http_inspector']],
  ['envoy.listener.original_dst', ['envoy.filters.listener.original_dst']],
  ['envoy.listener.original_src', ['envoy.filters.listener.original_src']],
  ['envoy.listener.proxy_protocol', ['envoy.filters.listener.proxy_protocol']],
  ['envoy.listener.tls_inspector', ['envoy.filters.listener.tls_inspector']],
]);

/** One filter of Istio's that we split by action: its name stands for all of them. */
const families: ReadonlySet<string> = new Set(['envoy.filters.http.rbac', 'envoy.filters.network.rbac']);

/** Whether a name in a match means a filter. */
export function meansFilter(wanted: string, filter: string): boolean {
  const names = modernNames.get(wanted) ?? [wanted];
  return names.some((name) => name === filter || (families.has(name) && filter.startsWith(`${name}.`)));
}

/**
 * Filters that Istio puts into every chain and we do not: some do not exist in stock Envoy, others are made only where somebody
 * needs them. EnvoyFilters insert before and after them all the same, so each has the place where it would be: before the filters
 * that are named here, or first of all.
 */
const httpPlaces: ReadonlyMap<string, string | undefined> = new Map([
  ['istio.metadata_exchange', undefined],
  ['envoy.filters.http.peer_metadata', undefined],
  ['envoy.filters.http.grpc_stats', 'envoy.filters.http.fault'],
  ['istio.alpn', 'envoy.filters.http.fault'],
  ['envoy.filters.http.cors', 'envoy.filters.http.cors'],
  ['envoy.filters.http.fault', 'envoy.filters.http.fault'],
  ['istio.stats', 'envoy.filters.http.router'],
  ['istio.stackdriver', 'envoy.filters.http.router'],
]);

const networkPlaces: ReadonlyMap<string, 'first' | 'last'> = new Map([
  ['istio.metadata_exchange', 'first'],
  ['envoy.filters.network.metadata_exchange', 'first'],
  ['istio.stats', 'last'],
  ['istio.stackdriver', 'last'],
]);

const listenerFilterOrder: readonly string[] = [
  'envoy.filters.listener.original_dst',
  'envoy.filters.listener.tls_inspector',
  'envoy.filters.listener.http_inspector',
];

function rankOf(name: string): number {
  return httpFilterOrder.findIndex((line) => line.name === name);
}

function modern(name: string): string {
  return modernNames.get(name)?.[0] ?? name;
}

/** Where an absent HTTP filter would be among those that are there; undefined: it would not be there either. */
export function httpPlace(name: string, filters: readonly { readonly name: string }[]): number | undefined {
  const wanted = modern(name);
  if (!httpPlaces.has(wanted)) return undefined;
  const before = httpPlaces.get(wanted);
  return before === undefined ? 0 : placeBefore(before, filters);
}

/** The place before a filter of our order and all that follow it. */
export function placeBefore(name: string, filters: readonly { readonly name: string }[]): number {
  const rank = rankOf(name);
  const found = filters.findIndex((filter) => rankOf(filter.name) >= rank);
  return found < 0 ? filters.length : found;
}

export function networkPlace(
  name: string,
  filters: readonly { readonly name: string }[],
): number | undefined {
  const place = networkPlaces.get(name);
  if (place === undefined) return undefined;
  return place === 'first' ? 0 : Math.max(0, filters.length - 1);
}

export function listenerFilterPlace(
  name: string,
  filters: readonly { readonly name: string }[],
): number | undefined {
  const rank = listenerFilterOrder.indexOf(modernNames.get(name)?.[0] ?? name);
  if (rank < 0) return undefined;
  const found = filters.findIndex((filter) => listenerFilterOrder.indexOf(filter.name) >= rank);
  return found < 0 ? filters.length : found;
}
