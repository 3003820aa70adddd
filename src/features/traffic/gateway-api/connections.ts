import { compareText } from '../../../kit/maps.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { attachedRoutes } from './attachments.ts';
import { type BackendRef, resolveBackend } from './backends.ts';
import {
  ageOrder,
  originIn,
  type RouteId,
  routeObject,
  splitId,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
} from './kinds.ts';
import { type Listener, listenerId } from './listeners.ts';

/** Where connections for some server names go. */
export interface Connection {
  readonly route: RouteId;
  readonly serverNames: readonly string[];
  readonly destinations: readonly Destination[];
}

type WeightedRef = BackendRef & { readonly weight?: number };

/** The backends of a TLSRoute, TCPRoute or UDPRoute: such a route has one rule. */
export function connectionBackends(view: View, id: RouteId): readonly WeightedRef[] {
  const { kind, key } = splitId(id);
  const token = { TLSRoute: tlsRouteKind, TCPRoute: tcpRouteKind, UDPRoute: udpRouteKind }[kind];
  return (token && (view.get(token, key)?.spec?.rules?.[0]?.backendRefs as WeightedRef[] | undefined)) ?? [];
}

/** By weight; the share of one that leads nowhere is closed at once. */
export function connectionDestinations(view: View, id: RouteId): Destination[] {
  const used = connectionBackends(view, id).flatMap((ref, at): Destination[] => {
    const { weight = 1 } = ref;
    if (weight === 0) return [];
    const backend = resolveBackend(view, id, ref);
    return [
      {
        cluster: backend.ok ? backend.value.cluster : blackHoleCluster,
        weight,
        origin: originIn(id, `spec.rules[0].backendRefs[${at}]`),
      },
    ];
  });
  return used.length > 0
    ? used
    : [{ cluster: blackHoleCluster, weight: 1, origin: originIn(id, 'spec.rules') }];
}

/** The connection routes of a listener, the oldest first. */
export function connectionsOf(view: View, gateways: readonly Key[], listener: Listener): Connection[] {
  const id = listenerId(listener);
  const all = gateways.flatMap((gateway) => view.call(attachedRoutes, gateway));
  return all
    .filter((attached) => attached.listener === id)
    .flatMap(({ route, hostnames }) => {
      const object = routeObject(view, route);
      return object ? [{ route, hostnames, order: ageOrder(object) }] : [];
    })
    .sort((a, b) => compareText(a.order, b.order))
    .map(({ route, hostnames }) => ({
      route,
      serverNames: hostnames,
      destinations: connectionDestinations(view, route),
    }));
}

/** Names that belong to a listener and not to a more specific one. */
export function ownNames(
  names: readonly string[],
  listener: Listener,
  others: readonly Listener[],
): string[] {
  return names.filter(
    (name) =>
      !others.some(
        (other) =>
          other !== listener &&
          other.hostname !== '' &&
          other.hostname.length > listener.hostname.length &&
          hostCovers(other.hostname, name),
      ),
  );
}
