import { create, fromBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { Http3ProtocolOptionsSchema } from '../../gen/proto/envoy/config/core/v3/protocol_pb.js';
import type { RouteConfiguration } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { FilterConfigSchema as DynamicForwardProxyFilterSchema } from '../../gen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js';
import { GrpcWebSchema } from '../../gen/proto/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js';
import { OnDemandSchema } from '../../gen/proto/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import {
  type Router,
  RouterSchema,
} from '../../gen/proto/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  HttpConnectionManager_CodecType as CodecType,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  type HttpConnectionManager,
  type HttpConnectionManager_SetCurrentClientCertDetails,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
  RdsSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { HttpFilterFragment } from '../plan/feature.ts';
import type { HttpChain } from '../plan/listener-plan.ts';
import { adsSource } from './config-source.ts';
import { dnsCache } from './dynamic-forward-proxy.ts';
import { inFilterOrder } from './filter-order.ts';
import { duration, pack } from './pack.ts';

const router: HttpFilterFragment = {
  name: 'envoy.filters.http.router',
  config: pack(RouterSchema, {}),
};

/** How long a request waits for a cluster that the control plane does not bring. */
const clusterWaitMs = 5_000;
/** How long one waits for a virtual host: the stream's idle timeout. Routes that came on demand take it off again. */
const hostWaitMs = 5_000;

export const onDemandFilter = 'envoy.filters.http.on_demand';

const onDemand: HttpFilterFragment = {
  name: onDemandFilter,
  config: pack(OnDemandSchema, { odcds: { source: adsSource(), timeout: duration(clusterWaitMs) } }),
};

/** What a chain carries beyond its plan node: assembled from all features. */
export interface HttpChainParts {
  readonly filters: readonly HttpFilterFragment[];
  readonly accessLogs: readonly AccessLog[];
  readonly inlineRoutes?: RouteConfiguration;
  /** What features set on the message that is otherwise ready. */
  readonly adjust?: (message: HttpConnectionManager) => void;
}

/**
 * The HTTP connection manager. No request id and no tracing here: both cost on every request, and who asks for tracing gets them
 * (reference measurements in docs/decisions). Paths are normalised as Istio does by default (BASE).
 */
export function buildConnectionManager(chain: HttpChain, parts: HttpChainParts): Any {
  const message = create(HttpConnectionManagerSchema, {
    statPrefix: chain.statPrefix,
    httpFilters: httpFilters(chain, parts.filters),
    accessLog: [...parts.accessLogs],
    generateRequestId: false,
    normalizePath: true,
    streamIdleTimeout: duration(chain.onDemand === 'hosts' ? hostWaitMs : 0),
    delayedCloseTimeout: duration(1000),
    http2ProtocolOptions: { allowConnect: true },
    upgradeConfigs:
      chain.role === 'forward-proxy'
        ? [{ upgradeType: 'websocket' }, { upgradeType: 'CONNECT' }]
        : [{ upgradeType: 'websocket' }],
  });
  Object.assign(message, byRole(chain));
  if (chain.http3) {
    message.codecType = CodecType.HTTP3;
    message.http3ProtocolOptions = create(Http3ProtocolOptionsSchema, { allowExtendedConnect: true });
  }
  if (chain.routes.type === 'discovered')
    message.routeSpecifier = {
      case: 'rds',
      value: create(RdsSchema, { configSource: adsSource(), routeConfigName: chain.routes.name }),
    };
  else if (parts.inlineRoutes) message.routeSpecifier = { case: 'routeConfig', value: parts.inlineRoutes };
  parts.adjust?.(message);
  return pack(HttpConnectionManagerSchema, message);
}

function byRole(chain: HttpChain): Partial<HttpConnectionManager> {
  if (chain.role === 'gateway')
    return {
      useRemoteAddress: true,
      serverName: 'istio-envoy',
      xffNumTrustedHops: chain.edge?.trustedHops ?? 0,
      forwardClientCertDetails: forwardClientCert(chain.edge?.forwardClientCert),
      setCurrentClientCertDetails: clientCertDetails(true),
    };
  const sidecar: Partial<HttpConnectionManager> = {
    useRemoteAddress: false,
    serverHeaderTransformation: ServerHeader.PASS_THROUGH,
  };
  if (chain.role !== 'inbound' || !chain.mutualTls) return sidecar;
  return {
    ...sidecar,
    forwardClientCertDetails: ForwardClientCert.APPEND_FORWARD,
    setCurrentClientCertDetails: clientCertDetails(),
  };
}

function forwardClientCert(name: string | undefined): ForwardClientCert {
  const value = ForwardClientCert[name as keyof typeof ForwardClientCert];
  return value === undefined || name === 'UNDEFINED' ? ForwardClientCert.SANITIZE_SET : value;
}

/** An edge's clients are not the mesh's own: their whole certificate is told on, as Istio's gateways do. */
function clientCertDetails(whole = false): HttpConnectionManager_SetCurrentClientCertDetails {
  return create(HttpConnectionManager_SetCurrentClientCertDetailsSchema, {
    subject: true,
    cert: whole,
    dns: true,
    uri: true,
  });
}

type RouterSettings = Partial<Pick<Router, 'dynamicStats' | 'suppressEnvoyHeaders'>>;

/** Sets fields of the router of a message that is otherwise ready; what was set before stays. */
export function setRouter(message: HttpConnectionManager, settings: RouterSettings): void {
  for (const { name, configType } of message.httpFilters) {
    if (name !== router.name || configType.case !== 'typedConfig') continue;
    configType.value = pack(RouterSchema, {
      ...fromBinary(RouterSchema, configType.value.value),
      ...settings,
    });
  }
}

function httpFilters(chain: HttpChain, fragments: readonly HttpFilterFragment[]): HttpFilter[] {
  const all = [...fragments, router];
  if (chain.grpcWeb) all.push({ name: 'envoy.filters.http.grpc_web', config: pack(GrpcWebSchema, {}) });
  if (chain.onDemand) all.push(onDemand);
  if (chain.dynamicForwardProxy)
    all.push({
      name: 'envoy.filters.http.dynamic_forward_proxy',
      config: pack(DynamicForwardProxyFilterSchema, {
        implementationSpecifier: { case: 'dnsCacheConfig', value: dnsCache() },
      }),
    });
  return inFilterOrder(all).map(({ name, config, disabled }) =>
    create(HttpFilterSchema, {
      name,
      configType: { case: 'typedConfig', value: config },
      disabled: disabled ?? false,
    }),
  );
}
