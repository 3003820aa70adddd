import { type Resource, typeUrls } from '../snapshot/resource.ts';
import { type Draft, makeDraft } from './draft.ts';
import { emptyAssignment } from './response.ts';
import { endpointSetUsers, type RouteGate, routeGate } from './safe-order.ts';
import { listOf, mapOf, type StreamState } from './stream-state.ts';
import { type ResourceMap, routeConfigsOf } from './views.ts';
import type { SharedDelta, Watch } from './watch.ts';
import { routeConfigOf, routingTypes } from './xds-type.ts';

/** Chooses what to send next of one type, undefined if nothing. What is held back stays noted in the watch. */
export function collectDelta(stream: StreamState, watch: Watch): Draft | undefined {
  const gate = routingTypes.includes(watch.typeUrl) ? routeGate(stream) : undefined;
  const trial = takeTrial(stream, watch, gate);
  if (trial) return trial;
  const whole = collectEverything(stream, watch, gate);
  if (whole) return whole;
  const following = collectFollowing(stream, watch);
  if (following) return following;
  const quick = collectQuick(stream, watch, gate);
  if (quick) return quick;
  return collectNamed(stream, watch, gate);
}

/** The next part of a rejected response, at its present versions and as far as the gate allows. */
export function takeTrial(stream: StreamState, watch: Watch, gate: RouteGate | undefined): Draft | undefined {
  if (watch.trials.length === 0) return undefined;
  const map = mapOf(stream, watch.typeUrl);
  const isAllowed = (resource: Resource): boolean =>
    !gate || gate.open || gate.allows(resource, watch.held.get(resource.name) !== undefined);
  for (let trial = watch.trials.shift(); trial; trial = watch.trials.shift()) {
    const resources: Resource[] = [];
    for (const name of trial.names) {
      const resource = map.get(name);
      watch.dirty.delete(name);
      if (resource && isRejected(watch, resource)) continue;
      if (resource && isAllowed(resource)) resources.push(resource);
      else watch.dirty.add(name);
    }
    // A last good version counts only while the present one is the refused one; else the present one is on its way.
    const restored = trial.restore.filter((resource) => {
      const present = map.get(resource.name);
      return present && isRejected(watch, present) && isAllowed(resource) && leadsSomewhere(stream, resource);
    });
    const removed = trial.removed.filter((name) => !map.has(name));
    const all = [...resources, ...restored];
    if (all.length > 0 || removed.length > 0) return makeDraft(all, removed, [], trial);
  }
  return undefined;
}

/** Whether the clusters that an old version uses are still there. */
function leadsSomewhere(stream: StreamState, resource: Resource): boolean {
  const clusters = stream.watches.get(typeUrls.cluster);
  if (!clusters) return true;
  return (resource.hints?.clusters ?? []).every((name) => clusters.held.get(name) !== undefined);
}

/** A first answer: the class's whole list, as it stands. */
function collectEverything(
  stream: StreamState,
  watch: Watch,
  gate: RouteGate | undefined,
): Draft | undefined {
  if (!watch.everything) return undefined;
  watch.everything = false;
  watch.absorb();
  const list = listOf(stream, watch.typeUrl);
  if (watch.rejected.size > 0 || (gate && !gate.open)) {
    for (const resource of list) watch.forced.add(resource.name);
    return undefined;
  }
  const map = mapOf(stream, watch.typeUrl);
  for (const name of watch.dirty) if (map.has(name)) watch.dirty.delete(name);
  for (const name of watch.forced) if (map.has(name)) watch.forced.delete(name);
  const owed = watch.owed;
  watch.owed = false;
  return list.length > 0 || owed ? makeDraft(list) : undefined;
}

/** The usual case of an edit: one delta, all of which the client wants. */
function collectQuick(stream: StreamState, watch: Watch, gate: RouteGate | undefined): Draft | undefined {
  if (gate && !gate.open) return undefined;
  const fresh = watch.typeUrl === typeUrls.virtualHost && stream.freshRouteConfigs.size > 0;
  const delta = fresh ? undefined : watch.takeDelta();
  if (!delta) return undefined;
  const wanted = wantedUpserts(stream, watch, delta);
  return wanted.length > 0 ? makeDraft(wanted) : undefined;
}

/** Endpoints that follow their clusters unasked. */
function collectFollowing(stream: StreamState, watch: Watch): Draft | undefined {
  if (watch.following.length === 0) return undefined;
  const map = mapOf(stream, watch.typeUrl);
  const came = collectWithClusters(stream, watch, map);
  if (came) return came;
  const clusters = watch.takeFollowing();
  const list = clusters && stream.views.endpointsOf(clusters, map);
  if (list) return list.length > 0 ? makeDraft(list) : undefined;
  if (clusters) watch.following = [clusters];
  watch.absorbFollowing();
  return undefined;
}

/** A new service: the push that brought its cluster brought its endpoints, and nothing else. One list for all who hear of it. */
function collectWithClusters(stream: StreamState, watch: Watch, map: ResourceMap): Draft | undefined {
  const [clusters, more] = watch.following;
  if (!clusters || more) return undefined;
  const list = stream.views.endpointsOf(clusters, map);
  const delta = list && watch.takeDeltaOf(list);
  return delta ? makeDraft(delta.upserts) : undefined;
}

function wantedUpserts(stream: StreamState, watch: Watch, delta: SharedDelta): readonly Resource[] {
  if (watch.wildcard && servesAll(stream, watch, delta.upserts)) return delta.upserts;
  const unwanted = delta.upserts.some((resource) => !isWanted(stream, watch, resource.name));
  return unwanted
    ? delta.upserts.filter((resource) => isWanted(stream, watch, resource.name))
    : delta.upserts;
}

/** Name by name: everything that is not the usual case. */
export function collectNamed(
  stream: StreamState,
  watch: Watch,
  gate: RouteGate | undefined,
): Draft | undefined {
  watch.absorb();
  watch.absorbFollowing();
  const map = mapOf(stream, watch.typeUrl);
  const fresh = watch.typeUrl === typeUrls.virtualHost ? freshHosts(stream, watch, gate) : undefined;
  const resources: Resource[] = [];
  const removed: string[] = [...(fresh?.removed ?? [])];
  const absent: string[] = [];
  let gated = fresh?.gated ?? false;
  for (const name of new Set([...watch.forced, ...watch.dirty])) {
    const forced = watch.forced.has(name);
    const resource = map.get(name);
    if (resource && gate && !gate.open && isUseful(stream, watch, resource, forced)) {
      if (!gate.allows(resource, watch.held.get(name) !== undefined)) {
        gated = true;
        continue;
      }
    }
    watch.forced.delete(name);
    watch.dirty.delete(name);
    if (fresh?.names.has(name)) continue;
    if (resource) {
      if (isUseful(stream, watch, resource, forced)) resources.push(resource);
      continue;
    }
    const fate = fateOfAbsent(stream, watch, map, name, forced && watch.names.has(name));
    if (fate === 'remove') removed.push(name);
    else if (fate === 'absent') absent.push(name);
    else if (fate) resources.push(fate);
  }
  const named = answerAsked(stream, watch, gate, absent);
  watch.gated = gated || named.gated;
  const others = named.aliased.size === 0 ? resources : resources.filter((one) => !named.aliased.has(one));
  const all = joined(fresh?.resources ?? [], others);
  const empty = all.length + removed.length + absent.length + named.aliased.size === 0;
  if (empty && (!watch.owed || watch.gated)) return undefined;
  watch.owed = false;
  return makeDraft(all, removed, absent, undefined, named.aliased);
}

/** The virtual hosts behind names that were asked for, each with those names. What stands for nothing goes to `absent`. */
function answerAsked(
  stream: StreamState,
  watch: Watch,
  gate: RouteGate | undefined,
  absent: string[],
): { readonly aliased: ReadonlyMap<Resource, readonly string[]>; readonly gated: boolean } {
  const aliased = new Map<Resource, string[]>();
  let gated = false;
  for (const [name, target] of watch.asked) {
    const resource = target === '' ? undefined : mapOf(stream, watch.typeUrl).get(target);
    const usable = resource && !isRejected(watch, resource) ? resource : undefined;
    if (usable && gate && !gate.open && !gate.allows(usable, watch.held.get(target) !== undefined)) {
      gated = true;
      continue;
    }
    watch.asked.delete(name);
    if (usable) aliased.set(usable, [...(aliased.get(usable) ?? []), name]);
    else absent.push(name);
  }
  return { aliased, gated };
}

/** Keeps the identity of a shared list when there is nothing to add to it. */
function joined(shared: readonly Resource[], own: readonly Resource[]): readonly Resource[] {
  if (own.length === 0) return shared;
  return shared.length === 0 ? own : [...shared, ...own];
}

interface FreshHosts {
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  readonly names: ReadonlySet<string>;
  readonly gated: boolean;
}

/**
 * The first set of virtual hosts of route configurations that the client has just been sent, all in one response. One without
 * hosts is told by the removal of a host that never was: a listener waits for the first response that touches its table.
 */
function freshHosts(stream: StreamState, watch: Watch, gate: RouteGate | undefined): FreshHosts | undefined {
  const routeConfigs = [...stream.freshRouteConfigs].filter((name) => stream.routeConfigs.has(name));
  if (routeConfigs.length === 0) return undefined;
  const list = listOf(stream, typeUrls.virtualHost);
  const removed: string[] = [];
  for (const routeConfig of routeConfigs) {
    stream.freshRouteConfigs.delete(routeConfig);
    if (stream.views.hostsOf(list, routeConfig).length === 0) removed.push(`${routeConfig}/none`);
  }
  const hosts = stream.views.hostsOfAll(list, routeConfigs);
  const plain = (!gate || gate.open) && watch.rejected.size === 0;
  const resources = plain
    ? hosts
    : hosts.filter((host) => !isRejected(watch, host) && (gate?.allows(host, false) ?? true));
  const waiting = plain ? [] : hosts.filter((host) => !isRejected(watch, host) && !resources.includes(host));
  const pending = watch.dirty.size > 0 || watch.forced.size > 0;
  const names = new Set(pending ? resources.map((host) => host.name) : []);
  for (const host of waiting) watch.forced.add(host.name);
  return { resources, removed, names, gated: waiting.length > 0 };
}

function isUseful(stream: StreamState, watch: Watch, resource: Resource, forced: boolean): boolean {
  if (isRejected(watch, resource)) return false;
  if (forced) return isServed(stream, watch, resource.name);
  if (!isWanted(stream, watch, resource.name)) return false;
  // An edit that was refused and taken back: what is held is wanted again, and its acknowledgement says that all is well.
  return watch.held.get(resource.name)?.version !== resource.version || watch.rejected.has(resource.name);
}

/** The version that the client refused; a newer one gets its chance. */
export function isRejected(watch: Watch, resource: Resource): boolean {
  if (watch.rejected.size === 0 || watch.retried.has(resource.name)) return false;
  return watch.rejected.get(resource.name)?.version === resource.version;
}

function isWanted(stream: StreamState, watch: Watch, name: string): boolean {
  return (watch.wildcard || watch.names.has(name)) && isServed(stream, watch, name);
}

/** A virtual host that arrives before its route configuration is lost: it comes with the configuration later. */
function isServed(stream: StreamState, watch: Watch, name: string): boolean {
  if (watch.typeUrl !== typeUrls.virtualHost || !stream.watches.has(typeUrls.route)) return true;
  return stream.routeConfigs.has(routeConfigOf(name));
}

function servesAll(stream: StreamState, watch: Watch, hosts: readonly Resource[]): boolean {
  if (watch.typeUrl !== typeUrls.virtualHost || !stream.watches.has(typeUrls.route)) return true;
  return routeConfigsOf(hosts).every((name) => stream.routeConfigs.has(name));
}

type Fate = 'remove' | 'absent' | Resource | undefined;

/** What the client is told of a name that does not exist, or no longer. */
function fateOfAbsent(
  stream: StreamState,
  watch: Watch,
  map: ResourceMap,
  name: string,
  asked: boolean,
): Fate {
  if (!asked && !isWanted(stream, watch, name)) {
    watch.retiring.delete(name);
    return undefined;
  }
  if (watch.typeUrl === typeUrls.endpoints) return fateOfEndpoints(stream, watch, name, asked);
  if (watch.typeUrl === typeUrls.virtualHost && asked) return 'absent';
  if (asked || !retires(stream, watch, name)) return retired(watch, name);
  const at = watch.retiring.get(name);
  if (at !== undefined && at <= stream.now) return retired(watch, name);
  if (at === undefined && !map.has(name)) watch.retiring.set(name, Number.POSITIVE_INFINITY);
  return undefined;
}

function retired(watch: Watch, name: string): Fate {
  watch.retiring.delete(name);
  return 'remove';
}

/**
 * Envoy ignores the removal of a live cluster's endpoints and goes on calling them, so a cluster that still exists is told that
 * it has none. Removal does end the wait of a cluster that is being set up. A cluster that went is kept a while for routes that still
 * lead there, and one that is replaced serves until the next one is warm: where it waits for endpoints because it was altered just
 * before, it gets those that it had.
 */
function fateOfEndpoints(stream: StreamState, watch: Watch, name: string, asked: boolean): Fate {
  if (endpointSetUsers(stream, name).length > 0)
    return {
      typeUrl: watch.typeUrl,
      name,
      version: 'none',
      bytes: emptyAssignment(name),
      origins: [],
    };
  const clusters = stream.watches.get(typeUrls.cluster);
  return asked || !clusters ? ((clusters && watch.held.get(name)) ?? 'remove') : undefined;
}

/** Clusters, route configurations and the hosts of a route configuration that goes as a whole outlive their last user a while. */
function retires(stream: StreamState, watch: Watch, name: string): boolean {
  if (watch.typeUrl === typeUrls.cluster || watch.typeUrl === typeUrls.route) return true;
  if (watch.typeUrl !== typeUrls.virtualHost) return false;
  return !mapOf(stream, typeUrls.route).has(routeConfigOf(name));
}
