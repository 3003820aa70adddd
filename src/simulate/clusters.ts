import type { Call, SimulationResult } from './call.ts';
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
