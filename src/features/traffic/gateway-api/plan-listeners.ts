import type { Shaper } from '../../../plan/feature.ts';
import {
  type DownstreamTls,
  type EdgeTrust,
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import { usesDynamicDns } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { mayAskSlot } from '../../security/external-authorization/schema.ts';
import { type GatewayTopology, gatewayTopology } from '../gateway/schema.ts';
import { hasPickersSlot } from '../inference/schema.ts';
import { keepsSessionsSlot } from '../session-persistence/schema.ts';
import { attachedRoutes } from './attachments.ts';
import { type BoundPort, boundPorts, listenersOn, routesName } from './bound.ts';
import { type Connection, connectionsOf, ownNames } from './connections.ts';
import { keepsSessions, rulesOf } from './http-rules.ts';
import { originIn } from './kinds.ts';
import { type Listener, listenerId } from './listeners.ts';
import { poolsOfRoute } from './rule-backends.ts';
import { listenerTls } from './tls.ts';

const listenerNames = defineQuery('gateway-api.listener-names', (view): readonly Key[] =>
  view
    .call(boundPorts)
    .filter(({ udp }) => !udp)
    .map(nameOf),
);

function nameOf({ bind, port }: BoundPort): string {
  return `${bind}_${port}`;
}

/** name, the port as text, what stands in front of the proxy */
function resolveListener(view: View, name: Key): readonly Key[] | undefined {
  const port = view.call(boundPorts).find((one) => !one.udp && nameOf(one) === name);
  return port && [name, JSON.stringify(port), JSON.stringify(view.call(gatewayTopology))];
}

function planListener(view: View, name: Key, text: Key, topologyText: Key): ListenerPlan | undefined {
  const port = JSON.parse(text) as BoundPort;
  const topology = JSON.parse(topologyText) as GatewayTopology;
  const listeners = listenersOn(view, port.gateways, port.listenerPort);
  const [first] = listeners;
  if (!first) return undefined;
  const chains: FilterChainPlan[] = [];
  const taken = new Set<string>();
  for (const listener of listeners)
    chains.push(...chainsOf(view, port, listener, listeners, taken, topology));
  if (chains.length === 0) return undefined;
  return listenerPlan({
    name,
    address: port.bind,
    ...(port.others.length > 0 ? { additionalAddresses: port.others } : {}),
    port: port.port,
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains,
    ...(topology.proxyProtocol ? { proxyProtocol: true } : {}),
    detectionTimeoutMs: 0,
    origin: originOf(first),
  });
}

export const gatewayApiListeners: Shaper<ListenerPlan> = {
  name: 'gateway-api',
  keys: listenerNames,
  resolve: resolveListener,
  plan: planListener,
};

function originOf({ owner, index }: Listener) {
  return originIn(owner, `spec.listeners[${index}]`);
}

/** Plain HTTP of a port is one chain; TLS has one per server name, and the first listener that claims a name has it. */
function chainsOf(
  view: View,
  port: BoundPort,
  listener: Listener,
  all: readonly Listener[],
  taken: Set<string>,
  { trust }: GatewayTopology,
): FilterChainPlan[] {
  const claim = (names: readonly string[]): string[] => {
    const own = names.filter((name) => !taken.has(name));
    for (const name of own) taken.add(name);
    return own;
  };
  switch (listener.protocol) {
    case 'HTTP':
      return claim(['http']).length > 0 ? [httpChain(view, port, listener, trust, {})] : [];
    case 'HTTPS': {
      const names = claim([listener.hostname || '*']);
      return names.length > 0
        ? [httpChain(view, port, listener, trust, tlsMatch(names), listenerTls(listener, true))]
        : [];
    }
    case 'TCP': {
      const [first] = connectionsOf(view, port.gateways, listener);
      if (!first || claim(['tcp']).length === 0) return [];
      return [connectionChain(port, listener, first, `tcp.${port.port}`, {})];
    }
    default:
      return connectionsOf(view, port.gateways, listener).flatMap((connection) => {
        const names = claim(ownNames(connection.serverNames, listener, all));
        if (names.length === 0) return [];
        const tls = listener.passthrough ? undefined : listenerTls(listener, false);
        return connectionChain(port, listener, connection, names.join(','), tlsMatch(names), tls);
      });
  }
}

function policyPort({ allocated, listenerPort }: BoundPort): { policyPort?: number } {
  return allocated ? { policyPort: listenerPort } : {};
}

function connectionChain(
  port: BoundPort,
  listener: Listener,
  { destinations }: Connection,
  name: string,
  match: FilterChainPlan['match'],
  tls?: DownstreamTls,
): FilterChainPlan {
  return filterChainPlan({
    name,
    match,
    ...(tls ? { tls } : {}),
    network: {
      type: 'tcp',
      statPrefix: destinations[0]?.cluster ?? blackHoleCluster,
      destinations,
      idleTimeoutMs: 0,
    },
    direction: 'gateway',
    ...policyPort(port),
    origin: destinations[0]?.origin ?? originOf(listener),
  });
}

function httpChain(
  view: View,
  port: BoundPort,
  listener: Listener,
  trust: EdgeTrust,
  match: FilterChainPlan['match'],
  tls?: DownstreamTls,
): FilterChainPlan {
  const name = routesName(port.port, listener);
  const chain = filterChainPlan({
    name,
    match,
    ...(tls ? { tls } : {}),
    network: {
      type: 'http',
      routes: { type: 'discovered', name },
      statPrefix: `outbound_${port.bind}_${port.port}`,
      role: 'gateway',
      mutualTls: tls?.trust !== undefined,
      ...(trust.trustedHops > 0 || trust.forwardClientCert !== 'SANITIZE_SET' ? { edge: trust } : {}),
      ...(view.call(usesDynamicDns) ? { dynamicForwardProxy: true } : {}),
    },
    direction: 'gateway',
    ...policyPort(port),
    origin: originOf(listener),
  });
  // Plain HTTP of a port is one chain for all its listeners.
  const id = listener.protocol === 'HTTP' ? '' : listenerId(listener);
  const route = view.call(sessionRoute, port.gateways.join(','), id);
  if (route !== '') fill(chain, keepsSessionsSlot, true, originIn(route, 'spec.rules'));
  // Always there, so that a route that begins to ask does so on connections that are open too.
  fill(chain, mayAskSlot, true, originOf(listener));
  const pooled = view.call(poolRoute, port.gateways.join(','), id);
  if (pooled !== '') fill(chain, hasPickersSlot, true, originIn(pooled, 'spec.rules'));
  return chain;
}

function tlsMatch(names: readonly string[]): FilterChainPlan['match'] {
  return names.includes('*') ? { transport: 'tls' } : { transport: 'tls', serverNames: names };
}

/** The first route of a port's HTTP listeners that keeps sessions, '' for none: their chain then has the filter for it. */
const sessionRoute = defineQuery('gateway-api.session-route', (view, gateways: Key, listener: Key): Key => {
  const attached = gateways.split(',').flatMap((gateway) => view.call(attachedRoutes, gateway));
  const found = attached.find(
    (one) =>
      (listener === '' || one.listener === listener) &&
      rulesOf(view, one.route).some((rule) => keepsSessions(view, one.route, rule)),
  );
  return found?.route ?? '';
});

/** The first route of a port's HTTP listeners that leads to an inference pool, '' for none. */
const poolRoute = defineQuery('gateway-api.pool-route', (view, gateways: Key, listener: Key): Key => {
  const attached = gateways.split(',').flatMap((gateway) => view.call(attachedRoutes, gateway));
  const found = attached.find(
    (one) => (listener === '' || one.listener === listener) && poolsOfRoute(view, one.route).length > 0,
  );
  return found?.route ?? '';
});
