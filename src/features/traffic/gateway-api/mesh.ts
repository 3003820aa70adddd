import { splitKey } from '../../../config/object.ts';
import { compareText } from '../../../kit/maps.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import type { Destination, RoutePlan } from '../../../plan/route-plan.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { attachmentsOf } from './attachments.ts';
import { connectionDestinations } from './connections.ts';
import { planRules } from './http-rules.ts';
import {
  ageOrder,
  anyMeshRoute,
  type ParentId,
  type RouteId,
  routeObject,
  routesNaming,
  splitId,
} from './kinds.ts';
import { inOrderOfPrecedence } from './precedence.ts';
import { parentOfService } from './services.ts';

const parentFor = defineQuery('gateway-api.parent-of-service', (view, service: Key): ParentId => {
  const found = view.get(serviceKind, service);
  return found ? parentOfService(found) : '';
});

interface MeshRoute {
  readonly route: RouteId;
  readonly namespace: string;
  readonly order: string;
}

/** The routes of some kinds that have a service's port as parent, oldest first. */
const routesFor = defineQuery(
  'gateway-api.mesh-routes',
  (view, service: Key, port: Key, kinds: Key): readonly MeshRoute[] => {
    const parent = view.call(parentFor, service);
    if (parent === '') return [];
    return routesNaming(view, parent, kinds.split(','))
      .flatMap((route) => {
        const object = routeObject(view, route);
        const here = view.call(attachmentsOf, route).some((attachment) => {
          const { ref, error } = attachment;
          return attachment.parent === parent && !error && (!ref.port || String(ref.port) === port);
        });
        return object && here
          ? [{ route, namespace: splitId(route).namespace, order: ageOrder(object) }]
          : [];
      })
      .sort((a, b) => compareText(a.order, b.order));
  },
);

/**
 * The routes that decide for a service in the asking proxy's mesh: those of the proxy's own namespace where there are any (consumer
 * routes), else those of the service's namespace. Empty: nobody routes it by the Gateway API.
 */
function applicable(view: View, service: Key, port: number, kinds: string): readonly RouteId[] {
  if (!view.call(anyMeshRoute)) return [];
  const all = view.call(routesFor, service, String(port), kinds);
  if (all.length === 0) return [];
  const { namespace } = splitKey(service);
  const foreign = [...new Set(all.map((one) => one.namespace))].filter((one) => one !== namespace);
  const own = foreign.find((one) => view.attribute(inNamespace(one))) ?? namespace;
  return all.filter((one) => one.namespace === own).map(({ route }) => route);
}

/** The HTTP entries for a service's port; undefined where no HTTPRoute or GRPCRoute has it as parent. */
export function meshHttpRoutes(view: View, service: Key, port: number): RoutePlan[] | undefined {
  const routes = applicable(view, service, port, 'HTTPRoute,GRPCRoute');
  if (routes.length === 0) return undefined;
  return inOrderOfPrecedence(
    routes.flatMap((route) => planRules(view, route, { port, tls: false, mesh: true })),
  );
}

/** Where connections to a service's port go; undefined where no TCPRoute or TLSRoute has it as parent. */
export function meshConnections(view: View, service: Key, port: number): Destination[] | undefined {
  const [first] = applicable(view, service, port, 'TLSRoute,TCPRoute');
  return first === undefined ? undefined : connectionDestinations(view, first);
}
