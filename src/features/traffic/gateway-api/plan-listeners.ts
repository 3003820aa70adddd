import type { Shaper } from '../../../plan/feature.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type HttpChain,
  type ListenerPlan,
  listenerPlan,
  type TcpChain,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster } from '../../../plan/names.ts';
import type { Destination } from '../../../plan/route-plan.ts';
import { usesDynamicDns } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type BoundPort, boundPorts, listenersOn, routesName } from './bound.ts';
import { connectionsOf, ownNames } from './connections.ts';
import { originIn } from './kinds.ts';
import type { Listener } from './listeners.ts';
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

/** name, the port as text */
function resolveListener(view: View, name: Key): readonly Key[] | undefined {
  const port = view.call(boundPorts).find((one) => !one.udp && nameOf(one) === name);
  return port && [name, JSON.stringify(port)];
}

function planListener(view: View, name: Key, text: Key): ListenerPlan | undefined {
  const port = JSON.parse(text) as BoundPort;
  const listeners = listenersOn(view, port.gateways, port.listenerPort);
  const [first] = listeners;
  if (!first) return undefined;
  const chains: FilterChainPlan[] = [];
  const taken = new Set<string>();
  for (const listener of listeners) chains.push(...chainsOf(view, port, listener, listeners, taken));
  if (chains.length === 0) return undefined;
  return listenerPlan({
    name,
    address: port.bind,
    port: port.port,
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains,
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
): FilterChainPlan[] {
  const claim = (names: readonly string[]): string[] => {
    const own = names.filter((name) => !taken.has(name));
    for (const name of own) taken.add(name);
    return own;
  };
  const chain = (
    fields: Pick<FilterChainPlan, 'name' | 'match' | 'network' | 'origin'> & Partial<FilterChainPlan>,
  ) =>
    filterChainPlan({
      direction: 'gateway',
      ...(port.allocated ? { policyPort: port.listenerPort } : {}),
      ...fields,
    });
  const origin = originOf(listener);
  switch (listener.protocol) {
    case 'HTTP':
      if (claim(['http']).length === 0) return [];
      return [
        chain({
          name: routesName(port.port, listener),
          match: {},
          network: httpTo(view, port, listener),
          origin,
        }),
      ];
    case 'TCP': {
      const [first] = connectionsOf(view, port.gateways, listener);
      if (!first || claim(['tcp']).length === 0) return [];
      return [
        chain({
          name: `tcp.${port.port}`,
          match: {},
          network: tcpTo(first),
          origin: first.destinations[0]?.origin ?? origin,
        }),
      ];
    }
    case 'HTTPS': {
      const [name] = claim([listener.hostname || '*']);
      if (name === undefined) return [];
      const tls = listenerTls(listener, true);
      return [
        chain({
          name: routesName(port.port, listener),
          match: tlsMatch([name]),
          tls,
          network: httpTo(view, port, listener, tls.trust !== undefined),
          origin,
        }),
      ];
    }
    default:
      return connectionsOf(view, port.gateways, listener).flatMap((connection) => {
        const names = claim(ownNames(connection.serverNames, listener, all));
        if (names.length === 0) return [];
        return chain({
          name: names.join(','),
          match: tlsMatch(names),
          ...(listener.passthrough ? {} : { tls: listenerTls(listener, false) }),
          network: tcpTo(connection),
          origin: connection.destinations[0]?.origin ?? origin,
        });
      });
  }
}

function tlsMatch(names: readonly string[]): FilterChainPlan['match'] {
  return names.includes('*') ? { transport: 'tls' } : { transport: 'tls', serverNames: names };
}

function httpTo(view: View, port: BoundPort, listener: Listener, mutualTls = false): HttpChain {
  return {
    type: 'http',
    routes: { type: 'discovered', name: routesName(port.port, listener) },
    statPrefix: `outbound_${port.bind}_${port.port}`,
    role: 'gateway',
    mutualTls,
    ...(view.call(usesDynamicDns) ? { dynamicForwardProxy: true } : {}),
  };
}

function tcpTo({ destinations }: { destinations: readonly Destination[] }): TcpChain {
  return {
    type: 'tcp',
    statPrefix: destinations[0]?.cluster ?? blackHoleCluster,
    destinations,
    idleTimeoutMs: 0,
  };
}
