import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type AccessLogFilter,
  AccessLogFilterSchema,
  ComparisonFilter_Op,
} from '../../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { AccessLogType } from '../../../../gen/proto/envoy/data/accesslog/v3/accesslog_pb.js';
import { ExpressionFilterSchema } from '../../../../gen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js';
import { stringMatcher } from '../../../envoy/matcher.ts';
import { pack } from '../../../envoy/pack.ts';
import { metadataMatcher, textValue } from '../../../envoy/value-matcher.ts';
import { observeKey } from './call-log.ts';

type Specifier = MessageInitShape<typeof AccessLogFilterSchema>['filterSpecifier'];

function filter(filterSpecifier: Specifier): AccessLogFilter {
  return create(AccessLogFilterSchema, { filterSpecifier } as MessageInitShape<typeof AccessLogFilterSchema>);
}

function atLeast(code: number): AccessLogFilter {
  const value = { defaultValue: code, runtimeKey: `ostria.access_log.status_${code}` };
  return filter({
    case: 'statusCodeFilter',
    value: { comparison: { op: ComparisonFilter_Op.GE, value } },
  });
}

function anyOf(filters: AccessLogFilter[]): AccessLogFilter {
  return filter({ case: 'orFilter', value: { filters } });
}

function allOf(filters: AccessLogFilter[]): AccessLogFilter {
  return filter({ case: 'andFilter', value: { filters } });
}

function flagged(...flags: string[]): AccessLogFilter {
  return filter({ case: 'responseFlagFilter', value: { flags } });
}

function expression(text: string): AccessLogFilter {
  const config = pack(ExpressionFilterSchema, { expression: text });
  return filter({
    case: 'extensionFilter',
    value: {
      name: 'envoy.access_loggers.extension_filters.cel',
      configType: { case: 'typedConfig', value: config },
    },
  });
}

export const connectionEnd = filter({
  case: 'logTypeFilter',
  value: { types: [AccessLogType.TcpConnectionEnd] },
});

/** As many percent as the runtime key says, which is none until somebody observes. */
const observed = filter({
  case: 'runtimeFilter',
  value: { runtimeKey: observeKey, percentSampled: { numerator: 0 }, useIndependentRandomness: true },
});

/**
 * What Envoy had something to say about, server errors, and refusals of Envoy's own; an application's 4xx are its business. The expression
 * is evaluated for 4xx alone: the others cost comparisons of numbers.
 */
const failedRequest = [
  atLeast(500),
  flagged(),
  allOf([atLeast(400), expression("response.code_details != 'via_upstream'")]),
];
const failedConnection = [flagged(), expression("connection.termination_details != ''")];

function triedRefusal(filterName: string, key: string): AccessLogFilter {
  const matcher = metadataMatcher(filterName, [key], textValue(stringMatcher({ exact: 'denied' })));
  return filter({ case: 'metadataFilter', value: { matcher, matchIfKeyNotFound: false } });
}

/** Requests that the mesh's own record tells of. `shadowResults`: see `AccessLogPlan`. */
export function recordedRequests(shadowResults: readonly string[]): AccessLogFilter {
  const tried = shadowResults.map((key) => triedRefusal('envoy.filters.http.rbac', key));
  return anyOf([...failedRequest, ...tried, observed]);
}

export function recordedConnections(shadowResults: readonly string[]): AccessLogFilter {
  const tried = shadowResults.map((key) => triedRefusal('envoy.filters.network.rbac', key));
  return allOf([connectionEnd, anyOf([...failedConnection, ...tried, observed])]);
}

/**
 * Connections that no chain takes, or whose handshake fails. The inspector leaves a reason on every plain connection; a handshake's begins
 * with a colon.
 */
export const brokenConnections = anyOf([
  flagged('NR'),
  expression("connection.transport_failure_reason.startsWith('TLS_error:')"),
]);
