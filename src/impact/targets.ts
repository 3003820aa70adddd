import type { VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { deepEqual } from '../kit/deep-equal.ts';
import { parseIp } from '../kit/ip.ts';
import type { Model } from '../model/model.ts';
import { parseClusterName } from '../plan/names.ts';
import type { MeshService, ServiceEndpoints } from '../registry/service.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { allServices, endpointsByWorkload, endpointsKind, serviceKind } from '../snapshot/kinds.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { type ListenerFacts, listenerIndex } from './listener-facts.ts';
import type { ResourceChange, TouchedProxy } from './touched.ts';

/** A host and port that requests go to, which a change may concern. */
export interface Target {
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls';
  readonly host: string;
  readonly port: number;
}

export function targetUrl({ scheme, host, port }: Target): string {
  const usual = scheme === 'http' ? 80 : scheme === 'https' ? 443 : undefined;
  const name = host.includes(':') ? `[${host}]` : host;
  return port === usual ? `${scheme}://${name}` : `${scheme}://${name}:${port}`;
}

/** Stands for every host that nobody has heard of. */
export const unknownHost = 'unknown.example';

/** What one side, before or after, says of a proxy. */
interface Side {
  readonly model: Model;
  readonly resources: DecodedResources;
  /** What the other side says. */
  readonly other: DecodedResources;
}

/** Where requests through a proxy may be concerned; `serves`: those to the workload behind it are. */
export interface ConcernedTargets {
  readonly targets: readonly Target[];
  readonly serves: boolean;
}

/** Targets that the changes of one proxy's resources concern, as one side knows them. Asks for the model's world. */
export function concernedTargets(
  touched: TouchedProxy,
  when: 'before' | 'after',
  model: Model,
): ConcernedTargets {
  const { proxy } = touched.workload;
  if (!proxy) return { targets: [], serves: false };
  const other = touched[when === 'before' ? 'after' : 'before'];
  const side: Side = { model, resources: touched[when], other };
  const found = new Map<string, Target>();
  for (const change of touched.changes)
    for (const target of targetsOf(change, side, proxy)) found.set(targetUrl(target), target);
  return {
    targets: [...found.values()],
    serves: touched.changes.some((change) => concernsServer(change, proxy)),
  };
}

function concernsServer({ typeUrl, name }: ResourceChange, { explicit, type }: MeshProxy): boolean {
  if (type === 'router') return true;
  if (name.startsWith('inbound|') || name === 'virtualInbound' || name === 'InboundPassthroughCluster')
    return true;
  return typeUrl === typeUrls.secret || (explicit !== undefined && typeUrl === typeUrls.listener);
}

function targetsOf(change: ResourceChange, side: Side, proxy: MeshProxy): Target[] {
  const { typeUrl, name } = change;
  switch (typeUrl) {
    case typeUrls.virtualHost: {
      const slash = name.indexOf('/');
      return virtualHostTargets(name.slice(0, slash), name.slice(slash + 1), side, proxy);
    }
    case typeUrls.route:
      return configurationTargets(name, side, proxy);
    case typeUrls.cluster:
    case typeUrls.endpoints:
      return clusterTargets(name, side, proxy);
    case typeUrls.listener:
      return listenerTargets(name, side, proxy);
    default:
      return [];
  }
}

function virtualHostTargets(configuration: string, suffix: string, side: Side, proxy: MeshProxy): Target[] {
  const config = side.resources.routeConfiguration(configuration);
  if (!config) return [];
  const whole = `${configuration}/${suffix}`;
  const host = side.resources.virtualHosts(config).find(({ name }) => name === suffix || name === whole);
  return host ? hostTargets(host, configuration, side, proxy) : [];
}

function configurationTargets(name: string, side: Side, proxy: MeshProxy): Target[] {
  const config = side.resources.routeConfiguration(name);
  return config ? hostsOf(config, side).flatMap((host) => hostTargets(host, name, side, proxy)) : [];
}

function hostsOf(config: RouteConfiguration, { resources }: Side): readonly VirtualHost[] {
  return resources.virtualHosts(config);
}

function hostTargets(host: VirtualHost, configuration: string, side: Side, proxy: MeshProxy): Target[] {
  const listeners = listenerIndex(side.resources).byRoutes.get(configuration) ?? [];
  const names = tellingNames(host, configuration, side);
  return listeners.flatMap((listener) => atListener(listener, names, side, proxy));
}

/** All names where the other side knows others; else one, in full: they lead to the same place. */
function tellingNames(host: VirtualHost, configuration: string, { other }: Side): string[] {
  const config = other.routeConfiguration(configuration);
  const same = config && other.virtualHosts(config).find(({ name }) => name === host.name);
  const names = hostNames(host.domains);
  if (same?.domains.join(' ') !== host.domains.join(' ')) return names;
  const [longest = unknownHost] = names
    .filter((name) => !parseIp(name) && !name.endsWith('.'))
    .sort((a, b) => b.length - a.length);
  return [longest];
}

/** Names that a client would write: without ports, and one for each pattern. */
export function hostNames(domains: readonly string[]): string[] {
  return [...new Set(domains.map(hostName))];
}

function hostName(domain: string): string {
  const name = domain.startsWith('[')
    ? domain.slice(1).replace(/\](:\d+)?$/, '')
    : domain.replace(/:(\d+|\*)$/, '');
  if (name === '*') return unknownHost;
  if (name.startsWith('*')) return `x${name.slice(1)}`;
  return name.endsWith('*') ? `${name.slice(0, -1)}x` : name;
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
  { world }: Model,
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

/** Hosts whose routes lead to a cluster, and TCP listeners that hand over to it. */
function clusterTargets(name: string, side: Side, proxy: MeshProxy): Target[] {
  const { resources } = side;
  const found: Target[] = [];
  for (const [qualified, resource] of resources.set.get(typeUrls.virtualHost) ?? []) {
    if (!resource.hints?.clusters?.includes(name)) continue;
    const slash = qualified.indexOf('/');
    found.push(...virtualHostTargets(qualified.slice(0, slash), qualified.slice(slash + 1), side, proxy));
  }
  for (const [configuration, resource] of resources.set.get(typeUrls.route) ?? [])
    if (resource.hints?.clusters?.includes(name))
      found.push(...configurationTargets(configuration, side, proxy));
  for (const facts of listenerIndex(resources).byCluster.get(name) ?? [])
    found.push(...connectionTargets(facts, side, proxy));
  return found;
}

function listenerTargets(name: string, side: Side, proxy: MeshProxy): Target[] {
  const facts = listenerIndex(side.resources).all.find(({ listener }) => listener.name === name);
  if (!facts || name === 'virtualInbound') return [];
  if (name === 'virtualOutbound')
    return ['http', 'https', 'tcp'].map((scheme) => ({
      scheme: scheme as Target['scheme'],
      host: unknownHost,
      port: 12_345,
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

/** The services and ports by which a workload is called. Asks for the model's world. */
export function servedTargets(
  workload: string,
  { world }: Model,
): (Target & { readonly endpointPort: number })[] {
  const found: (Target & { readonly endpointPort: number })[] = [];
  for (const key of world.list(endpointsByWorkload, workload)) {
    const value = world.get(endpointsKind, key);
    const service = world.get(serviceKind, key);
    for (const endpoint of value?.endpoints ?? []) {
      if (`${endpoint.namespace}/${endpoint.workload}` !== workload || !value) continue;
      const protocol = service?.ports.find(({ port }) => port === endpoint.servicePort)?.protocol ?? 'TCP';
      found.push({
        scheme: connectionProtocols.has(protocol) ? 'tcp' : 'http',
        host: value.hostname,
        port: endpoint.servicePort,
        endpointPort: endpoint.port,
      });
    }
  }
  return found;
}

const connectionProtocols: ReadonlySet<string> = new Set([
  'TCP',
  'TLS',
  'HTTPS',
  'Mongo',
  'MySQL',
  'Redis',
  'UDP',
]);

/** A service with its endpoints, as the registry has it. */
type Known = ReadonlyMap<
  string,
  { readonly service: MeshService; readonly endpoints: ServiceEndpoints | undefined }
>;

/** Asks for the model's world. */
export function knownServices({ world }: Model): Known {
  return new Map(
    world.list(allServices, '').flatMap((key) => {
      const service = world.get(serviceKind, key);
      return service ? [[key, { service, endpoints: world.get(endpointsKind, key) }] as const] : [];
    }),
  );
}

/** Services that are not what they were: whoever looks them up finds another address, whatever its proxy holds. */
export function changedServices(before: Known, after: Known): Target[] {
  const found = new Map<string, Target>();
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(key), after.get(key)];
    if (deepEqual(old?.service, now?.service) && deepEqual(old?.endpoints, now?.endpoints)) continue;
    for (const service of [old?.service, now?.service])
      for (const { port, protocol } of service?.ports ?? []) {
        const target: Target = {
          scheme: connectionProtocols.has(protocol) ? 'tcp' : 'http',
          host: hostNames([service?.hostname ?? ''])[0] ?? unknownHost,
          port,
        };
        found.set(targetUrl(target), target);
      }
  }
  return [...found.values()];
}
