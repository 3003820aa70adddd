import type {
  VirtualServiceTcpMatch,
  VirtualServiceTcpRoute,
  VirtualServiceTlsMatch,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import { type ConnectionCondition, canonicalRange, inRange } from '../../../plan/first-match.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import { serviceFor } from '../../../plan/service-scope.ts';
import type { View } from '../../../snapshot/view.ts';
import { meshConnections } from '../gateway-api/schema.ts';
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

/** A condition of a TCP or TLS route. */
type L4Match = Partial<VirtualServiceTcpMatch & VirtualServiceTlsMatch>;

/** Connections of one kind and where they go. */
export interface ConnectionRoute {
  readonly condition: ConnectionCondition;
  readonly destinations: readonly Destination[];
}

export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly type: 'tcp' | 'tls';
  /** The host was asked for by name, at no address of its own (explicit capture): its addresses here stand for the one called. */
  readonly addresses?: readonly string[];
}

/**
 * Where the mesh's virtual service sends connections to a service port: its TCP or TLS routes whose conditions on the caller hold,
 * in order, up to the first that takes everything. What none of them takes goes to the service itself.
 */
export function connectionRoutes(view: View, target: ConnectionTarget): ConnectionRoute[] {
  const own = meshConnections(view, view.call(serviceFor, target.host), target.port);
  if (own) return [{ condition: {}, destinations: own }];
  const service = view.get(virtualServiceKind, virtualServiceOn(view, target.host, target.port));
  const result: ConnectionRoute[] = [];
  const routes: readonly {
    match?: (VirtualServiceTcpMatch | VirtualServiceTlsMatch)[];
    route?: VirtualServiceTcpRoute[];
  }[] = service?.spec?.[target.type] ?? [];
  for (const [index, route] of routes.entries()) {
    if (!service) break;
    const matches: L4Match[] = route.match?.length ? route.match : [{}];
    const conditions = matches
      .filter((match) => applies(view, service, match, target.port))
      .flatMap((match) => conditionsOf(match, target));
    if (conditions.length === 0) continue;
    const all = route.route ?? [];
    const destinations = all.map((to, at) => ({
      cluster: destinationCluster(view, to.destination, namespaceOf(service), target.port),
      weight: all.length === 1 ? 1 : (to.weight ?? 0),
      origin: originIn(service, `spec.${target.type}[${index}].route[${at}]`),
    }));
    for (const condition of conditions) result.push({ condition, destinations });
    if (conditions.some((condition) => Object.keys(condition).length === 0)) break;
  }
  return result;
}

/** What of a match only a connection can tell: any combination of its lists. */
function conditionsOf(match: L4Match, { host, addresses }: ConnectionTarget): ConnectionCondition[] {
  const subnets = (match.destinationSubnets ?? []).map(canonicalRange);
  const names = match.sniHosts ?? [];
  const known = addresses !== undefined;
  if (
    known &&
    subnets.length > 0 &&
    !addresses.some((address) => subnets.some((subnet) => inRange(subnet, address)))
  )
    return [];
  if (known && names.length > 0 && !names.some((name) => hostCovers(name, host))) return [];
  const sources = match.sourceSubnet ? [{ source: canonicalRange(match.sourceSubnet) }] : [{}];
  const destinations = known || subnets.length === 0 ? [{}] : subnets.map((destination) => ({ destination }));
  const all = known || names.length === 0 || names.includes('*');
  const serverNames = all ? [{}] : names.filter(isServerName).map((serverName) => ({ serverName }));
  return destinations.flatMap((destination) =>
    serverNames.flatMap((name) => sources.map((source) => ({ ...destination, ...name, ...source }))),
  );
}

/** Envoy knows names and `*.suffix`. */
function isServerName(name: string): boolean {
  return !name.startsWith('*') || name.startsWith('*.');
}

function applies(view: View, service: VirtualService, match: L4Match, port: number): boolean {
  if (match.port && match.port !== port) return false;
  const gateways = (match.gateways ?? []).map((gateway) => gatewayKey(gateway, namespaceOf(service)));
  if (gateways.length > 0 && !gateways.includes('mesh')) return false;
  return concernsCaller(view, match);
}

function concernsCaller(view: View, { sourceNamespace, sourceLabels }: L4Match): boolean {
  if (sourceNamespace && !view.attribute(inNamespace(sourceNamespace))) return false;
  return !sourceLabels || view.matches(sourceLabels);
}

export interface GatewayConnection {
  /** Namespace and hosts of the virtual service. */
  readonly namespace: string;
  readonly hosts: readonly string[];
  /** Names that the client asks for by SNI; `*` for TCP routes. */
  readonly serverNames: readonly string[];
  /** Ranges of source and destination, any of which will do; one without any takes every connection. */
  readonly conditions: readonly ConnectionCondition[];
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
    const here = (match: L4Match): boolean => {
      const named = (match.gateways ?? []).map((name) => gatewayKey(name, namespaceOf(service)));
      if (named.length > 0 && !named.includes(gateway)) return false;
      return (!match.port || match.port === port) && concernsCaller(view, match);
    };
    const rangesOf = (matches: readonly L4Match[]): ConnectionCondition[] =>
      matches.flatMap(({ sniHosts: _, ...ranges }) => conditionsOf(ranges, { host: '', port, type: 'tcp' }));
    for (const [index, route] of (service.spec?.tls ?? []).entries()) {
      const matches = route.match.filter(here);
      const names = matches.flatMap((match) => match.sniHosts);
      if (names.length > 0)
        found.push({
          ...owner,
          serverNames: [...new Set(names)],
          conditions: rangesOf(matches),
          destinations: at(route.route, `spec.tls[${index}]`),
        });
    }
    for (const [index, route] of (service.spec?.tcp ?? []).entries()) {
      const matches = route.match?.length ? route.match.filter(here) : [{}];
      if (matches.length > 0)
        found.push({
          ...owner,
          serverNames: ['*'],
          conditions: rangesOf(matches),
          destinations: at(route.route, `spec.tcp[${index}]`),
        });
    }
  }
  return found;
}
