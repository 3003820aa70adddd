import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { Call, SimulationResult } from './call.ts';
import { endpointChances } from './endpoints.ts';
import { step, type Walk } from './walk.ts';

type Weighted = readonly { readonly cluster: string; readonly weight: number }[];

/** The place of the destination that the call is to take. */
export function chosenIndex(
  { destination = 0 }: Call,
  clusters: readonly { readonly weight: number }[],
): number {
  const possible = clusters.flatMap(({ weight }, index) => (weight > 0 ? [index] : []));
  return possible[destination] ?? possible[0] ?? 0;
}

export function toClusters(walk: Walk, clusters: Weighted): SimulationResult {
  const chosen = clusters[chosenIndex(walk.call, clusters)];
  if (chosen) {
    walk.result.cluster = chosen.cluster;
    step(walk, 'cluster', chosen.cluster, walk.resources.cluster(chosen.cluster)?.metadata);
  }
  if (clusters.length > 1) walk.result.weightedClusters = clusters;
  return walk.result;
}

/** Whether there is somebody to send to, as far as is known; the endpoints are told. */
export function hasEndpoint(walk: Walk, cluster: Cluster): boolean {
  const assignment = walk.resources.endpoints(cluster);
  const { case: by, value: type } = cluster.clusterDiscoveryType;
  const isA = (wanted: DiscoveryType) => by === 'type' && type === wanted;
  if (isA(DiscoveryType.ORIGINAL_DST)) {
    const { address, port } = walk.call;
    walk.result.endpoints = [`${address}:${port}`];
  }
  if (!assignment) return !cluster.edsClusterConfig && !isA(DiscoveryType.STATIC);
  const chances = endpointChances(cluster, assignment);
  walk.result.chances = chances;
  walk.result.endpoints = chances.filter(({ share }) => share > 0).map(({ address }) => address);
  return walk.result.endpoints.length > 0;
}
