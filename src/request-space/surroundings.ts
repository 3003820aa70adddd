import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { Route, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { splitSocket } from '../explain/hop.ts';
import { workloadAt } from '../explain/places.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { addressOf } from '../simulate/endpoints.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { Conditions, conditionsIn } from './conditions.ts';
import type { Journey, Passed } from './journey.ts';

/** What decides the requests to one host and port, beside the requests themselves. */
export interface Surroundings {
  /** The virtual host that takes them at the first proxy; absent: they are no HTTP, or no one takes them. */
  readonly host?: VirtualHost;
  /** Conditions of the first proxy's filters and of the servers. */
  readonly beyond: Conditions;
  /** Changes whenever something of it does. */
  readonly footprint: string;
}

/** Proxies behind proxies that are looked into, at most. */
const mostDepth = 3;

/** Looks at what a first request met, and at what others to the same host can meet. */
export function surroundingsOf(model: Model, { passed }: Journey): Surroundings {
  const beyond = new Conditions();
  const versions = new Set<string>();
  const [first] = passed;
  if (!first) return { beyond, footprint: '' };
  const { resources, result, hop } = first;
  if (hop.role === 'server') return atServers(passed);
  const note = (typeUrl: string, name: string): void => {
    versions.add(`${typeUrl.slice(-12)} ${name} ${resources.set.get(typeUrl)?.get(name)?.version}`);
  };
  const listener = resources.listeners().find(({ name }) => name === result.listener);
  if (listener) {
    note(typeUrls.listener, listener.name);
    addListener(beyond, listener, undefined);
  }
  const config = resources.routeConfiguration(result.routeConfig ?? '');
  const host = config && resources.virtualHosts(config).find(({ name }) => name === result.virtualHost);
  if (config) note(typeUrls.route, config.name);
  if (host) versions.add(`host ${versionOfHost(resources, config?.name ?? '', host)}`);
  const clusters = new Set<string>([
    ...(host?.routes ?? []).flatMap(clustersOf),
    ...(result.cluster === undefined ? [] : [result.cluster]),
    ...(result.weightedClusters ?? []).map(({ cluster }) => cluster),
  ]);
  for (const name of [...clusters].sort()) {
    note(typeUrls.cluster, name);
    note(typeUrls.endpoints, name);
    addServers(beyond, model, resources, name, 0, new Set());
  }
  for (const { hop: later } of passed.slice(1))
    addWorkload(beyond, model, later.at, later.call.port, 0, new Set());
  return { ...(host ? { host } : {}), beyond, footprint: [...versions].join('\n') };
}

/** No other proxy is before those of the servers: all that the network may take the request to. */
function atServers(passed: readonly Passed[]): Surroundings {
  const beyond = new Conditions();
  const versions = new Set<string>();
  for (const { resources, result, hop } of passed) {
    const listener = resources.listeners().find(({ name }) => name === result.listener);
    if (!listener) continue;
    const version = resources.set.get(typeUrls.listener)?.get(listener.name)?.version;
    versions.add(`server ${hop.call.port} ${version}`);
    addListener(beyond, listener, hop.call.port);
  }
  return { beyond, footprint: [...versions].join('\n') };
}

function versionOfHost(resources: DecodedResources, configuration: string, host: VirtualHost): string {
  const hosts = resources.set.get(typeUrls.virtualHost);
  const found = hosts?.get(host.name) ?? hosts?.get(`${configuration}/${host.name}`);
  return (
    found?.version ?? `${host.name} of ${resources.set.get(typeUrls.route)?.get(configuration)?.version}`
  );
}

export function clustersOf({ action }: Route): string[] {
  if (action.case !== 'route') return [];
  const { clusterSpecifier: to, requestMirrorPolicies: mirrors } = action.value;
  const mirrored = mirrors.map(({ cluster }) => cluster);
  if (to.case === 'cluster') return [to.value, ...mirrored];
  return to.case === 'weightedClusters'
    ? [...to.value.clusters.map(({ name }) => name), ...mirrored]
    : mirrored;
}

/** Everything that a workload's own proxy asks of what comes in at a port. */
export function inboundConditions(
  resources: DecodedResources | undefined,
  port: number,
  explicit: boolean,
): Conditions {
  const found = new Conditions();
  for (const listener of resources?.listeners() ?? [])
    if (listener.name === 'virtualInbound' || (explicit && isAt(listener, port)))
      addListener(found, listener, explicit ? undefined : port);
  return found;
}

/** Ports that a redirected workload's proxy tells apart: of its filter chains, and of its policies. */
export function inboundPorts(resources: DecodedResources): ReadonlySet<number> {
  const listener = resources.listeners().find(({ name }) => name === 'virtualInbound');
  const found = new Set<number>();
  for (const chain of listener?.filterChains ?? []) {
    const port = chain.filterChainMatch?.destinationPort;
    if (port !== undefined) found.add(port);
    for (const named of conditionsIn(chain).ports) found.add(named);
  }
  return found;
}

/** Of an inbound listener, the chains for a port. */
function addListener(into: Conditions, listener: Listener, port: number | undefined): void {
  const chains = [
    ...listener.filterChains,
    ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : []),
  ];
  for (const chain of chains) {
    const own = chain.filterChainMatch?.destinationPort;
    if (port === undefined || own === undefined || own === port) into.addAll(conditionsIn(chain));
  }
}

function addServers(
  into: Conditions,
  model: Model,
  resources: DecodedResources,
  name: string,
  depth: number,
  seen: Set<string>,
): void {
  const cluster = resources.cluster(name);
  const assignment = cluster && resources.endpoints(cluster);
  if (!assignment) return;
  const sockets = assignment.endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.flatMap((one) => addressOf(one) ?? []),
  );
  for (const socket of sockets) {
    const at = workloadAt(model, socket);
    if (at) addWorkload(into, model, at, splitSocket(socket).port, depth, seen);
  }
}

function addWorkload(
  into: Conditions,
  model: Model,
  { proxy, workload, key }: ModelWorkload,
  port: number,
  depth: number,
  seen: Set<string>,
): void {
  const kind = `${workload.namespace}/${workload.controller ?? key} ${port}`;
  if (!proxy || depth > mostDepth || seen.has(kind)) return;
  seen.add(kind);
  const resources = model.resources(proxy);
  if (proxy.type !== 'router') {
    into.addAll(inboundConditions(resources, port, proxy.explicit !== undefined));
    return;
  }
  for (const listener of resources.listeners()) addListener(into, listener, undefined);
  for (const typeUrl of [typeUrls.route, typeUrls.virtualHost])
    for (const name of resources.set.get(typeUrl)?.keys() ?? [])
      addRoutes(into, model, resources, name, depth, seen);
}

function addRoutes(
  into: Conditions,
  model: Model,
  resources: DecodedResources,
  name: string,
  depth: number,
  seen: Set<string>,
): void {
  const config = resources.routeConfiguration(name.split('/')[0] ?? '');
  if (!config) return;
  for (const host of resources.virtualHosts(config)) {
    into.addAll(conditionsIn(host));
    for (const cluster of new Set(host.routes.flatMap(clustersOf)))
      addServers(into, model, resources, cluster, depth + 1, seen);
  }
}

function isAt({ address }: Listener, port: number): boolean {
  const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined;
  return socket?.portSpecifier.case === 'portValue' && socket.portSpecifier.value === port;
}
