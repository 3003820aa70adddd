import { workloadAt } from '../explain/places.ts';
import type { Model } from '../model/model.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { addressOf } from '../simulate/endpoints.ts';

/** Gateways on one way, at most. */
const mostGateways = 4;

/** The clusters of a proxy that lead to one of the workloads (`namespace/name`), as far as their endpoints are listed. */
export function clustersTo(
  model: Model,
  resources: DecodedResources,
  workloads: ReadonlySet<string>,
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const cluster of resources.clusters()) {
    const listed = resources.endpoints(cluster)?.endpoints ?? [];
    const leads = listed.some(({ lbEndpoints }) =>
      lbEndpoints.some((one) => {
        const socket = addressOf(one);
        const at = socket === undefined ? undefined : workloadAt(model, socket);
        return at !== undefined && workloads.has(at.key);
      }),
    );
    if (leads) found.add(cluster.name);
  }
  return found;
}

/** The workloads and the gateways that pass on to them, and to those. */
export function withGateways(model: Model, workloads: ReadonlySet<string>): ReadonlySet<string> {
  const all = new Set(workloads);
  if (all.size === 0) return all;
  const gateways = [...model.workloads.values()].filter(({ proxy }) => proxy?.type === 'router');
  for (let round = 0; round < mostGateways; round++) {
    const more = gateways.filter(
      ({ key, proxy }) => proxy && !all.has(key) && clustersTo(model, model.resources(proxy), all).size > 0,
    );
    if (more.length === 0) break;
    for (const { key } of more) all.add(key);
  }
  return all;
}
