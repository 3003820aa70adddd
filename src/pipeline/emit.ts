import { create } from '@bufbuild/protobuf';
import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { Filter, FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { buildConnectionManager } from '../envoy/http-connection-manager.ts';
import {
  buildFilterChain,
  buildListener,
  buildTcpProxy,
  networkFilter,
  offerOnly,
} from '../envoy/listener.ts';
import { buildRoute } from '../envoy/route.ts';
import { buildVirtualHost, maxDirectResponseBodySizeBytes } from '../envoy/virtual-host.ts';
import type { ClusterPlan } from '../plan/cluster-plan.ts';
import type { Feature, NetworkFilterFragment } from '../plan/feature.ts';
import { type FilterChainPlan, type ListenerPlan, tcpOptionsSlot } from '../plan/listener-plan.ts';
import type { VirtualHostPlan } from '../plan/route-plan.ts';
import { read } from '../plan/slot.ts';

export type Emit = ReturnType<typeof createEmit>;

function toNetworkFilter({ name, config }: NetworkFilterFragment): Filter {
  return networkFilter(name, config);
}

/** Plan nodes to messages: the node's own part first, then each feature's fragment. */
export function createEmit(features: readonly Feature[]) {
  const all = features.map((feature) => feature.emit ?? {});
  const virtualHost = (plan: VirtualHostPlan): VirtualHost => {
    const routes = plan.routes.map((routePlan) => {
      const route = buildRoute(routePlan);
      for (const emitter of all) emitter.route?.(routePlan, route);
      return route;
    });
    const message = buildVirtualHost(plan, routes);
    for (const emitter of all) emitter.virtualHost?.(plan, message);
    return message;
  };
  const terminalFilter = (plan: FilterChainPlan): Filter | undefined => {
    const [found] = all.flatMap((emitter) => emitter.terminalFilter?.(plan) ?? []);
    return found && toNetworkFilter(found);
  };
  const filterChain = (plan: FilterChainPlan): FilterChain => {
    const message = bareChain(plan);
    for (const emitter of all) emitter.chain?.(plan, message);
    return message;
  };
  const bareChain = (plan: FilterChainPlan): FilterChain => {
    const accessLogs = all.flatMap((emitter) => emitter.accessLogs?.(plan) ?? []);
    const { network } = plan;
    if (network.type === 'tcp')
      return buildFilterChain(plan, [
        ...(network.offerOnly ? [offerOnly(network.offerOnly)] : []),
        ...all.flatMap((emitter) => emitter.networkFilters?.(plan) ?? []).map(toNetworkFilter),
        terminalFilter(plan) ?? buildTcpProxy(network, accessLogs, read(plan, tcpOptionsSlot), plan.tls),
      ]);
    const filters = all.flatMap((emitter) => emitter.httpFilters?.(plan) ?? []);
    const { routes } = network;
    const inlineRoutes =
      routes.type === 'inline'
        ? create(RouteConfigurationSchema, {
            name: routes.name,
            validateClusters: false,
            maxDirectResponseBodySizeBytes,
            virtualHosts: routes.hosts.map((host) => Object.assign(virtualHost(host), { name: host.name })),
          })
        : undefined;
    const manager = buildConnectionManager(network, {
      filters,
      accessLogs,
      adjust: (message) => {
        for (const emitter of all) emitter.connectionManager?.(plan, message);
      },
      ...(inlineRoutes ? { inlineRoutes } : {}),
    });
    return buildFilterChain(plan, [networkFilter('envoy.filters.network.http_connection_manager', manager)]);
  };
  return {
    virtualHost,
    cluster: (plan: ClusterPlan, message: Cluster): void => {
      for (const emitter of all) emitter.cluster?.(plan, message);
    },
    listener: (plan: ListenerPlan): Listener => {
      const message = buildListener(
        plan,
        plan.chains.map(filterChain),
        plan.defaultChain ? filterChain(plan.defaultChain) : undefined,
      );
      for (const emitter of all) emitter.listener?.(plan, message);
      return message;
    },
  };
}
