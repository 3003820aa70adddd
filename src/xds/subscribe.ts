import { type Resource, typeUrls } from '../snapshot/resource.ts';
import type { ResourceList } from './held.ts';
import type { XdsRequest } from './request.ts';
import { listOf, mapOf, type StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';
import { hasField } from './wire.ts';
import { hasLegacyWildcard, routeConfigOf } from './xds-type.ts';

/** Sets smaller than this are not worth sharing. */
const sharedSetSize = 16;

/** A delta request's changes of what the client wants, and on a type's first request what it already holds. */
export function subscribeDelta(stream: StreamState, watch: Watch, request: XdsRequest, first: boolean): void {
  const { subscribe, unsubscribe, claims } = request;
  const map = mapOf(stream, watch.typeUrl);
  if (first && subscribe.length === 0 && hasLegacyWildcard(watch.typeUrl)) watch.wildcard = true;
  if (first)
    watch.owed = watch.wildcard && watch.typeUrl !== typeUrls.virtualHost && claims.names.length === 0;
  for (const name of unsubscribe) leave(stream, watch, name);
  const covers = subscribe.length >= sharedSetSize && coversClass(stream, watch, subscribe);
  if (covers) watch.names.addAll(listOf(stream, watch.typeUrl));
  const claimed = first ? takeClaims(stream, watch, request) : undefined;
  if (covers && !claimed) watch.everything = true;
  else for (const name of subscribe) join(stream, watch, map.get(name)?.name ?? name, claimed);
  if (!first || !watch.wildcard || claimed) return;
  if (hostsArriveAlone(stream, watch)) watch.everything = true;
  // A client that comes back with route configurations and no hosts: theirs were empty, or it left before they came.
  else for (const name of stream.routeConfigs) stream.freshRouteConfigs.add(name);
}

/** By the names that were asked for: the list that they are all of. One answer for all who ask for the same. */
const covered = new WeakMap<readonly string[], ResourceList>();

function coversClass(stream: StreamState, watch: Watch, names: readonly string[]): boolean {
  const list = listOf(stream, watch.typeUrl);
  if (names.length !== list.length) return false;
  if (covered.get(names) === list) return true;
  const covers = isWholeClass(names, mapOf(stream, watch.typeUrl));
  if (covers) covered.set(names, list);
  return covers;
}

/** Every resource there is, each once: the class's own list describes the set. */
function isWholeClass(names: readonly string[], map: ReadonlyMap<string, Resource>): boolean {
  if (names.length !== map.size) return false;
  const known = new Set<Resource>();
  for (const name of names) {
    const resource = map.get(name);
    if (!resource) return false;
    known.add(resource);
  }
  return known.size === names.length;
}

/** Virtual hosts come with their route configurations, unless the stream has none. */
function hostsArriveAlone(stream: StreamState, watch: Watch): boolean {
  return watch.typeUrl !== typeUrls.virtualHost || !stream.watches.has(typeUrls.route);
}

function join(
  stream: StreamState,
  watch: Watch,
  name: string,
  claimed: ReadonlyMap<string, string> | undefined,
): void {
  if (name === '*') {
    if (!watch.wildcard) watch.everything = claimed === undefined;
    watch.wildcard = true;
    return;
  }
  watch.names.add(name);
  const present = mapOf(stream, watch.typeUrl).get(name);
  if (!claimed?.has(name) && !watch.takeUnasked(name, present?.version)) watch.forced.add(name);
  if (watch.typeUrl !== typeUrls.route) return;
  const holdsPresent = present !== undefined && claimed?.get(name) === present.version;
  if (holdsPresent && hasVirtualHosts(present)) stream.routeConfigs.add(name);
  else stream.routeConfigs.delete(name);
}

/**
 * Notes what a response with route configurations means for virtual hosts: those of a configuration that the client did not
 * hold with VHDS must all follow. Envoy asks for them only once per stream.
 */
export function noteRouteConfigs(stream: StreamState, resources: readonly Resource[]): void {
  for (const resource of resources) {
    if (!hasVirtualHosts(resource)) stream.routeConfigs.delete(resource.name);
    else if (!stream.routeConfigs.has(resource.name)) {
      stream.routeConfigs.add(resource.name);
      stream.freshRouteConfigs.add(resource.name);
    }
  }
}

const vhdsField = 9;
const withVirtualHosts = new WeakMap<Resource, boolean>();

/** Whether a RouteConfiguration takes its virtual hosts by VHDS (its field `vhds`). */
function hasVirtualHosts(routeConfig: Resource): boolean {
  let has = withVirtualHosts.get(routeConfig);
  if (has === undefined) {
    has = hasField(routeConfig.bytes, vhdsField);
    withVirtualHosts.set(routeConfig, has);
  }
  return has;
}

function leave(stream: StreamState, watch: Watch, name: string): void {
  if (name === '*') {
    watch.wildcard = false;
    return;
  }
  watch.forget(name);
  if (watch.typeUrl !== typeUrls.route) return;
  stream.routeConfigs.delete(name);
  stream.freshRouteConfigs.delete(name);
  forgetHosts(stream, name);
}

/** A client that drops a route configuration drops its hosts with it. */
function forgetHosts(stream: StreamState, routeConfig: string): void {
  const hosts = stream.watches.get(typeUrls.virtualHost);
  if (!hosts) return;
  for (const host of stream.views.hostsOf(hosts.held.list(), routeConfig)) hosts.held.delete(host.name);
  for (const names of [hosts.dirty, hosts.forced, hosts.rejected, hosts.retiring])
    for (const name of names.keys()) if (routeConfigOf(name) === routeConfig) names.delete(name);
}

/**
 * What a client that comes back still holds: resources at their present version are not sent again; others, and those that
 * went meanwhile, are compared by the usual rules. Returns undefined if there was no claim.
 */
function takeClaims(
  stream: StreamState,
  watch: Watch,
  request: XdsRequest,
): ReadonlyMap<string, string> | undefined {
  const { names, versions } = request.claims;
  if (names.length === 0) return undefined;
  const map = mapOf(stream, watch.typeUrl);
  const claimed = new Map<string, string>();
  const equal: Resource[] = [];
  for (const [i, name] of names.entries()) {
    claimed.set(name, versions[i] ?? '');
    const resource = map.get(name);
    if (resource && resource.version === versions[i]) equal.push(resource);
    else watch.dirty.add(resource?.name ?? name);
  }
  const list = listOf(stream, watch.typeUrl);
  if (equal.length === list.length) watch.held.reset(list);
  else {
    const same = new Set(equal);
    watch.held.reset(list.filter((resource) => same.has(resource)));
    if (watch.wildcard) for (const resource of list) if (!same.has(resource)) watch.dirty.add(resource.name);
  }
  return claimed;
}

/** A state-of-the-world request names everything that is wanted. Returns nothing: what is new is noted in the watch. */
export function subscribeSotw(stream: StreamState, watch: Watch, request: XdsRequest, first: boolean): void {
  const names = new Set(request.subscribe);
  const star = names.delete('*');
  const legacy = names.size === 0 && hasLegacyWildcard(watch.typeUrl) && (first || watch.wildcard);
  const wildcard = star || legacy;
  if (first) watch.owed = hasLegacyWildcard(watch.typeUrl);
  if (wildcard && !watch.wildcard) watch.everything = true;
  watch.wildcard = wildcard;
  const gone = [...watch.names.values()].filter((name) => !names.has(name));
  for (const name of gone) leave(stream, watch, name);
  for (const name of names) {
    if (watch.names.has(name)) continue;
    watch.names.add(name);
    watch.forced.add(name);
  }
}
