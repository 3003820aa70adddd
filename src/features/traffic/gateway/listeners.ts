import type { Shaper } from '../../../plan/feature.ts';
import { type ConnectionCondition, mostSpecific } from '../../../plan/first-match.ts';
import { hostCovers, hostsOverlap } from '../../../plan/hosts.ts';
import { listenOn } from '../../../plan/ip-families.ts';
import {
  type ChainMatch,
  type FilterChainPlan,
  filterChainPlan,
  type HttpChain,
  type ListenerPlan,
  listenerPlan,
  type TcpChain,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { usesDynamicDns } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type GatewayConnection, gatewayConnections } from '../virtual-service/schema.ts';
import { autoPassthroughChain } from './auto-passthrough.ts';
import { gatewayAt, serverOrigin } from './gateways.ts';
import type { Gateway, Server } from './kinds.ts';
import { serverTls } from './server-tls.ts';
import { type BoundServer, boundServers, type ServerHost, splitServerHost } from './servers.ts';
import { type GatewayTopology, gatewayTopology } from './topology.ts';

const listenerNames = defineQuery('gateway.listeners', (view): readonly Key[] => [
  ...new Set(view.call(boundServers).map(listenerName)),
]);

export function listenerName({ bind, port }: BoundServer): string {
  return port === 0 ? bind : `${bind}_${port}`;
}

/** name, its servers and what stands in front of them, as text */
function resolveListener(view: View, name: Key): readonly Key[] {
  const servers = view.call(boundServers).filter((server) => listenerName(server) === name);
  return [name, JSON.stringify(servers), JSON.stringify(view.call(gatewayTopology))];
}

function planListener(view: View, name: Key, text: Key, topologyText: Key): ListenerPlan | undefined {
  const servers = JSON.parse(text) as BoundServer[];
  const topology = JSON.parse(topologyText) as GatewayTopology;
  const [first] = servers;
  const gateway = first && gatewayAt(view, first.gateway);
  if (!first || !gateway) return undefined;
  const secured = servers.some((server) => server.kind !== 'http' && server.kind !== 'tcp');
  const chains: FilterChainPlan[] = [];
  const taken = new Set<string>();
  let plain = false;
  for (const server of servers) {
    const object = gatewayAt(view, server.gateway);
    const spec = object?.spec?.servers?.[server.index];
    if (!object || !spec) continue;
    if (server.kind === 'http' || server.kind === 'tcp') {
      // One protocol in the clear per port: the first server's.
      if (!plain) chains.push(...plainChain(view, object, spec, server, secured, topology));
      plain = true;
    } else chains.push(...securedChains(view, object, spec, server, taken, topology));
  }
  if (chains.length === 0) return undefined;
  return listenerPlan({
    name,
    ...listenOn([first.bind, ...(first.further ?? [])]),
    port: first.port,
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains,
    ...(topology.proxyProtocol ? { proxyProtocol: true } : {}),
    detectionTimeoutMs: 0,
    origin: serverOrigin(view, first.gateway, first.index),
  });
}

/** Where a part of a server's connections goes. */
interface Branch {
  readonly limits: Pick<ChainMatch, 'ranges' | 'sourceRanges'>;
  readonly destinations: TcpChain['destinations'];
}

/** The routes for the server's names, the first that takes a connection decides; TCP routes are for any name. */
function branchesOf(view: View, server: BoundServer, hosts: readonly ServerHost[]): Branch[] {
  const found = gatewayConnections(view, server.gateway, server.serverPort).filter(
    (connection) =>
      isOpenTo(connection, hosts) &&
      connection.serverNames.some(
        (name) => name === '*' || hosts.some(({ host }) => hostsOverlap(name, host)),
      ),
  );
  const ordered = found.flatMap(({ conditions, destinations }) =>
    conditions.map((condition) => [condition, destinations] as const),
  );
  return mostSpecific(ordered).map(([condition, destinations]) => ({
    limits: limitsOf(condition),
    destinations,
  }));
}

function limitsOf({ destination, source }: ConnectionCondition): Branch['limits'] {
  return {
    ...(destination !== undefined ? { ranges: [destination] } : {}),
    ...(source !== undefined ? { sourceRanges: [source] } : {}),
  };
}

function numbered(name: string, index: number): string {
  return index === 0 ? name : `${name}#${index}`;
}

/** Whether a server's hosts admit the virtual service that a route belongs to. */
function isOpenTo({ namespace, hosts }: GatewayConnection, server: readonly ServerHost[]): boolean {
  return server.some(
    (own) =>
      (own.namespace === undefined || own.namespace === namespace) &&
      hosts.some((host) => hostsOverlap(host, own.host)),
  );
}

export const gatewayListeners: Shaper<ListenerPlan> = {
  name: 'gateway',
  keys: listenerNames,
  resolve: resolveListener,
  plan: planListener,
};

function policyPort({ allocated, serverPort }: BoundServer): { policyPort?: number } {
  return allocated ? { policyPort: serverPort } : {};
}

/** A TCP server without a route takes no connection. */
function plainChain(
  view: View,
  gateway: Gateway,
  spec: Server,
  server: BoundServer,
  secured: boolean,
  topology: GatewayTopology,
): FilterChainPlan[] {
  const match: ChainMatch = secured ? { transport: 'raw_buffer' } : {};
  const chain = (name: string, own: ChainMatch, network: HttpChain | TcpChain): FilterChainPlan =>
    filterChainPlan({
      name,
      match: { ...match, ...own },
      network,
      direction: 'gateway',
      ...policyPort(server),
      origin: serverOrigin(view, server.gateway, server.index),
    });
  if (server.kind === 'http') return [chain(server.routes, {}, httpTo(view, spec, server, topology, false))];
  return branchesOf(view, server, hostsOf(gateway, spec)).map(({ limits, destinations }, index) =>
    chain(numbered(`tcp.${server.port}`, index), limits, tcpTo(view, server, destinations)),
  );
}

function hostsOf(gateway: Gateway, spec: Server): ServerHost[] {
  return spec.hosts.map((host) => splitServerHost(host, gateway.metadata.namespace ?? 'default'));
}

export function httpTo(
  view: View,
  spec: Server,
  server: BoundServer,
  { trust }: GatewayTopology,
  mutualTls: boolean,
): HttpChain {
  return {
    type: 'http',
    routes: { type: 'discovered', name: server.routes },
    statPrefix: `outbound_${server.bind}_${server.port}`,
    role: 'gateway',
    mutualTls,
    ...(trust.trustedHops > 0 || trust.forwardClientCert !== 'SANITIZE_SET' ? { edge: trust } : {}),
    ...(view.call(usesDynamicDns) ? { dynamicForwardProxy: true } : {}),
    ...(spec.port.protocol.toUpperCase() === 'GRPC-WEB' ? { grpcWeb: true } : {}),
  };
}

/** Without a route there is nowhere to send bytes: the connection is closed. */
function tcpTo(view: View, server: BoundServer, destinations: TcpChain['destinations']): TcpChain {
  const origin = serverOrigin(view, server.gateway, server.index);
  return {
    type: 'tcp',
    statPrefix: destinations[0]?.cluster ?? blackHoleCluster,
    destinations: destinations.length > 0 ? destinations : [{ cluster: blackHoleCluster, weight: 1, origin }],
    idleTimeoutMs: 0,
  };
}

/** Chains told apart by server name. A name that an earlier server has is not taken twice: Envoy would refuse the listener. */
function securedChains(
  view: View,
  gateway: Gateway,
  spec: Server,
  server: BoundServer,
  taken: Set<string>,
  topology: GatewayTopology,
): FilterChainPlan[] {
  const origin = serverOrigin(view, server.gateway, server.index);
  const claim = (names: readonly string[]): string[] | undefined => {
    const own = names.filter((name) => !taken.has(name));
    for (const name of own) taken.add(name);
    return own.length > 0 ? own : undefined;
  };
  const served = hostsOf(gateway, spec);
  const hosts = served.map(({ host }) => host);
  if (server.kind === 'auto-passthrough') {
    const names = claim(hosts.includes('*') ? ['*'] : hosts);
    return names ? [autoPassthroughChain(server, names, origin)] : [];
  }
  if (server.kind === 'passthrough')
    return gatewayConnections(view, server.gateway, server.serverPort).flatMap((connection) => {
      if (!isOpenTo(connection, served)) return [];
      const names = narrowNames(connection.serverNames, hosts);
      // A name that is limited to some connections is left to later routes for the others.
      const open = connection.conditions.some((condition) => Object.keys(condition).length === 0);
      const own = open ? claim(names) : names.filter((name) => !taken.has(name));
      if (!own || own.length === 0) return [];
      const limits = (open ? [{}] : connection.conditions.map(limitsOf)).filter((limit) => {
        // Of two routes for the same connections the first decides.
        const id = JSON.stringify([own, limit]);
        return open || (!taken.has(id) && taken.add(id));
      });
      return limits.map((limit, index) =>
        filterChainPlan({
          name: open ? own.join(',') : `${numbered(own.join(','), index)} ${JSON.stringify(limit)}`,
          match: { ...tlsMatch(own), ...limit },
          network: tcpTo(view, server, connection.destinations),
          direction: 'gateway',
          ...policyPort(server),
          origin: connection.destinations[0]?.origin ?? origin,
        }),
      );
    });
  const names = claim(hosts.includes('*') ? ['*'] : hosts);
  if (!names) return [];
  const http = server.kind === 'https';
  const tls = serverTls(view, spec, http);
  const chain = (name: string, limits: Branch['limits'], network: HttpChain | TcpChain): FilterChainPlan =>
    filterChainPlan({
      name,
      match: { ...tlsMatch(names), ...limits },
      tls,
      network,
      direction: 'gateway',
      ...policyPort(server),
      origin,
    });
  if (http) return [chain(server.routes, {}, httpTo(view, spec, server, topology, tls.trust !== undefined))];
  const branches = branchesOf(view, server, served);
  const all = branches.length > 0 ? branches : [{ limits: {}, destinations: [] }];
  const name = `tls.${server.port}.${gateway.metadata.name}.${server.index}`;
  return all.map(({ limits, destinations }, index) =>
    chain(numbered(name, index), limits, tcpTo(view, server, destinations)),
  );
}

function tlsMatch(names: readonly string[]): ChainMatch {
  return names.includes('*') ? { transport: 'tls' } : { transport: 'tls', serverNames: names };
}

/** Of a route's and a server's names the narrower where they meet. */
function narrowNames(names: readonly string[], hosts: readonly string[]): string[] {
  const narrow = names.flatMap((name) =>
    hosts.flatMap((host) => (hostCovers(host, name) ? [name] : hostCovers(name, host) ? [host] : [])),
  );
  return [...new Set(narrow)];
}
