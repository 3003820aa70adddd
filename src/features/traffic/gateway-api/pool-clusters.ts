import {
  type ClusterPlan,
  clusterPlan,
  type EndpointPlan,
  type LocalityPlan,
} from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { fill } from '../../../plan/slot.ts';
import { poolHost } from '../../../registry/inference-pool.ts';
import { endpointsKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { takesMtls } from '../../security/mutual-tls/schema.ts';
import { pickedSlot } from '../inference/schema.ts';
import { attachedRoutes } from './attachments.ts';
import { ownGateways } from './bound.ts';
import { originIn } from './kinds.ts';
import { poolCluster, poolKind } from './pools.ts';
import { poolsOfRoute } from './rule-backends.ts';

/** The pools that routes of the asking proxy's Gateways lead to. */
const poolKeys = defineQuery('gateway-api.pools', (view): readonly Key[] => {
  const routes = view.call(ownGateways).flatMap((gateway) => view.call(attachedRoutes, gateway));
  return [...new Set(routes.flatMap(({ route }) => poolsOfRoute(view, route)))].sort();
});

/** One cluster for all of a pool's ports: its picker may name any of them. */
function planCluster(view: View, pool: Key): ClusterPlan | undefined {
  const [namespace = '', name = ''] = pool.split('/');
  const spec = view.get(poolKind, pool)?.spec;
  if (!spec) return undefined;
  const hostname = poolHost(namespace, name);
  const endpoints = (view.get(endpointsKind, `${namespace}/${hostname}`)?.endpoints ?? []).filter(
    ({ healthy }) => healthy,
  );
  const localities: LocalityPlan = {
    ...{ locality: '', priority: 0, weight: 0 },
    endpoints: endpoints
      .map(
        (endpoint): EndpointPlan => ({
          address: endpoint.address,
          port: endpoint.port,
          weight: 1,
          healthy: true,
          mtls: takesMtls(view, endpoint),
          workload: '',
        }),
      )
      .sort((a, b) => (`${a.address}|${a.port}` < `${b.address}|${b.port}` ? -1 : 1)),
  };
  const origin = originIn(`InferencePool/${pool}`, 'spec');
  const plan = clusterPlan({
    name: poolCluster(pool),
    direction: 'outbound',
    discovery: endpoints.length > 0 ? { type: 'static', localities: [localities] } : { type: 'nothing' },
    protocol: spec.appProtocol === 'kubernetes.io/h2c' ? 'http2' : 'http1',
    service: { hostname, name, namespace, port: spec.targetPorts[0]?.number ?? 0, subset: '' },
    connectTimeoutMs: 10_000,
    origin,
  });
  fill(plan, pickedSlot, true, origin);
  return plan;
}

export const poolClusters: Shaper<ClusterPlan> = {
  name: 'gateway-api-pools',
  keys: poolKeys,
  plan: planCluster,
};
