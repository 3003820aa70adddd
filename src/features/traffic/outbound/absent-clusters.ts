import { splitKey } from '../../../config/object.ts';
import { parseClusterName } from '../../../plan/names.ts';
import { type Destination, patient, type RoutePlan, type VirtualHostPlan } from '../../../plan/route-plan.ts';
import { findPort, serviceFor } from '../../../plan/service-scope.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { destinationRuleFor, subsetsOf } from '../destination-rule/schema.ts';

/**
 * Routes of a proxy that loads clusters on demand, with a mark on destinations that nobody defines: Envoy asks for a cluster once per
 * stream, and every request but the first would wait in vain for the answer that came then.
 */
export function withAbsentMarked(view: View, routes: readonly RoutePlan[]): readonly RoutePlan[] {
  return routes.map((route) => {
    if (route.action.type !== 'forward') return route;
    const destinations = route.action.destinations.map(
      (one): Destination => (view.call(isAbsent, one.cluster) ? { ...one, absent: true } : one),
    );
    return { ...route, action: { ...route.action, destinations } };
  });
}

/** A virtual host that came on demand: see `patient`, and `withAbsentMarked`. */
export function broughtHost(view: View, host: VirtualHostPlan): VirtualHostPlan {
  return patient({ ...host, routes: withAbsentMarked(view, host.routes) });
}

/** Whether a name is of a service's cluster, and no service that the asking proxy sees has it. */
const isAbsent = defineQuery('outbound.is-absent-cluster', (view, cluster: Key): boolean => {
  const parsed = parseClusterName(cluster);
  if (parsed?.direction !== 'outbound') return false;
  const key = view.call(serviceFor, parsed.host);
  const service = view.get(serviceKind, key);
  if (!service || !findPort(service, parsed.port)) return true;
  if (parsed.subset === '') return false;
  const rules = view.call(destinationRuleFor, parsed.host, splitKey(key).namespace);
  return rules === '' || !view.call(subsetsOf, rules).some(({ name }) => name === parsed.subset);
});
