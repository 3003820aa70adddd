import { type EndpointsPlan, endpointsPlan } from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { localCluster } from '../../../plan/names.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { defineAttribute } from '../../../snapshot/attribute.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { anyCaller, localities } from './localities.ts';

/** Istio's switch (`ISTIO_META_ENABLE_SELF_DISCOVERY`): the bootstrap has a cluster for the proxy's own service. */
const discoversItself = defineAttribute(
  'self-discovery',
  ({ metadata }) => String(metadata.ENABLE_SELF_DISCOVERY) === 'true',
);

const localKeys = defineQuery('service.local-cluster', (view): readonly Key[] =>
  view.attribute(discoversItself) && view.call(ownEndpoints).length > 0 ? [localCluster] : [],
);

/** service, port: of several that the workload belongs to, the first */
function resolveLocal(view: View): readonly Key[] | undefined {
  const [first] = view.call(ownEndpoints).map(splitOwnEndpoint);
  return first && [first.service, String(first.servicePort)];
}

/**
 * Where the callers of this proxy's own service are: Envoy compares it with where a destination is to keep requests in their zone.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware
 */
function planLocal(view: View, key: Key, portText: Key): EndpointsPlan | undefined {
  const service = view.get(serviceKind, key);
  if (!service) return undefined;
  const port = Number(portText);
  const endpoints = (view.get(endpointsKind, key)?.endpoints ?? []).filter(
    (endpoint) => endpoint.servicePort === port && endpoint.healthy,
  );
  const everywhere = { distribute: [], failover: [], priorities: [], near: 'none' } as const;
  return endpointsPlan({
    cluster: localCluster,
    localities: localities(view, key, port, endpoints, anyCaller, everywhere),
    origin: service.origin,
  });
}

export const localClusterEndpoints: Shaper<EndpointsPlan> = {
  name: 'local-cluster',
  keys: localKeys,
  resolve: resolveLocal,
  plan: planLocal,
};
