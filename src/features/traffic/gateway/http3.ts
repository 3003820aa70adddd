import type { Shaper } from '../../../plan/feature.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
} from '../../../plan/listener-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { gatewayAt, serverOrigin } from './gateways.ts';
import { httpTo, listenerName } from './listeners.ts';
import { serverTls } from './server-tls.ts';
import { type BoundServer, boundServers, splitServerHost } from './servers.ts';
import { type GatewayTopology, gatewayTopology } from './topology.ts';

function quicName(server: BoundServer): string {
  return `udp_${listenerName(server)}`;
}

const quicListeners = defineQuery('gateway.quic-listeners', (view): readonly Key[] => [
  ...new Set(view.call(boundServers).flatMap((server) => (server.http3 ? [quicName(server)] : []))),
]);

/** name, its servers and what stands in front of them, as text */
function resolveQuic(view: View, name: Key): readonly Key[] {
  const servers = view.call(boundServers).filter((server) => server.http3 && quicName(server) === name);
  return [name, JSON.stringify(servers), JSON.stringify(view.call(gatewayTopology))];
}

/** The twin of a TCP listener: the same server names, certificates and routes over QUIC. */
function planQuic(view: View, name: Key, text: Key, topologyText: Key): ListenerPlan | undefined {
  const servers = JSON.parse(text) as BoundServer[];
  const topology = JSON.parse(topologyText) as GatewayTopology;
  const taken = new Set<string>();
  const chains = servers.flatMap((server) => quicChain(view, server, topology, taken));
  const [first] = servers;
  const [chain] = chains;
  if (!first || !chain) return undefined;
  return listenerPlan({
    name,
    address: first.bind,
    port: first.port,
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    quic: true,
    chains,
    detectionTimeoutMs: 0,
    origin: chain.origin,
  });
}

function quicChain(
  view: View,
  server: BoundServer,
  topology: GatewayTopology,
  taken: Set<string>,
): FilterChainPlan[] {
  const gateway = gatewayAt(view, server.gateway);
  const spec = gateway?.spec?.servers?.[server.index];
  if (!gateway || !spec) return [];
  const hosts = spec.hosts.map((host) => splitServerHost(host, gateway.metadata.namespace ?? 'default').host);
  const names = (hosts.includes('*') ? ['*'] : hosts).filter((host) => !taken.has(host));
  if (names.length === 0) return [];
  for (const host of names) taken.add(host);
  return [
    filterChainPlan({
      name: server.routes,
      match: names.includes('*') ? {} : { serverNames: names },
      tls: { ...serverTls(view, spec, true), alpn: ['h3'] },
      network: { ...httpTo(view, spec, server, topology, false), http3: true },
      direction: 'gateway',
      ...(server.allocated ? { policyPort: server.serverPort } : {}),
      origin: serverOrigin(view, server.gateway, server.index),
    }),
  ];
}

export const quicTwins: Shaper<ListenerPlan> = {
  name: 'gateway-quic',
  keys: quicListeners,
  resolve: resolveQuic,
  plan: planQuic,
};

const secondsRemembered = 86_400;

/**
 * Tells clients of the twin. They know the port that the Gateway names, behind which a load balancer may be; where the supervisor
 * allocated one, they use that.
 */
export function alternativeService(server: BoundServer): readonly (readonly [string, string])[] {
  const port = server.allocated ? server.port : server.serverPort;
  return server.http3 ? [['alt-svc', `h3=":${port}"; ma=${secondsRemembered}`]] : [];
}
