import { create } from '@bufbuild/protobuf';
import { BoolValueSchema } from '@bufbuild/protobuf/wkt';
import { TrafficDirection } from '../../../gen/proto/envoy/config/core/v3/base_pb.js';
import { DecoratorSchema } from '../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../../../gen/proto/envoy/config/route/v3/route_pb.js';
import { CorsSchema } from '../../../gen/proto/envoy/extensions/filters/http/cors/v3/cors_pb.js';
import { HTTPFaultSchema } from '../../../gen/proto/envoy/extensions/filters/http/fault/v3/fault_pb.js';
import { FilterConfigSchema as GrpcStatsSchema } from '../../../gen/proto/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManager_TracingSchema,
  type HttpFilter,
  HttpFilterSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { CustomTagSchema } from '../../../gen/proto/envoy/type/tracing/v3/custom_tag_pb.js';
import { pack } from '../../../src/envoy/pack.ts';

/*
 * What the sidecars of a default install of Istio (1.31) do on each request and ours do not, as far as stock Envoy has it. What stock Envoy
 * lacks (metadata exchange, which also adds two headers to every response, and the ALPN filter) is left out. docs/guides/benchmarks.md says
 * of each element where it comes from.
 */

const names = {
  grpcStats: 'envoy.filters.http.grpc_stats',
  fault: 'envoy.filters.http.fault',
  cors: 'envoy.filters.http.cors',
} as const;

function httpFilter(name: string, config: ReturnType<typeof pack>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: 'typedConfig', value: config } });
}

/** In Istio's order, in front of the router, on both sides and never disabled. */
const filters: readonly HttpFilter[] = [
  httpFilter(
    names.grpcStats,
    pack(GrpcStatsSchema, {
      emitFilterState: true,
      perMethodStatSpecifier: {
        case: 'statsForAllMethods',
        value: create(BoolValueSchema, { value: false }),
      },
    }),
  ),
  httpFilter(names.fault, pack(HTTPFaultSchema, {})),
  httpFilter(names.cors, pack(CorsSchema, {})),
];

function addFilters(manager: HttpConnectionManager): void {
  const added = new Set<string>(Object.values(names));
  const kept = manager.httpFilters.filter(({ name }) => !added.has(name));
  manager.httpFilters = [...kept.slice(0, -1), ...filters, ...kept.slice(-1)];
}

const literalTags = {
  'istio.canonical_revision': 'v1',
  'istio.canonical_service': 'web',
  'istio.cluster_id': 'Kubernetes',
  'istio.mesh_id': 'cluster.local',
  'istio.namespace': 'default',
};

/**
 * Envoy decides for each request whether it is traced, 1 % are, and writes that into its request id, although a default install names no
 * collector since Istio 1.22: so there are neither spans nor tracing headers.
 */
export function decideOnTraces(manager: HttpConnectionManager): void {
  manager.generateRequestId = true;
  manager.tracing = create(HttpConnectionManager_TracingSchema, {
    clientSampling: { value: 100 },
    randomSampling: { value: 1 },
    overallSampling: { value: 100 },
    customTags: Object.entries(literalTags).map(([tag, value]) =>
      create(CustomTagSchema, { tag, type: { case: 'literal', value: { value } } }),
    ),
  });
}

export function asIstioSends(manager: HttpConnectionManager, direction: TrafficDirection): void {
  addFilters(manager);
  decideOnTraces(manager);
  manager.serverHeaderTransformation = ServerHeader.OVERWRITE;
  manager.serverName = direction === TrafficDirection.OUTBOUND ? '' : 'istio-envoy';
  if (manager.routeSpecifier.case === 'routeConfig') nameOperations(manager.routeSpecifier.value);
}

/** Requests say which attempt they are (callers' side only), and what they are called in traces. */
export function decorateRoutes(routes: RouteConfiguration): void {
  for (const host of routes.virtualHosts) host.includeRequestAttemptCount = true;
  nameOperations(routes);
}

function nameOperations(routes: RouteConfiguration): void {
  for (const host of routes.virtualHosts)
    for (const route of host.routes)
      route.decorator = create(DecoratorSchema, { operation: 'web.default.svc.cluster.local:80/*' });
}
