import { type ClusterPlan, clusterPlan, type EndpointPlan } from '../../../plan/cluster-plan.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { type ListenerPlan, listenerPlan } from '../../../plan/listener-plan.ts';
import { endpointsKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { resolveBackend } from './backends.ts';
import { type BoundPort, boundPorts, listenersOn } from './bound.ts';
import { connectionBackends, connectionsOf } from './connections.ts';
import { originIn, type RouteId, splitId } from './kinds.ts';

const udpPorts = defineQuery('gateway-api.udp-ports', (view): readonly BoundPort[] =>
  view.call(boundPorts).filter(({ udp }) => udp),
);

/** The UDPRoute of a port, '' for none: the oldest one. */
const routeOf = defineQuery('gateway-api.udp-route', (view, gateways: Key, port: Key): RouteId => {
  const keys = gateways.split(',');
  const [listener] = listenersOn(view, keys, Number(port), true);
  return (listener && connectionsOf(view, keys, listener)[0]?.route) ?? '';
});

function routeAt(view: View, { gateways, listenerPort }: BoundPort): RouteId {
  return view.call(routeOf, gateways.join(','), String(listenerPort));
}

const udpListenerNames = defineQuery('gateway-api.udp-listeners', (view): readonly Key[] =>
  view.call(udpPorts).flatMap((port) => (routeAt(view, port) === '' ? [] : [nameOf(port)])),
);

function nameOf({ bind, port }: BoundPort): string {
  return `${bind}_${port}/udp`;
}

/** name, addresses, port, route */
function resolveListener(view: View, name: Key): readonly Key[] | undefined {
  const port = view.call(udpPorts).find((one) => nameOf(one) === name);
  return port && [name, [port.bind, ...port.others].join(','), String(port.port), routeAt(view, port)];
}

function planListener(_: View, name: Key, addresses: Key, port: Key, route: Key): ListenerPlan {
  const [address = '', ...others] = addresses.split(',');
  return listenerPlan({
    name,
    address,
    ...(others.length > 0 ? { additionalAddresses: others } : {}),
    port: Number(port),
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains: [],
    udpCluster: clusterName(route),
    detectionTimeoutMs: 0,
    origin: originIn(route, 'spec.rules[0]'),
  });
}

export const udpListeners: Shaper<ListenerPlan> = {
  name: 'gateway-api-udp',
  keys: udpListenerNames,
  resolve: resolveListener,
  plan: planListener,
};

function clusterName(route: RouteId): string {
  const { namespace, name } = splitId(route);
  return `udp|${name}.${namespace}`;
}

const udpClusterNames = defineQuery('gateway-api.udp-clusters', (view): readonly Key[] => [
  ...new Set(view.call(udpPorts).flatMap((port) => routeAt(view, port) || [])),
]);

/** Envoy's UDP proxy knows one cluster a listener: the route's backends share it, each endpoint weighted by its backend's share. */
function planCluster(view: View, route: Key): ClusterPlan {
  const endpoints = connectionBackends(view, route).flatMap((ref) => {
    const backend = resolveBackend(view, route, ref);
    if (!backend.ok || ref.weight === 0) return [];
    const { service, port } = backend.value;
    const all = (view.get(endpointsKind, service)?.endpoints ?? []).filter(
      (endpoint) => endpoint.servicePort === port && endpoint.healthy,
    );
    return all.map(
      (endpoint): EndpointPlan => ({
        address: endpoint.address,
        port: endpoint.port,
        weight: Math.max(1, Math.round(((ref.weight ?? 1) * 1000) / all.length)),
        healthy: true,
        mtls: false,
        workload: '',
      }),
    );
  });
  return clusterPlan({
    name: clusterName(route),
    direction: 'outbound',
    discovery:
      endpoints.length > 0
        ? {
            type: 'static',
            localities: [{ locality: '', priority: 0, weight: 0, endpoints: merged(endpoints) }],
          }
        : { type: 'nothing' },
    protocol: 'tcp',
    connectTimeoutMs: 10_000,
    origin: originIn(route, 'spec.rules[0].backendRefs'),
  });
}

/** Two backends may lead to one endpoint: it gets both shares. */
function merged(endpoints: readonly EndpointPlan[]): EndpointPlan[] {
  const found = new Map<string, EndpointPlan>();
  for (const endpoint of endpoints) {
    const id = `${endpoint.address}|${endpoint.port}`;
    const known = found.get(id);
    found.set(id, known ? { ...known, weight: known.weight + endpoint.weight } : endpoint);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

export const udpClusters: Shaper<ClusterPlan> = {
  name: 'gateway-api-udp',
  keys: udpClusterNames,
  plan: planCluster,
};
