import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { parseClusterName } from '../../../plan/names.ts';
import type { RoutePlan, VirtualHostPlan } from '../../../plan/route-plan.ts';
import { fill, read } from '../../../plan/slot.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointTls } from '../../security/mutual-tls/schema.ts';
import { servedSlot } from '../../traffic/inbound/schema.ts';
import { mirrorSlot } from '../../traffic/mirror/schema.ts';
import { metricsSlot, peerSlot } from './schema.ts';

const origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'defaultProviders.metrics' } as const;

/** Istio's standard metrics on every chain: callers report as source, the called as destination. */
export function decorateChain(_: View, plan: FilterChainPlan): void {
  const destination = plan.direction === 'inbound';
  const service = read(plan, servedSlot);
  fill(
    plan,
    metricsSlot,
    {
      reporter: destination ? 'destination' : 'source',
      security: destination ? (plan.tls ? 'mutual_tls' : 'none') : 'unknown',
      protocol: plan.network.type,
      ...(service ? { service } : {}),
    },
    origin,
  );
}

/** Whether sidecars stand behind a host's port. Reads nothing of the proxy: whose service it is makes no difference here. */
const hasSidecars = defineQuery('metrics.has-sidecars', (view, host: Key, port: Key): boolean =>
  view.list(servicesByHost, host).some((service) => view.call(endpointTls, service, port) !== 'plain'),
);

function staysInMesh(view: View, cluster: string): boolean {
  const target = parseClusterName(cluster);
  return target !== undefined && view.call(hasSidecars, target.host, String(target.port));
}

/**
 * Requests to sidecars say who sends them; what leaves the mesh, goes on to the application or is copied to elsewhere does not, nor does
 * it carry on what somebody wrote there himself. Said once on the host where its routes agree, as nearly all do.
 */
export function decorateVirtualHost(view: View, host: VirtualHostPlan): void {
  const routes = host.routes.flatMap((route): [RoutePlan, 'told' | 'withheld'][] => {
    if (route.action.type !== 'forward') return [];
    const clusters = [...route.action.destinations, ...(read(route, mirrorSlot) ?? [])];
    return [[route, clusters.every(({ cluster }) => staysInMesh(view, cluster)) ? 'told' : 'withheld']];
  });
  const [first] = routes;
  if (!first) return;
  if (routes.every(([, peer]) => peer === first[1])) fill(host, peerSlot, first[1], origin);
  else for (const [route, peer] of routes) fill(route, peerSlot, peer, origin);
}
