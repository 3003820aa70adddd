import { create } from '@bufbuild/protobuf';
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogFilterSchema,
  AccessLogSchema,
  HeaderFilterSchema,
  LogTypeFilterSchema,
  ResponseFlagFilterSchema,
} from '../../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { AccessLogType } from '../../../../gen/proto/envoy/data/accesslog/v3/accesslog_pb.js';
import {
  type Config_Counter,
  Config_CounterSchema,
  type Config_Histogram,
  Config_HistogramSchema,
  ConfigSchema,
  Config_Histogram_Unit as Unit,
} from '../../../../gen/proto/envoy/extensions/access_loggers/stats/v3/stats_pb.js';
import { originNamespace, pack } from '../../../envoy/pack.ts';
import { type CallField, callTag, joinCall } from '../../../kit/call-tag.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { peerState } from './peer-header.ts';
import { type MetricsPlan, metricsSlot } from './schema.ts';

/**
 * Envoy's stats access logger, which upstream still calls work in progress: nothing outside this file knows of it. Each tag costs time
 * on every request, so what differs between requests is one tag, `call`. The agent makes Istio's labels of it, adds what is the same for
 * all of a workload's series, and gives the metrics Istio's names.
 */
type CallFormat = Readonly<Partial<Record<CallField, string>>>;

/** Series of one proxy. Beyond it new ones are dropped, not the proxy's memory spent. */
const maxCounters = 10_000;
const maxHistograms = 4_000;

const peers = {
  source: {
    peer: `%UPSTREAM_METADATA(${originNamespace}:workload)%`,
    principal: '%UPSTREAM_PEER_URI_SAN%',
  },
  // Only the principal is proved; the rest is what the caller's sidecar says.
  destination: {
    peer: `%FILTER_STATE(${peerState}:PLAIN)%`,
    principal: '%DOWNSTREAM_PEER_URI_SAN%',
  },
} as const satisfies Record<MetricsPlan['reporter'], CallFormat>;

/** Without a certificate nothing is known of a caller; without headers, its principal. */
function peerFields({ reporter, security }: MetricsPlan, protocol: 'http' | 'grpc' | 'tcp'): CallFormat {
  if (reporter === 'destination' && security === 'none') return {};
  const { peer, ...proved } = peers[reporter];
  return reporter === 'destination' && protocol === 'tcp' ? proved : { ...proved, peer };
}

function constants(plan: MetricsPlan, protocol: 'http' | 'grpc' | 'tcp'): CallFormat {
  return {
    reporter: plan.reporter,
    request_protocol: protocol,
    connection_security_policy: plan.security,
  };
}

/**
 * Looking into a cluster's metadata is the dearest part of a series' name: what is the same for every call is written out, and elsewhere
 * the host carries its namespace (`tellHost`).
 */
function serviceFields({ service }: MetricsPlan): CallFormat {
  if (service && isPlainText(service.hostname) && isPlainText(service.namespace))
    return { destination_service: service.hostname, destination_service_namespace: service.namespace };
  return { destination_service: `%CLUSTER_METADATA(${originNamespace}:host)%` };
}

/** Nothing in it that a format or a tag would take for something else. */
function isPlainText(value: string): boolean {
  return /^[\w.*-]+$/.test(value);
}

function callOf(plan: MetricsPlan, protocol: 'http' | 'grpc' | 'tcp'): string {
  return joinCall({
    ...constants(plan, protocol),
    ...(protocol === 'tcp' ? {} : { response_code: '%RESPONSE_CODE%' }),
    ...(protocol === 'grpc' ? { grpc_response_status: '%GRPC_STATUS_NUMBER%' } : {}),
    response_flags: '%RESPONSE_FLAGS%',
    ...serviceFields(plan),
    ...peerFields(plan, protocol),
  });
}

function stat(name: string, call: string) {
  return { name, tags: [{ name: callTag, valueFormat: call }] };
}

function counter(name: string, call: string, valueFormat = ''): Config_Counter {
  return create(Config_CounterSchema, {
    stat: stat(name, call),
    ...(valueFormat === '' ? { valueFixed: 1n } : { valueFormat }),
  });
}

function histogram(name: string, call: string, unit: Unit, valueFormat: string): Config_Histogram {
  return create(Config_HistogramSchema, { stat: stat(name, call), unit, valueFormat });
}

type Filter = NonNullable<AccessLogFilter['filterSpecifier']>;

function logger(counters: Config_Counter[], histograms: Config_Histogram[], filter: Filter): AccessLog {
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.stats',
    configType: {
      case: 'typedConfig',
      value: pack(ConfigSchema, {
        statsScope: {
          sharingName: 'ostria',
          prefix: 'ostria',
          enableEviction: true,
          maxCounters,
          maxHistograms,
        },
        counters,
        histograms,
      }),
    },
    filter: create(AccessLogFilterSchema, { filterSpecifier: filter }),
  });
}

/** gRPC has a status of its own, which other requests must not pay for. */
function contentType(grpc: boolean): Filter {
  return {
    case: 'headerFilter',
    value: create(HeaderFilterSchema, {
      header: {
        name: 'content-type',
        headerMatchSpecifier: {
          case: 'stringMatch',
          value: { matchPattern: { case: 'prefix', value: 'application/grpc' } },
        },
        ...(grpc ? {} : { invertMatch: true, treatMissingHeaderAsEmpty: true }),
      },
    }),
  };
}

/** Sizes are reported by the destination alone: both sides would say the same, at twice the cost. */
function httpLogger(plan: MetricsPlan, protocol: 'http' | 'grpc'): AccessLog {
  const call = callOf(plan, protocol);
  const sizes =
    plan.reporter === 'destination'
      ? [
          histogram('istio_request_bytes', call, Unit.Bytes, '%BYTES_RECEIVED%'),
          histogram('istio_response_bytes', call, Unit.Bytes, '%BYTES_SENT%'),
        ]
      : [];
  return logger(
    [counter('istio_requests_total', call)],
    [histogram('istio_request_duration_milliseconds', call, Unit.Milliseconds, '%DURATION%'), ...sizes],
    contentType(protocol === 'grpc'),
  );
}

/**
 * Requests that no route took: nothing is known of a cluster, but of the virtual host. The agent takes these series instead of those that
 * the loggers above make of the same requests, by the field `unrouted`.
 */
function unroutedLogger(plan: MetricsPlan): AccessLog {
  const call = joinCall({
    ...constants(plan, 'http'),
    response_code: '%RESPONSE_CODE%',
    response_flags: '%RESPONSE_FLAGS%',
    destination_service: `%METADATA(VIRTUAL_HOST:${originNamespace}:missed_host)%`,
    unrouted: 'true',
  });
  return logger(
    [counter('istio_requests_total', call)],
    [histogram('istio_request_duration_milliseconds', call, Unit.Milliseconds, '%DURATION%')],
    { case: 'responseFlagFilter', value: create(ResponseFlagFilterSchema, { flags: ['NR'] }) },
  );
}

function ofType(type: AccessLogType): Filter {
  return { case: 'logTypeFilter', value: create(LogTypeFilterSchema, { types: [type] }) };
}

/** A connection is counted when its upstream is connected and again when it ends: periodic flushes would count it twice. */
function tcpLoggers(plan: MetricsPlan): AccessLog[] {
  const call = callOf(plan, 'tcp');
  return [
    logger(
      [counter('istio_tcp_connections_opened_total', call)],
      [],
      ofType(AccessLogType.TcpUpstreamConnected),
    ),
    logger(
      [
        counter('istio_tcp_connections_closed_total', call),
        counter('istio_tcp_received_bytes_total', call, '%BYTES_RECEIVED%'),
        counter('istio_tcp_sent_bytes_total', call, '%BYTES_SENT%'),
      ],
      [],
      ofType(AccessLogType.TcpConnectionEnd),
    ),
  ];
}

export function accessLogs(chain: FilterChainPlan): readonly AccessLog[] {
  const plan = read(chain, metricsSlot);
  if (!plan) return [];
  if (plan.protocol === 'tcp') return tcpLoggers(plan);
  const unrouted = plan.reporter === 'source' ? [unroutedLogger(plan)] : [];
  return [httpLogger(plan, 'http'), httpLogger(plan, 'grpc'), ...unrouted];
}
