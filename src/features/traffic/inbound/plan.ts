import type { Origin } from '../../../config/origin.ts';
import { meshAlpn } from '../../../envoy/tls.ts';
import { captureMode, proxyAddresses } from '../../../plan/attributes.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { listenOn, wildcards } from '../../../plan/ip-families.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster, inboundPassthroughCluster } from '../../../plan/names.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type MtlsDemand, ownDemand, parseDemand } from '../../security/peer-authentication/schema.ts';
import { boundPorts, inboundPort, ingressOf, isBound, isCaptured, ownPorts } from './own-ports.ts';
import { type InboundPort, inboundChains, meshServerTls, withReason } from './schema.ts';

const meshOrigin: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: '' };
const listenerNames = defineQuery('inbound.listeners', (view): readonly Key[] =>
  isCaptured(view) ? ['virtualInbound'] : [],
);

function resolveListener(view: View): readonly Key[] {
  const captured = view.call(ownPorts).filter((entry) => {
    const ingress = ingressOf(view, entry);
    return !ingress || !isBound(view, ingress);
  });
  return [captured.join(','), view.attribute(captureMode), view.call(ownDemand)];
}

function planListener(view: View, entries: Key, capture: Key, demandText: Key): ListenerPlan {
  const demand = parseDemand(demandText);
  const port = view.mesh('proxyInboundListenPort');
  const ports = entries === '' ? [] : entries.split(',').flatMap((entry) => inboundPort(view, entry) ?? []);
  return listenerPlan({
    name: 'virtualInbound',
    ...listenOn(wildcards(view)),
    port,
    direction: 'inbound',
    bind: true,
    originalDestination: false,
    ...(capture === 'tproxy' ? { transparent: true } : {}),
    chains: [
      tcp('virtualInbound-loop', { port }, blackHoleCluster),
      ...ports.flatMap((own) => inboundChains(view, own, { port: own.port }, demand)),
      ...undeclaredPorts(view, ports, demand),
      ...otherPorts(view, demand),
    ],
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin: ports[0]?.origin ?? meshOrigin,
  });
}

function tcp(name: string, match: FilterChainPlan['match'], cluster: string): FilterChainPlan {
  return filterChainPlan({
    name,
    match,
    network: {
      type: 'tcp',
      statPrefix: cluster,
      destinations: [{ cluster, weight: 1, origin: meshOrigin }],
      idleTimeoutMs: 0,
    },
    direction: 'inbound',
    origin: meshOrigin,
  });
}

/** Ports that a policy names and no service declares. */
function undeclaredPorts(view: View, own: readonly InboundPort[], demand: MtlsDemand): FilterChainPlan[] {
  return Object.entries(demand.ports)
    .map(([port, choice]) => ({ port: Number(port), choice }))
    .filter(({ port, choice }) => choice.mode !== demand.mode && !own.some((known) => known.port === port))
    .sort((a, b) => a.port - b.port)
    .flatMap(({ port }) => {
      const undeclared = {
        port,
        protocol: 'TCP',
        origin: meshOrigin,
        cluster: inboundPassthroughCluster,
      } as const;
      return inboundChains(view, undeclared, { port }, demand);
    });
}

/**
 * Every other port. Not Envoy's default chain: that would also take what the chains of a declared port refuse, and so open a STRICT
 * port. Envoy matches step by step and never goes back: in PERMISSIVE mode all of them name the transport.
 */
function otherPorts(view: View, demand: MtlsDemand): FilterChainPlan[] {
  const to = (name: string, match: FilterChainPlan['match']): FilterChainPlan =>
    tcp(name, match, inboundPassthroughCluster);
  const tls = meshServerTls(view, [meshAlpn]);
  const chains: Record<MtlsDemand['mode'], FilterChainPlan[]> = {
    DISABLE: [to('virtualInbound', {})],
    STRICT: [{ ...to('virtualInbound', {}), tls }],
    PERMISSIVE: [
      { ...to('virtualInbound-mtls', { transport: 'tls', applicationProtocols: [meshAlpn] }), tls },
      to('virtualInbound', { transport: 'raw_buffer' }),
      to('virtualInbound-tls', { transport: 'tls' }),
    ],
  };
  return chains[demand.mode].map((chain) => withReason(chain, demand));
}

export const inboundListeners: Shaper<ListenerPlan> = {
  name: 'inbound',
  keys: listenerNames,
  resolve: resolveListener,
  plan: planListener,
};

/** entry, where it listens, what callers must prove */
function resolveBound(view: View, entry: Key): readonly Key[] {
  const first = view.attribute(proxyAddresses).split(',')[0] || '0.0.0.0';
  const loopback = first.includes(':') ? '::1' : '127.0.0.1';
  const own = view.attribute(captureMode) === 'explicit' ? loopback : first;
  return [entry, ingressOf(view, entry)?.bind || own, view.call(ownDemand)];
}

/** An ingress listener that the kernel does not feed. */
function planBound(view: View, entry: Key, address: Key, demand: Key): ListenerPlan | undefined {
  const port = inboundPort(view, entry);
  if (!port) return undefined;
  return listenerPlan({
    name: `inbound_${address}_${port.port}`,
    address,
    port: port.port,
    direction: 'inbound',
    bind: true,
    originalDestination: false,
    chains: inboundChains(view, port, {}, parseDemand(demand)),
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin: port.origin,
  });
}

export const boundInboundListeners: Shaper<ListenerPlan> = {
  name: 'inbound-bound',
  keys: boundPorts,
  resolve: resolveBound,
  plan: planBound,
};
