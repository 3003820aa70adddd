import type {
  VirtualServiceTcpMatch,
  VirtualServiceTcpRoute,
  VirtualServiceTlsMatch,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import type { View } from '../../../snapshot/view.ts';
import { destinationCluster } from './plan.ts';
import {
  gatewayKey,
  inPrecedence,
  namespaceOf,
  originIn,
  type VirtualService,
  virtualServiceKind,
  virtualServiceOn,
  virtualServicesByGateway,
} from './virtual-service.ts';

/**
 * Where the mesh's virtual service sends connections to a service port: the first TCP or TLS route whose conditions hold for
 * every such connection. Empty: to the service itself. Routes for single subnets are not carried out yet (features/coverage.ts).
 */
export function connectionDestinations(
  view: View,
  host: string,
  port: number,
  type: 'tcp' | 'tls',
): Destination[] {
  const service = view.get(virtualServiceKind, virtualServiceOn(view, host, port));
  if (!service) return [];
  const routes: readonly {
    match?: (VirtualServiceTcpMatch | VirtualServiceTlsMatch)[];
    route?: VirtualServiceTcpRoute[];
  }[] = (type === 'tcp' ? service.spec?.tcp : service.spec?.tls) ?? [];
  for (const [index, route] of routes.entries()) {
    const matches = route.match ?? [];
    if (matches.length > 0 && !matches.some((match) => applies(view, service, match, host, port))) continue;
    const all = route.route ?? [];
    return all.map((target, at) => ({
      cluster: destinationCluster(view, target.destination, namespaceOf(service), port),
      weight: all.length === 1 ? 1 : (target.weight ?? 0),
      origin: originIn(service, `spec.${type}[${index}].route[${at}]`),
    }));
  }
  return [];
}

function applies(
  view: View,
  service: VirtualService,
  match: VirtualServiceTcpMatch | VirtualServiceTlsMatch,
  host: string,
  port: number,
): boolean {
  if (match.port && match.port !== port) return false;
  if (match.destinationSubnets?.length) return false;
  const gateways = (match.gateways ?? []).map((gateway) => gatewayKey(gateway, namespaceOf(service)));
  if (gateways.length > 0 && !gateways.includes('mesh')) return false;
  if ('sniHosts' in match && !match.sniHosts.some((name) => hostCovers(name, host))) return false;
  if (match.sourceNamespace && !view.attribute(inNamespace(match.sourceNamespace))) return false;
  return !match.sourceLabels || view.matches(match.sourceLabels);
}

export interface GatewayConnection {
  /** Namespace and hosts of the virtual service. */
  readonly namespace: string;
  readonly hosts: readonly string[];
  /** Names that the client asks for by SNI; `*` for TCP routes. */
  readonly serverNames: readonly string[];
  readonly destinations: readonly Destination[];
}

/** The TCP and TLS routes of the virtual services bound to a gateway, for one of its ports, in order of precedence. */
export function gatewayConnections(view: View, gateway: string, port: number): GatewayConnection[] {
  const found: GatewayConnection[] = [];
  for (const key of inPrecedence(view, view.list(virtualServicesByGateway, gateway))) {
    const service = view.get(virtualServiceKind, key);
    if (!service) continue;
    const owner = { namespace: namespaceOf(service), hosts: service.spec?.hosts ?? [] };
    const at = (route: VirtualServiceTcpRoute[] | undefined, path: string): Destination[] =>
      (route ?? []).map((target, index, all) => ({
        cluster: destinationCluster(view, target.destination, namespaceOf(service), port),
        weight: all.length === 1 ? 1 : (target.weight ?? 0),
        origin: originIn(service, `${path}.route[${index}]`),
      }));
    const here = (match: { port?: number; gateways?: string[] }): boolean => {
      const named = (match.gateways ?? []).map((name) => gatewayKey(name, namespaceOf(service)));
      return (!match.port || match.port === port) && (named.length === 0 || named.includes(gateway));
    };
    for (const [index, route] of (service.spec?.tls ?? []).entries()) {
      const names = route.match.filter(here).flatMap((match) => match.sniHosts);
      if (names.length > 0)
        found.push({
          ...owner,
          serverNames: [...new Set(names)],
          destinations: at(route.route, `spec.tls[${index}]`),
        });
    }
    for (const [index, route] of (service.spec?.tcp ?? []).entries())
      if (!route.match?.length || route.match.some(here))
        found.push({
          ...owner,
          serverNames: ['*'],
          destinations: at(route.route, `spec.tcp[${index}]`),
        });
  }
  return found;
}
