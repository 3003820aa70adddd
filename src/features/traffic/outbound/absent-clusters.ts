import { parseClusterName } from '../../../plan/names.ts';
import { type Destination, patient, type RoutePlan, type VirtualHostPlan } from '../../../plan/route-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { clustersOfHost } from '../service/schema.ts';

/**
 * Routes of a proxy that loads clusters on demand, with a mark on destinations that nobody defines: Envoy asks for a cluster once per
 * stream, and every request but the first would wait in vain for the answer that came then.
 */
export function withAbsentMarked(view: View, routes: readonly RoutePlan[]): readonly RoutePlan[] {
  return routes.map((route) => {
    if (route.action.type !== 'forward') return route;
    const absent = new Set(route.action.destinations.filter(({ cluster }) => view.call(isAbsent, cluster)));
    if (absent.size === 0) return route;
    const destinations = route.action.destinations.map(
      (one): Destination => (absent.has(one) ? { ...one, absent: true } : one),
    );
    return { ...route, action: { ...route.action, destinations } };
  });
}

/** A virtual host that came on demand: see `patient`, and `withAbsentMarked`. */
export function broughtHost(view: View, host: VirtualHostPlan): VirtualHostPlan {
  return patient({ ...host, routes: withAbsentMarked(view, host.routes) });
}

/** Whether a name is of a service's cluster, and the asking proxy never gets it. */
const isAbsent = defineQuery('outbound.is-absent-cluster', (view, cluster: Key): boolean => {
  const parsed = parseClusterName(cluster);
  return parsed?.direction === 'outbound' && !view.call(clustersOfHost, parsed.host).includes(cluster);
});
