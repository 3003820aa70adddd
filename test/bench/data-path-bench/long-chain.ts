import { create } from '@bufbuild/protobuf';
import {
  type AccessLog,
  AccessLogSchema,
} from '../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import type { Cluster } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { TrafficDirection } from '../../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  type ListenerFilter,
  ListenerFilterSchema,
} from '../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { Tracing_HttpSchema } from '../../../gen/proto/envoy/config/trace/v3/http_tracer_pb.js';
import {
  ZipkinConfig_CollectorEndpointVersion as CollectorVersion,
  ZipkinConfigSchema,
} from '../../../gen/proto/envoy/config/trace/v3/zipkin_pb.js';
import { FileAccessLogSchema } from '../../../gen/proto/envoy/extensions/access_loggers/file/v3/file_pb.js';
import {
  ConfigSchema as StatsSchema,
  Config_Histogram_Unit as Unit,
} from '../../../gen/proto/envoy/extensions/access_loggers/stats/v3/stats_pb.js';
import { HttpInspectorSchema } from '../../../gen/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.js';
import { TlsInspectorSchema } from '../../../gen/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import type { HttpConnectionManager } from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { UpstreamTlsContextSchema } from '../../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { pack } from '../../../src/envoy/pack.ts';
import { decideOnTraces } from './istio-defaults.ts';
import { repacked } from './patch-resources.ts';

/*
 * What people customarily add to Istio's defaults (istio-defaults.ts), and ours have not: inspectors on every listener, tracing headers on every
 * request (1 % sampled, spans sent to a Zipkin collector), and a line of text per request.
 */

const inspectors: ListenerFilter[] = [
  create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: pack(TlsInspectorSchema, {}) },
  }),
  create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.http_inspector',
    configType: { case: 'typedConfig', value: pack(HttpInspectorSchema, {}) },
  }),
];

/** The fields and order that Istio documents for its default text log. */
const logFormat = [
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"',
  '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%',
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION%',
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%"',
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n',
].join(' ');

function everyRequest(): AccessLog {
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.file',
    configType: {
      case: 'typedConfig',
      value: pack(FileAccessLogSchema, {
        path: '/dev/stdout',
        accessLogFormat: {
          case: 'logFormat',
          value: {
            format: {
              case: 'textFormatSource',
              value: { specifier: { case: 'inlineString', value: logFormat } },
            },
          },
        },
      }),
    },
  });
}

export function addInspectors(listener: Listener): void {
  const present = new Set(listener.listenerFilters.map(({ name }) => name));
  listener.listenerFilters.push(...inspectors.filter(({ name }) => !present.has(name)));
}

/** The metrics stay as they are. */
export function logNothing(manager: HttpConnectionManager): void {
  manager.accessLog = manager.accessLog.filter(({ name }) => name !== 'envoy.access_loggers.file');
}

/** The line per request takes the place of our log of failures. */
export function logEveryRequest(manager: HttpConnectionManager): void {
  logNothing(manager);
  manager.accessLog.push(everyRequest());
}

/** Gives the traces that Istio's defaults decide on a collector: spans of 1 % of the requests, tracing headers on all. */
export function traceOnePercent(manager: HttpConnectionManager, collectorCluster: string): void {
  decideOnTraces(manager);
  if (!manager.tracing) return;
  manager.tracing.provider = create(Tracing_HttpSchema, {
    name: 'envoy.tracers.zipkin',
    configType: {
      case: 'typedConfig',
      value: pack(ZipkinConfigSchema, {
        collectorCluster,
        collectorEndpoint: '/api/v2/spans',
        collectorEndpointVersion: CollectorVersion.HTTP_JSON,
        collectorHostname: 'zipkin',
        traceId128bit: true,
        sharedSpanContext: false,
      }),
    },
  });
}

/** Istio's labels of its HTTP metrics; those that our agent adds to the series are literals here, formatted on every request. */
function istioLabels(source: boolean): readonly (readonly [string, string])[] {
  const upstream = (key: string, constant: string) =>
    source ? `%UPSTREAM_METADATA(ostria:${key})%` : constant;
  const own = (side: 'source' | 'destination') =>
    `spiffe://cluster.local/ns/default/sa/${side === 'source' ? 'default' : 'web'}`;
  return [
    ['reporter', source ? 'source' : 'destination'],
    ['source_workload', 'client'],
    ['source_workload_namespace', 'default'],
    ['source_principal', source ? own('source') : '%DOWNSTREAM_PEER_URI_SAN%'],
    ['source_app', 'client'],
    ['source_version', 'v1'],
    ['source_cluster', 'Kubernetes'],
    ['source_canonical_service', 'client'],
    ['source_canonical_revision', 'v1'],
    ['destination_workload', upstream('name', 'web-v1')],
    ['destination_workload_namespace', upstream('namespace', 'default')],
    ['destination_principal', source ? '%UPSTREAM_PEER_URI_SAN%' : own('destination')],
    ['destination_app', upstream('app', 'web')],
    ['destination_version', upstream('version', 'v1')],
    ['destination_cluster', 'Kubernetes'],
    ['destination_canonical_service', upstream('app', 'web')],
    ['destination_canonical_revision', upstream('version', 'v1')],
    ['destination_service', '%CLUSTER_METADATA(ostria:host)%'],
    ['destination_service_name', '%CLUSTER_METADATA(ostria:name)%'],
    ['destination_service_namespace', '%CLUSTER_METADATA(ostria:namespace)%'],
    ['request_protocol', 'http'],
    ['response_code', '%RESPONSE_CODE%'],
    ['grpc_response_status', '%GRPC_STATUS_NUMBER%'],
    ['response_flags', '%RESPONSE_FLAGS%'],
    ['connection_security_policy', source ? 'unknown' : 'mutual_tls'],
  ];
}

/** All four HTTP metrics with all of Istio's labels on both sides, instead of our shorter set. */
export function fullLabels(manager: HttpConnectionManager, direction: TrafficDirection): void {
  const labels = istioLabels(direction === TrafficDirection.OUTBOUND);
  const stat = (name: string) => ({
    name,
    tags: labels.map(([label, valueFormat]) => ({ name: label, valueFormat })),
  });
  for (const log of manager.accessLog)
    if (log.name === 'envoy.access_loggers.stats' && log.configType.case === 'typedConfig')
      log.configType.value = repacked(log.configType.value, StatsSchema, (config) => {
        const full = create(StatsSchema, {
          counters: [{ stat: stat('istio_requests_total'), valueFixed: 1n }],
          histograms: [
            {
              stat: stat('istio_request_duration_milliseconds'),
              unit: Unit.Milliseconds,
              valueFormat: '%DURATION%',
            },
            { stat: stat('istio_request_bytes'), unit: Unit.Bytes, valueFormat: '%BYTES_RECEIVED%' },
            { stat: stat('istio_response_bytes'), unit: Unit.Bytes, valueFormat: '%BYTES_SENT%' },
          ],
        });
        config.counters = full.counters;
        config.histograms = full.histograms;
      });
}

/** Istio's default between sidecars: HTTP/1.1 requests travel as HTTP/1.1. */
export function overHttp1(cluster: Cluster): void {
  if (!cluster.name.startsWith('outbound|')) return;
  const key = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const options = cluster.typedExtensionProtocolOptions[key];
  if (!options) return;
  cluster.typedExtensionProtocolOptions[key] = repacked(options, HttpProtocolOptionsSchema, (message) => {
    message.upstreamProtocolOptions = {
      case: 'explicitHttpConfig',
      value: create(HttpProtocolOptionsSchema, {
        upstreamProtocolOptions: {
          case: 'explicitHttpConfig',
          value: { protocolConfig: { case: 'httpProtocolOptions', value: {} } },
        },
      }).upstreamProtocolOptions.value as never,
    };
  });
  const socket = cluster.transportSocket;
  if (socket?.configType.case !== 'typedConfig') return;
  socket.configType.value = repacked(
    socket.configType.value,
    UpstreamTlsContextSchema,
    ({ commonTlsContext }) => {
      if (commonTlsContext) commonTlsContext.alpnProtocols = ['istio-http/1.1', 'istio', 'http/1.1'];
    },
  );
}
