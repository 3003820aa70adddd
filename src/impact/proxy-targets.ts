import type { VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { parseIp } from '../kit/ip.ts';
import type { Model } from '../model/model.ts';
import { inboundPassthroughCluster, parseClusterName } from '../plan/names.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { allServices, endpointsByWorkload, endpointsKind, serviceKind } from '../snapshot/kinds.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import { type ListenerFacts, listenerIndex } from './listener-facts.ts';
import { anyPort, hostName, hostNames, type Target, targetUrl, unknownHost } from './target.ts';
import type { ResourceChange, TouchedProxy } from './touched.ts';

/** What one side, before or after, says of a proxy. */
export interface Side {
  readonly model: Model;
  readonly resources: DecodedResources;
  /** What the other side says. */
  readonly other: DecodedResources;
}

/** Whether the changes of a proxy concern what comes in to the workload behind it. */
export function concernsServer({ workload: { proxy }, changes }: TouchedProxy): boolean {
  if (!proxy) return false;
  const { explicit, type } = proxy;
  if (type === 'router') return changes.length > 0;
  return changes.some(
    ({ typeUrl, name }) =>
      name.startsWith('inbound|') ||
      name === 'virtualInbound' ||
      name === inboundPassthroughCluster ||
      typeUrl === typeUrls.secret ||
      (explicit !== undefined && typeUrl === typeUrls.listener),
  );
}

/**
 * Targets of requests through a proxy that changes of its resources concern, or that it may send to some clusters, as one side knows
 * them. Asks for the model's world.
 */
export function proxyTargets(
  side: Side,
  proxy: MeshProxy,
  changes: readonly ResourceChange[],
  clusters: ReadonlySet<string>,
): readonly Target[] {
  const found = new Map<string, Target>();
  const add = (targets: readonly Target[]): void => {
    for (const target of targets) found.set(targetUrl(target), target);
  };
  const concerned = new Set(clusters);
  for (const { typeUrl, name } of changes)
    if (typeUrl === typeUrls.cluster || typeUrl === typeUrls.endpoints) concerned.add(name);
    else add(targetsOf(typeUrl, name, side, proxy));
  if (concerned.size > 0) add(clusterTargets(concerned, side, proxy));
  return [...found.values()];
}

/** Targets of all hosts that a proxy knows by name, as one model has it. Asks for the model's world. */
export function namedTargets(model: Model, proxy: MeshProxy): readonly Target[] {
  const resources = model.resources(proxy);
  const side: Side = { model, resources, other: resources };
  const found = new Map<string, Target>();
  for (const { listener } of listenerIndex(resources).all)
    for (const target of listenerTargets(listener.name, side, proxy))
      if (target.host !== unknownHost && !parseIp(target.host)) found.set(targetUrl(target), target);
  return [...found.values()];
}

function targetsOf(typeUrl: string, name: string, side: Side, proxy: MeshProxy): Target[] {
  switch (typeUrl) {
    case typeUrls.virtualHost: {
      const slash = name.indexOf('/');
      return virtualHostTargets(name.slice(0, slash), name.slice(slash + 1), side, proxy);
    }
    case typeUrls.route:
      return configurationTargets(name, side, proxy);
    case typeUrls.listener:
      return listenerTargets(name, side, proxy);
    default:
      return [];
  }
}

function virtualHostTargets(configuration: string, suffix: string, side: Side, proxy: MeshProxy): Target[] {
  const config = side.resources.routeConfiguration(configuration);
  if (!config) return [];
  const known = hostsByName(side.resources.virtualHosts(config));
  const host = known.get(suffix) ?? known.get(`${configuration}/${suffix}`);
  return host ? hostTargets(host, configuration, side, proxy) : [];
}

function configurationTargets(name: string, side: Side, proxy: MeshProxy): Target[] {
  const config = side.resources.routeConfiguration(name);
  if (!config) return [];
  return side.resources.virtualHosts(config).flatMap((host) => hostTargets(host, name, side, proxy));
}

function hostTargets(host: VirtualHost, configuration: string, side: Side, proxy: MeshProxy): Target[] {
  const listeners = listenerIndex(side.resources).byRoutes.get(configuration) ?? [];
  const names = tellingNames(host, configuration, side);
  return listeners.flatMap((listener) => atListener(listener, names, side, proxy));
}

const byName = new WeakMap<readonly VirtualHost[], ReadonlyMap<string, VirtualHost>>();

/** Lists of virtual hosts are shared by the proxies of a class. */
function hostsByName(hosts: readonly VirtualHost[]): ReadonlyMap<string, VirtualHost> {
  let found = byName.get(hosts);
  if (!found) {
    found = new Map(hosts.map((host) => [host.name, host]));
    byName.set(hosts, found);
  }
  return found;
}

/** All names where the other side knows others; else one, in full: they lead to the same place. */
function tellingNames(host: VirtualHost, configuration: string, { other }: Side): string[] {
  const config = other.routeConfiguration(configuration);
  const same = config && hostsByName(other.virtualHosts(config)).get(host.name);
  const names = hostNames(host.domains);
  if (same?.domains.join(' ') !== host.domains.join(' ')) return names;
  const [longest = unknownHost] = names
    .filter((name) => !parseIp(name) && !name.endsWith('.'))
    .sort((a, b) => b.length - a.length);
  return [longest];
}

function atListener(facts: ListenerFacts, hosts: readonly string[], side: Side, proxy: MeshProxy): Target[] {
  const places = writtenPorts(facts.port, side.model, proxy);
  return places.flatMap(({ port, host: only }) =>
    (only === undefined ? hosts : [only]).flatMap((host): Target[] => [
      ...(facts.http ? [{ scheme: 'http' as const, host, port }] : []),
      ...(facts.https && proxy.type === 'router' ? [{ scheme: 'https' as const, host, port }] : []),
    ]),
  );
}

interface WrittenPort {
  readonly port: number;
  /** The listener stands for one host. */
  readonly host?: string;
}

/** The ports that users write for a port that a listener is bound to. */
function writtenPorts(
  bound: number,
  model: Model,
  { type, explicit, namespace, name }: MeshProxy,
): WrittenPort[] {
  if (explicit) {
    const entries =
      type === 'router' ? Object.entries(explicit.gateway ?? {}) : Object.entries(explicit.outbound);
    const found = entries.filter(([, local]) => local === bound).map(([written]) => writtenPort(written));
    return found.length > 0 || bound !== explicit.httpProxy ? found : [{ port: 80 }];
  }
  if (type !== 'router') return [{ port: bound }];
  const key = `${namespace}/${name}`;
  const ports = new Set<number>();
  const { world } = model;
  for (const service of world.list(endpointsByWorkload, key))
    for (const endpoint of world.get(endpointsKind, service)?.endpoints ?? [])
      if (endpoint.port === bound && `${endpoint.namespace}/${endpoint.workload}` === key)
        ports.add(endpoint.servicePort);
  return ports.size > 0 ? [...ports].map((port) => ({ port })) : [{ port: bound }];
}

function writtenPort(text: string): WrittenPort {
  const colon = text.lastIndexOf(':');
  return colon < 0
    ? { port: Number(text) }
    : { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

/** Hosts whose routes lead to one of the clusters, and TCP listeners that hand over to it. */
function clusterTargets(names: ReadonlySet<string>, side: Side, proxy: MeshProxy): Target[] {
  const { resources } = side;
  const leads = ({ hints }: Resource): boolean => hints?.clusters?.some((name) => names.has(name)) === true;
  const found: Target[] = [];
  for (const [qualified, resource] of resources.set.get(typeUrls.virtualHost) ?? []) {
    if (!leads(resource)) continue;
    const slash = qualified.indexOf('/');
    found.push(...virtualHostTargets(qualified.slice(0, slash), qualified.slice(slash + 1), side, proxy));
  }
  for (const [configuration, resource] of resources.set.get(typeUrls.route) ?? [])
    if (leads(resource)) found.push(...configurationTargets(configuration, side, proxy));
  const { byCluster } = listenerIndex(resources);
  const listeners = new Set([...names].flatMap((name) => byCluster.get(name) ?? []));
  for (const facts of listeners) found.push(...connectionTargets(facts, side, proxy));
  return found;
}

function listenerTargets(name: string, side: Side, proxy: MeshProxy): Target[] {
  const facts = listenerIndex(side.resources).all.find(({ listener }) => listener.name === name);
  if (!facts || name === 'virtualInbound') return [];
  if (name === 'virtualOutbound')
    return ['http', 'https', 'tcp'].map((scheme) => ({
      scheme: scheme as Target['scheme'],
      host: unknownHost,
      port: anyPort,
    }));
  const unknown = atListener(facts, [unknownHost], side, proxy);
  return [
    ...unknown,
    ...[...facts.routes].flatMap((configuration) => configurationTargets(configuration, side, proxy)),
    ...connectionTargets(facts, side, proxy),
  ];
}

/** Connections that a listener takes as they are. */
function connectionTargets(facts: ListenerFacts, side: Side, proxy: MeshProxy): Target[] {
  if (!facts.tcp && facts.serverNames.size === 0 && !facts.https) return [];
  const hosts = new Set<string>([...facts.serverNames].map(hostName));
  const wildcard = facts.address === '0.0.0.0' || facts.address === '::';
  for (const name of facts.clusters) {
    const cluster = parseClusterName(name);
    if (cluster?.direction === 'outbound' && cluster.host !== '') hosts.add(cluster.host);
  }
  if (!wildcard) for (const host of hostsAt(facts.address, side.model)) hosts.add(host);
  if (hosts.size === 0) hosts.add(wildcard ? unknownHost : facts.address);
  return writtenPorts(facts.port, side.model, proxy).flatMap(({ port, host: only }) =>
    (only === undefined ? [...hosts] : [only]).flatMap((host): Target[] => [
      ...(facts.tcp ? [{ scheme: 'tcp' as const, host, port }] : []),
      ...(facts.https || facts.serverNames.size > 0 ? [{ scheme: 'https' as const, host, port }] : []),
    ]),
  );
}

function hostsAt(address: string, { world }: Model): string[] {
  return world
    .list(allServices, '')
    .flatMap((key) => world.get(serviceKind, key) ?? [])
    .filter(({ addresses }) => addresses.includes(address))
    .map(({ hostname }) => hostname);
}
