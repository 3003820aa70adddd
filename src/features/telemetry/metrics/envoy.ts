import { create } from '@bufbuild/protobuf';
import {
  type AccessLog,
  AccessLogFilterSchema,
  AccessLogSchema,
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
import { pack } from '../../../envoy/pack.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { type MetricsPlan, metricsSlot } from './schema.ts';

/**
 * Envoy's stats access logger, which upstream still calls work in progress: nothing outside this file knows of it. Each label costs
 * formatting on every request, so only what differs between requests is a label here; the agent adds what is the same for
 * all of a workload's series, and gives the metrics Istio's names.
 */
type Labels = readonly (readonly [name: string, format: string])[];

/** Series of one proxy. Beyond it new ones are dropped, not the proxy's memory spent. */
const maxCounters = 10_000;
const maxHistograms = 4_000;

const peer: Readonly<Record<MetricsPlan['reporter'], Labels>> = {
  source: [
    ['destination_workload', '%UPSTREAM_METADATA(ostria:name)%'],
    ['destination_workload_namespace', '%UPSTREAM_METADATA(ostria:namespace)%'],
    ['destination_canonical_service', '%UPSTREAM_METADATA(ostria:app)%'],
    ['destination_canonical_revision', '%UPSTREAM_METADATA(ostria:version)%'],
    ['destination_principal', '%UPSTREAM_PEER_URI_SAN%'],
  ],
  // Only the principal is proved; the other facts about a caller would be its own claims.
  destination: [['source_principal', '%DOWNSTREAM_PEER_URI_SAN%']],
};

const service: Labels = [
  ['destination_service', '%CLUSTER_METADATA(ostria:host)%'],
  ['destination_service_name', '%CLUSTER_METADATA(ostria:name)%'],
  ['destination_service_namespace', '%CLUSTER_METADATA(ostria:namespace)%'],
];

function labelsOf(plan: MetricsPlan): Labels {
  const constant: Labels = [
    ['reporter', plan.reporter],
    ['request_protocol', plan.protocol],
    ['connection_security_policy', plan.security],
  ];
  const outcome: Labels =
    plan.protocol === 'http'
      ? [
          ['response_code', '%RESPONSE_CODE%'],
          ['response_flags', '%RESPONSE_FLAGS%'],
        ]
      : [['response_flags', '%RESPONSE_FLAGS%']];
  return [...constant, ...outcome, ...service, ...peer[plan.reporter]];
}

function stat(name: string, labels: Labels) {
  return { name, tags: labels.map(([label, valueFormat]) => ({ name: label, valueFormat })) };
}

function counter(name: string, labels: Labels, valueFormat = ''): Config_Counter {
  return create(Config_CounterSchema, {
    stat: stat(name, labels),
    ...(valueFormat === '' ? { valueFixed: 1n } : { valueFormat }),
  });
}

function histogram(name: string, labels: Labels, unit: Unit, valueFormat: string): Config_Histogram {
  return create(Config_HistogramSchema, { stat: stat(name, labels), unit, valueFormat });
}

function logger(
  counters: Config_Counter[],
  histograms: Config_Histogram[],
  types: readonly AccessLogType[],
): AccessLog {
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
    ...(types.length > 0
      ? {
          filter: create(AccessLogFilterSchema, {
            filterSpecifier: { case: 'logTypeFilter', value: { types: [...types] } },
          }),
        }
      : {}),
  });
}

/** Sizes are reported by the destination alone: both sides would say the same, at twice the cost. */
function httpLogger(plan: MetricsPlan): AccessLog {
  const labels = labelsOf(plan);
  const sizes =
    plan.reporter === 'destination'
      ? [
          histogram('istio_request_bytes', labels, Unit.Bytes, '%BYTES_RECEIVED%'),
          histogram('istio_response_bytes', labels, Unit.Bytes, '%BYTES_SENT%'),
        ]
      : [];
  return logger(
    [counter('istio_requests_total', labels)],
    [histogram('istio_request_duration_milliseconds', labels, Unit.Milliseconds, '%DURATION%'), ...sizes],
    [],
  );
}

/** A connection is counted when its upstream is connected and again when it ends: periodic flushes would count it twice. */
function tcpLoggers(plan: MetricsPlan): AccessLog[] {
  const labels = labelsOf(plan);
  return [
    logger([counter('istio_tcp_connections_opened_total', labels)], [], [AccessLogType.TcpUpstreamConnected]),
    logger(
      [
        counter('istio_tcp_connections_closed_total', labels),
        counter('istio_tcp_received_bytes_total', labels, '%BYTES_RECEIVED%'),
        counter('istio_tcp_sent_bytes_total', labels, '%BYTES_SENT%'),
      ],
      [],
      [AccessLogType.TcpConnectionEnd],
    ),
  ];
}

export function accessLogs(chain: FilterChainPlan): readonly AccessLog[] {
  const plan = read(chain, metricsSlot);
  if (!plan) return [];
  return plan.protocol === 'http' ? [httpLogger(plan)] : tcpLoggers(plan);
}
