import { getOrMake } from '../kit/maps.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import { listOf, mapOf, type StreamState } from './stream-state.ts';
import type { Watch } from './watch.ts';
import { routingTypes } from './xds-type.ts';

/** Says whether a listener, route table or virtual host may be sent now. */
export interface RouteGate {
  /** Nothing is held back. */
  readonly open: boolean;
  /** `isHeld`: the client has an older version, which goes on serving meanwhile. */
  allows(resource: Resource, isHeld: boolean): boolean;
}

const openGate: RouteGate = { open: true, allows: () => true };

/**
 * Make before break: what routes to a cluster waits until the cluster and its endpoints are sent and, where the cluster
 * warms slowly (active health checks, a secret), until Envoy has acknowledged it, for Envoy withholds that until the cluster
 * is warm. Measured with Envoy 1.40 under load: clusters, endpoints, then routes in one burst: no error in 600 edits; routes
 * first: one 503 per edit; a health-checked cluster not waited for: 1,684.
 *
 * A resource without a list of its clusters waits for all of them. No wait is longer than `warmingMs`.
 */
export function routeGate(stream: StreamState): RouteGate {
  const clusters = stream.watches.get(typeUrls.cluster);
  if (!clusters) return openGate;
  if (clusters.everything) return { open: false, allows: () => false };
  const unready = unsentClusters(stream, clusters);
  for (const name of slowClusters(stream, clusters)) unready.add(name);
  const endpoints = stream.watches.get(typeUrls.endpoints);
  for (const name of endpoints?.forced ?? [])
    for (const cluster of endpointSetUsers(stream, name)) unready.add(cluster);
  for (const sent of endpoints?.following ?? []) for (const cluster of sent) unready.add(cluster.name);
  const lost = lostClusters(clusters);
  if (unready.size === 0 && lost.size === 0) return openGate;
  return {
    open: false,
    allows: (resource, isHeld) => {
      const used = resource.hints?.clusters;
      if (!used) return unready.size === 0;
      return used.every((name) => !unready.has(name) && !(isHeld && lost.has(name)));
    },
  };
}

function unsentClusters(stream: StreamState, clusters: Watch): Set<string> {
  const unsent = new Set<string>();
  if (!clusters.hasWork) return unsent;
  clusters.absorb();
  const map = mapOf(stream, typeUrls.cluster);
  for (const name of clusters.dirty) if (map.has(name)) unsent.add(name);
  for (const name of clusters.forced) if (map.has(name)) unsent.add(name);
  for (const trial of clusters.trials) for (const name of trial.names) if (map.has(name)) unsent.add(name);
  return unsent;
}

function slowClusters(stream: StreamState, clusters: Watch): Iterable<string> {
  const flight = clusters.inFlight;
  if (!flight?.slow || stream.now - flight.sentAt > stream.warmingMs) return [];
  return flight.slow;
}

/** Rejected clusters that the client never had: routes that it holds must not be turned towards them. */
function lostClusters(clusters: Watch): Set<string> {
  const lost = new Set<string>();
  for (const name of clusters.rejected.keys()) if (!clusters.held.get(name)) lost.add(name);
  return lost;
}

/** Whether a type has something to send; virtual hosts of fresh route configurations count. */
export function hasWork(stream: StreamState, watch: Watch): boolean {
  const fresh = watch.typeUrl === typeUrls.virtualHost && stream.freshRouteConfigs.size > 0;
  return fresh || watch.hasWork;
}

/** Whether everything that may still lead to a cluster that went is sent and acknowledged. */
export function routesSettled(stream: StreamState): boolean {
  return routingTypes.every((typeUrl) => {
    const watch = stream.watches.get(typeUrl);
    return !watch || (!watch.inFlight && !hasWork(stream, watch));
  });
}

/** Types of which something that went is kept for a grace period: requests in flight may still lead there. */
const retiringTypes = [typeUrls.cluster, typeUrls.route, typeUrls.virtualHost];

/**
 * Starts the grace of what waits for removal once the routes are settled, and marks what is due. Envoy drops a cluster at once,
 * with the requests that a filter has paused or that wait for a retry: hence the grace after the last acknowledgement.
 * Returns whether something became due.
 */
export function advanceRetirement(stream: StreamState, graceMs: number): boolean {
  let due = false;
  let settled: boolean | undefined;
  let pinned: ReadonlySet<string> | undefined;
  for (const typeUrl of retiringTypes) {
    const watch = stream.watches.get(typeUrl);
    if (!watch || watch.retiring.size === 0) continue;
    settled ??= routesSettled(stream);
    pinned ??= pinnedClusters(stream);
    for (const [name, at] of watch.retiring) {
      if (typeUrl === typeUrls.cluster && pinned.has(name))
        watch.retiring.set(name, Number.POSITIVE_INFINITY);
      else if (at === Number.POSITIVE_INFINITY && settled) watch.retiring.set(name, stream.now + graceMs);
      else if (at <= stream.now && !watch.dirty.has(name)) {
        watch.dirty.add(name);
        due = true;
      }
    }
  }
  return due;
}

/** Clusters that went, but which last good versions still use: the client refused what would have led elsewhere. */
function pinnedClusters(stream: StreamState): ReadonlySet<string> {
  const pinned = new Set<string>();
  for (const typeUrl of routingTypes) {
    const watch = stream.watches.get(typeUrl);
    for (const name of watch?.rejected.keys() ?? [])
      for (const cluster of watch?.held.get(name)?.hints?.clusters ?? []) pinned.add(cluster);
  }
  return pinned;
}

/** The clusters of the present state that take a set of endpoints: most often the one of its name. */
export function endpointSetUsers(stream: StreamState, set: string): readonly string[] {
  const own = mapOf(stream, typeUrls.cluster).get(set);
  const others = clusterFacts(listOf(stream, typeUrls.cluster)).bySet.get(set) ?? [];
  return own && (own.hints?.endpointSet ?? set) === set ? [set, ...others] : others;
}

export interface ClusterFacts {
  /** Some take their endpoints by EDS. */
  readonly eds: boolean;
  /** Those that warm slowly. */
  readonly slow: ReadonlySet<string> | undefined;
  /** Those whose endpoints have a name other than the cluster's, by that name. */
  readonly bySet: ReadonlyMap<string, readonly string[]>;
}

const factsByList = new WeakMap<readonly Resource[], ClusterFacts>();

/** What the hints of a list of clusters say, found once for all who are sent that list. */
export function clusterFacts(clusters: readonly Resource[]): ClusterFacts {
  let facts = factsByList.get(clusters);
  if (!facts) {
    const slow = clusters.filter((cluster) => cluster.hints?.slowWarming).map((cluster) => cluster.name);
    facts = {
      eds: clusters.some((cluster) => cluster.hints?.eds),
      slow: slow.length > 0 ? new Set(slow) : undefined,
      bySet: clustersBySet(clusters),
    };
    factsByList.set(clusters, facts);
  }
  return facts;
}

const noSets: ReadonlyMap<string, readonly string[]> = new Map();

function clustersBySet(clusters: readonly Resource[]): ReadonlyMap<string, readonly string[]> {
  let sets: Map<string, string[]> | undefined;
  for (const { name, hints } of clusters)
    if (hints?.eds && hints.endpointSet !== undefined) {
      sets ??= new Map();
      getOrMake(sets, hints.endpointSet, () => []).push(name);
    }
  return sets ?? noSets;
}
