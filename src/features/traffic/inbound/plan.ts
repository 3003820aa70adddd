import type { Origin } from '../../../config/origin.ts';
import { meshAlpn } from '../../../envoy/tls.ts';
import { captureMode, proxyType } from '../../../plan/attributes.ts';
import { type ClusterPlan, type ClusterService, clusterPlan } from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster, inboundCluster, inboundPassthroughCluster } from '../../../plan/names.ts';
import { type OwnEndpoint, ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import { findPort, spokenTo } from '../../../plan/service-scope.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type MtlsDemand, ownDemand, parseDemand } from '../../security/peer-authentication/schema.ts';
import { type InboundPort, inboundChains, meshServerTls, withReason } from './schema.ts';

const meshOrigin: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: '' };
/** The kernel's capture rules let connections from this address through to the application. */
const loopbackSource = '127.0.0.6';

function isCaptured(view: View): boolean {
  return view.attribute(proxyType) === 'sidecar' && view.attribute(captureMode) !== 'explicit';
}

/** The application's own ports, one entry of ownEndpoints each: the first service that has the port decides its protocol. */
const ownPorts = defineQuery('inbound.own-ports', (view): readonly string[] => {
  if (!isCaptured(view)) return [];
  const ports = new Map<number, string>();
  for (const entry of view.call(ownEndpoints)) {
    const { port } = splitOwnEndpoint(entry);
    if (!ports.has(port)) ports.set(port, entry);
  }
  return [...ports.entries()].sort(([a], [b]) => a - b).map(([, entry]) => entry);
});

function inboundPort(view: View, entry: string): InboundPort | undefined {
  const own = splitOwnEndpoint(entry);
  const service = view.get(serviceKind, own.service);
  const found = service && findPort(service, own.servicePort);
  return service && found ? { port: own.port, protocol: found.protocol, origin: service.origin } : undefined;
}

const listenerNames = defineQuery('inbound.listeners', (view): readonly Key[] =>
  isCaptured(view) ? ['virtualInbound'] : [],
);

function resolveListener(view: View): readonly Key[] {
  return [view.call(ownPorts).join(','), view.attribute(captureMode), view.call(ownDemand)];
}

function planListener(view: View, entries: Key, capture: Key, demandText: Key): ListenerPlan {
  const demand = parseDemand(demandText);
  const port = view.mesh('proxyInboundListenPort');
  const ports = entries === '' ? [] : entries.split(',').flatMap((entry) => inboundPort(view, entry) ?? []);
  return listenerPlan({
    name: 'virtualInbound',
    address: '0.0.0.0',
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
    detectionTimeoutMs: 0,
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

const clusterNames = defineQuery('inbound.clusters', (view): readonly Key[] =>
  isCaptured(view) ? [...view.call(ownPorts), inboundPassthroughCluster] : [],
);

function planCluster(view: View, entry: Key): ClusterPlan | undefined {
  const own = entry === inboundPassthroughCluster ? undefined : inboundPort(view, entry);
  if (!own && entry !== inboundPassthroughCluster) return undefined;
  return clusterPlan({
    name: own ? inboundCluster(own.port) : inboundPassthroughCluster,
    direction: 'inbound',
    discovery: { type: 'original-destination' },
    protocol: own ? spokenTo(own) : 'http-auto',
    connectTimeoutMs: 10_000,
    bindAddress: loopbackSource,
    ...serviceOf(view, own ? splitOwnEndpoint(entry) : undefined),
    origin: own?.origin ?? meshOrigin,
  });
}

/** What metrics say of the destination. */
function serviceOf(view: View, own: OwnEndpoint | undefined): { service?: ClusterService } {
  const found = own && view.get(serviceKind, own.service);
  if (!own || !found) return {};
  const { hostname, name, namespace } = found;
  return { service: { hostname, name, namespace, port: own.servicePort, subset: '' } };
}

export const inboundClusters: Shaper<ClusterPlan> = {
  name: 'inbound',
  keys: clusterNames,
  plan: planCluster,
};
