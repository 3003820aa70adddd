import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  type RouteConfiguration,
  RouteConfigurationSchema,
} from '../../../../gen/proto/envoy/config/route/v3/route_pb.js';
import { parseClusterName } from '../../../plan/names.ts';
import { editList } from './edit-list.ts';
import { isMerge, mergeValue, ofSort, type PatchRun, valueCopy } from './patch-run.ts';
import type { Patch, PatchHead } from './schema.ts';

/** What a route configuration is matched by. */
export interface RoutesTarget {
  readonly name: string;
  /** The port that users know it by, where the name says something else. */
  readonly port?: number;
  readonly gateway: boolean;
}

/** Ports and names in route configurations' names: `9080`, `explicit.host:9080`, `inbound|9080||`, `http.80`, `https.443.name.gateway.ns`. */
function partsOf(target: RoutesTarget): { port: number; portName: string; gateway: string } {
  const { name } = target;
  const none = { portName: '', gateway: '' };
  if (target.gateway) {
    const [protocol, port, portName = '', ...gateway] = name.split('.');
    if (protocol === 'https' && gateway.length > 1)
      return { port: Number(port), portName, gateway: `${gateway.at(-1)}/${gateway.slice(0, -1).join('.')}` };
    return { port: target.port ?? Number(port), ...none };
  }
  if (target.port !== undefined) return { port: target.port, ...none };
  const cluster = parseClusterName(name);
  if (cluster) return { port: cluster.port, ...none };
  return {
    port: Number(name.startsWith('explicit.') ? name.slice(name.lastIndexOf(':') + 1) : name),
    ...none,
  };
}

export function routesMatch(head: PatchHead, target: RoutesTarget): boolean {
  const match = head.match.routeConfiguration;
  const waypoint = head.match.waypoint;
  const parts = partsOf(target);
  if (waypoint?.portNumber && waypoint.portNumber !== parts.port) return false;
  if (!match) return true;
  if (match.portNumber && match.portNumber !== parts.port) return false;
  if (
    match.name &&
    match.name !== target.name &&
    !(target.name.startsWith('explicit.') && match.name === String(parts.port))
  )
    return false;
  if (!target.gateway) return true;
  return (
    (!match.portName || match.portName === parts.portName) &&
    (!match.gateway || match.gateway === parts.gateway)
  );
}

/** By name alone; `domainName` is compared when the host is at hand. */
export function hostNameMatches(head: PatchHead, name: string): boolean {
  const wanted = head.match.routeConfiguration?.vhost?.name;
  return !wanted || wanted === name;
}

function hostMatches(head: PatchHead, host: VirtualHost): boolean {
  const domain = head.match.routeConfiguration?.vhost?.domainName;
  return hostNameMatches(head, host.name) && (!domain || host.domains.includes(domain));
}

function namesRoute(head: PatchHead): boolean {
  return (
    head.match.routeConfiguration?.vhost?.route !== undefined || head.match.waypoint?.route !== undefined
  );
}

const actions: Readonly<Record<string, string>> = {
  ROUTE: 'route',
  REDIRECT: 'redirect',
  DIRECT_RESPONSE: 'directResponse',
};

function routeMatches(head: PatchHead, route: Route): boolean {
  const match = head.match.routeConfiguration?.vhost?.route;
  const name = match?.name || head.match.waypoint?.route?.name;
  if (name && name !== route.name) return false;
  return !match?.action || match.action === 'ANY' || actions[match.action] === route.action.case;
}

/** A virtual host after the patches that concern its route configuration; undefined: removed. */
export function patchHost(run: PatchRun, given: VirtualHost): VirtualHost | undefined {
  let host = given;
  for (const patch of ofSort(run, 'VIRTUAL_HOST')) {
    if (!hostMatches(patch, host)) continue;
    if (isMerge(patch.operation)) mergeValue(VirtualHostSchema, host, patch);
    // It keeps its name, under which it travels.
    else if (patch.operation === 'REPLACE')
      host = { ...(valueCopy(VirtualHostSchema, patch) ?? host), name: host.name };
    else if (patch.operation !== 'REMOVE') continue;
    run.applied.add(patch.id);
    if (patch.operation === 'REMOVE') return undefined;
  }
  const patches = ofSort(run, 'HTTP_ROUTE').filter((patch) => hostMatches(patch, host));
  if (patches.length > 0) host.routes = patchRouteList(run, patches, host.routes);
  return host;
}

function patchRouteList(run: PatchRun, patches: readonly Patch[], given: readonly Route[]): Route[] {
  let routes = given.flatMap((route) => patchRoute(run, patches, route) ?? []);
  for (const patch of patches) {
    if (patch.operation === 'REMOVE' || patch.operation === 'REPLACE' || isMerge(patch.operation)) continue;
    const matches = namesRoute(patch) ? (route: Route) => routeMatches(patch, route) : undefined;
    // First of all, but only where the named route is.
    if (patch.operation === 'INSERT_FIRST' && matches && !routes.some(matches)) continue;
    const value = valueCopy(RouteSchema, patch);
    const edited = editList(routes, {
      operation: patch.operation,
      value,
      matches,
      end: (list) => list.length,
    });
    if (!edited) continue;
    run.applied.add(patch.id);
    routes = edited;
  }
  return routes;
}

/** A route after merges and removals. */
function patchRoute(run: PatchRun, patches: readonly Patch[], route: Route): Route | undefined {
  for (const patch of patches) {
    if (!routeMatches(patch, route)) continue;
    if (isMerge(patch.operation)) mergeValue(RouteSchema, route, patch);
    else if (patch.operation !== 'REMOVE') continue;
    run.applied.add(patch.id);
    if (patch.operation === 'REMOVE') return undefined;
  }
  return route;
}

/**
 * A route configuration and the hosts in it, changed in place. `taken`: domains of hosts that travel on their own; a domain that occurs
 * twice would make Envoy refuse one or the other.
 */
export function patchRoutes(
  run: PatchRun,
  routes: RouteConfiguration,
  taken: () => ReadonlySet<string>,
): void {
  for (const patch of ofSort(run, 'ROUTE_CONFIGURATION')) {
    if (!isMerge(patch.operation)) continue;
    mergeValue(RouteConfigurationSchema, routes, patch);
    run.applied.add(patch.id);
  }
  routes.virtualHosts = routes.virtualHosts.flatMap((host) => patchHost(run, host) ?? []);
  const added = ofSort(run, 'VIRTUAL_HOST').filter(({ operation }) => operation === 'ADD');
  if (added.length === 0) return;
  const domains = new Set([...taken(), ...routes.virtualHosts.flatMap((host) => host.domains)]);
  for (const patch of added) {
    const host = valueCopy(VirtualHostSchema, patch);
    if (!host) continue;
    host.domains = host.domains.filter((domain) => !domains.has(domain));
    if (host.domains.length === 0) continue;
    for (const domain of host.domains) domains.add(domain);
    routes.virtualHosts.push(host);
    run.applied.add(patch.id);
  }
}

/** The clusters that a host's routes name. */
export function clustersIn(host: VirtualHost): string[] {
  const names = new Set<string>();
  for (const { action } of host.routes) {
    if (action.case !== 'route') continue;
    const { clusterSpecifier, requestMirrorPolicies } = action.value;
    if (clusterSpecifier.case === 'cluster') names.add(clusterSpecifier.value);
    if (clusterSpecifier.case === 'weightedClusters')
      for (const { name } of clusterSpecifier.value.clusters) names.add(name);
    for (const { cluster } of requestMirrorPolicies) names.add(cluster);
  }
  names.delete('');
  return [...names].sort();
}
