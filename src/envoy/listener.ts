import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { TrafficDirection, type TransportSocket } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  type Filter,
  type FilterChain,
  type FilterChainMatch,
  FilterChainMatchSchema,
  FilterChainSchema,
  FilterSchema,
  type ListenerFilter,
  ListenerFilterSchema,
} from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import {
  AdditionalAddressSchema,
  type Listener,
  ListenerSchema,
} from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { FilterStateValue_SharedWithUpstream } from '../../gen/proto/envoy/extensions/filters/common/set_filter_state/v3/value_pb.js';
import { HttpInspectorSchema } from '../../gen/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { OriginalDstSchema } from '../../gen/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { ProxyProtocolSchema } from '../../gen/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js';
import { TlsInspectorSchema } from '../../gen/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { ConfigSchema as SetFilterStateSchema } from '../../gen/proto/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.js';
import {
  TcpProxy_WeightedCluster_ClusterWeightSchema,
  TcpProxy_WeightedClusterSchema,
  TcpProxySchema,
  UpstreamConnectMode,
} from '../../gen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { RouteSchema as UdpRouteSchema } from '../../gen/proto/envoy/extensions/filters/udp/udp_proxy/v3/route_pb.js';
import { UdpProxyConfigSchema } from '../../gen/proto/envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy_pb.js';
import {
  type ChainMatch,
  type DownstreamTls,
  type FilterChainPlan,
  type ListenerPlan,
  serverNameSlot,
  type TcpChain,
  type TcpOptionsPlan,
} from '../plan/listener-plan.ts';
import { read } from '../plan/slot.ts';
import { cidrRange, socketAddress, udpAddress } from './address.ts';
import { inNetworkOrder } from './filter-order.ts';
import { duration, originMetadata, pack } from './pack.ts';
import { downstreamTls, quicTransport } from './tls.ts';
import { fittingWeights } from './weights.ts';

/** What the HTTP inspector reports for plain connections. */
export const sniffedHttp = ['http/1.0', 'http/1.1', 'h2c'];

const originalDst = listenerFilter('envoy.filters.listener.original_dst', pack(OriginalDstSchema, {}));
const tlsInspector = listenerFilter('envoy.filters.listener.tls_inspector', pack(TlsInspectorSchema, {}));
const httpInspector = listenerFilter('envoy.filters.listener.http_inspector', pack(HttpInspectorSchema, {}));

const proxyProtocol = listenerFilter('envoy.filters.listener.proxy_protocol', pack(ProxyProtocolSchema, {}));

function listenerFilter(name: string, config: Any): ListenerFilter {
  return create(ListenerFilterSchema, { name, configType: { case: 'typedConfig', value: config } });
}

/** The listener around chains that are built already. */
export function buildListener(
  plan: ListenerPlan,
  chains: FilterChain[],
  defaultChain: FilterChain | undefined,
): Listener {
  if (plan.udpCluster !== undefined) return udpListener(plan, plan.udpCluster);
  // QUIC tells the server name by itself.
  const filters = plan.quic ? [] : listenerFilters(plan);
  const inspects = filters.some((filter) => filter !== originalDst && filter !== proxyProtocol);
  const at = plan.quic ? udpAddress : socketAddress;
  return create(ListenerSchema, {
    name: plan.name,
    address: at(plan.address, plan.port),
    additionalAddresses: (plan.additionalAddresses ?? []).map((address) =>
      create(AdditionalAddressSchema, { address: at(address, plan.port) }),
    ),
    ...(plan.quic ? { udpListenerConfig: { quicOptions: {} } } : {}),
    trafficDirection: plan.direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    filterChains: chains,
    listenerFilters: filters,
    metadata: originMetadata(plan.origin),
    // A server that speaks first never sends what an inspector waits for: go on when the time is over.
    ...(inspects
      ? { listenerFiltersTimeout: duration(plan.detectionTimeoutMs), continueOnListenerFiltersTimeout: true }
      : {}),
    ...(defaultChain ? { defaultFilterChain: defaultChain } : {}),
    ...(plan.bind ? {} : { bindToPort: false }),
    ...(plan.originalDestination ? { useOriginalDst: true } : {}),
    ...(plan.transparent ? { transparent: true } : {}),
  });
}

/** Datagrams of one client go to one endpoint until it is silent for a minute, Envoy's default. */
function udpListener(plan: ListenerPlan, cluster: string): Listener {
  return create(ListenerSchema, {
    name: plan.name,
    address: udpAddress(plan.address, plan.port),
    additionalAddresses: (plan.additionalAddresses ?? []).map((address) =>
      create(AdditionalAddressSchema, { address: udpAddress(address, plan.port) }),
    ),
    udpListenerConfig: {},
    listenerFilters: [
      listenerFilter(
        'envoy.filters.udp_listener.udp_proxy',
        pack(UdpProxyConfigSchema, {
          statPrefix: cluster,
          routeSpecifier: {
            case: 'matcher',
            value: {
              onNoMatch: {
                onMatch: {
                  case: 'action',
                  value: { name: 'route', typedConfig: pack(UdpRouteSchema, { cluster }) },
                },
              },
            },
          },
        }),
      ),
    ],
    metadata: originMetadata(plan.origin),
  });
}

/** Only the inspectors that some chain's match needs: each costs on every connection. */
function listenerFilters(plan: ListenerPlan): ListenerFilter[] {
  const filters: ListenerFilter[] = [];
  // First: its header comes before everything that an inspector looks at.
  if (plan.proxyProtocol) filters.push(proxyProtocol);
  const matches = plan.chains.map((chain) => chain.match);
  if (plan.originalDestination || needsOriginalAddress(plan, matches)) filters.push(originalDst);
  const sniffsHttp = matches.some(
    (match) => match.transport !== 'tls' && match.applicationProtocols?.some((p) => sniffedHttp.includes(p)),
  );
  const readsTls =
    read(plan, serverNameSlot) === true ||
    matches.some(
      (match) =>
        match.transport !== undefined ||
        match.serverNames !== undefined ||
        (match.applicationProtocols !== undefined && !sniffsHttp),
    );
  if (readsTls) filters.push(tlsInspector);
  if (sniffsHttp) filters.push(httpInspector);
  return filters;
}

/** The inbound capture listener forwards to the original destination and tells its chains apart by port. */
function needsOriginalAddress(plan: ListenerPlan, matches: readonly ChainMatch[]): boolean {
  return plan.bind && matches.some((match) => match.port !== undefined);
}

function transport({ network }: FilterChainPlan, tls: DownstreamTls): TransportSocket {
  return network.type === 'http' && network.http3 ? quicTransport(tls) : downstreamTls(tls);
}

/** A chain around its terminal filter. */
export function buildFilterChain(plan: FilterChainPlan, network: Filter[]): FilterChain {
  return create(FilterChainSchema, {
    name: plan.name,
    ...(Object.keys(plan.match).length > 0 ? { filterChainMatch: chainMatch(plan.match) } : {}),
    filters: inNetworkOrder(network),
    metadata: originMetadata(
      plan.origin,
      plan.policyPort === undefined ? {} : { port: String(plan.policyPort) },
    ),
    ...(plan.tls ? { transportSocket: transport(plan, plan.tls) } : {}),
  });
}

function chainMatch(match: ChainMatch): FilterChainMatch {
  return create(FilterChainMatchSchema, {
    ...(match.port !== undefined ? { destinationPort: match.port } : {}),
    prefixRanges: (match.ranges ?? []).map(cidrRange),
    sourcePrefixRanges: (match.sourceRanges ?? []).map(cidrRange),
    serverNames: [...(match.serverNames ?? [])],
    transportProtocol: match.transport ?? '',
    applicationProtocols: [...(match.applicationProtocols ?? [])],
  });
}

export function networkFilter(name: string, config: Any): Filter {
  return create(FilterSchema, { name, configType: { case: 'typedConfig', value: config } });
}

/** Upstream connections of this chain offer one protocol only, whatever their cluster's TLS says. */
export function offerOnly(protocol: string): Filter {
  return networkFilter(
    'envoy.filters.network.set_filter_state',
    pack(SetFilterStateSchema, {
      onNewConnection: [
        {
          key: { case: 'objectKey', value: 'envoy.network.application_protocols' },
          value: {
            case: 'formatString',
            value: { format: { case: 'textFormatSource', value: inlineText(protocol) } },
          },
          sharedWithUpstream: FilterStateValue_SharedWithUpstream.ONCE,
        },
      ],
    }),
  );
}

function inlineText(value: string) {
  return { specifier: { case: 'inlineString' as const, value } };
}

/** Of what a client sends with its handshake, kept until the application is connected; beyond it the client is not read from. */
const earlyDataBytes = 64 * 1024;

export function buildTcpProxy(
  chain: TcpChain,
  accessLogs: readonly AccessLog[],
  options: TcpOptionsPlan = {},
  tls?: DownstreamTls,
): Filter {
  const [only] = chain.destinations;
  return networkFilter(
    'envoy.filters.network.tcp_proxy',
    pack(TcpProxySchema, {
      statPrefix: chain.statPrefix,
      clusterSpecifier:
        only && chain.destinations.length === 1
          ? { case: 'cluster', value: only.cluster }
          : {
              case: 'weightedClusters',
              value: create(TcpProxy_WeightedClusterSchema, {
                clusters: fittingWeights(chain.destinations)
                  .filter((destination) => destination.weight > 0)
                  .map(({ cluster, weight }) =>
                    create(TcpProxy_WeightedCluster_ClusterWeightSchema, { name: cluster, weight }),
                  ),
              }),
            },
      ...(chain.idleTimeoutMs > 0 ? { idleTimeout: duration(chain.idleTimeoutMs) } : {}),
      ...tcpOptions(options),
      // Not before the client has proved who it is: the application is spared strangers, and every log knows the caller.
      ...(tls?.requireClientCertificate
        ? {
            upstreamConnectMode: UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE,
            maxEarlyDataBytes: earlyDataBytes,
          }
        : {}),
      accessLog: [...accessLogs],
      ...(accessLogs.length > 0 ? { accessLogOptions: { flushAccessLogOnConnected: true } } : {}),
    }),
  );
}

function tcpOptions({ idleTimeoutMs, maxDurationMs, tunnel, hashSourceIp }: TcpOptionsPlan) {
  return {
    ...(idleTimeoutMs !== undefined ? { idleTimeout: duration(idleTimeoutMs) } : {}),
    ...(maxDurationMs ? { maxDownstreamConnectionDuration: duration(maxDurationMs) } : {}),
    ...(tunnel ? { tunnelingConfig: { hostname: tunnel.target, usePost: tunnel.method === 'POST' } } : {}),
    ...(hashSourceIp ? { hashPolicy: [{ policySpecifier: { case: 'sourceIp' as const, value: {} } }] } : {}),
  };
}
