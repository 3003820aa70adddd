import type { AccessLogFilter } from '../../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { AccessLogType } from '../../../../gen/proto/envoy/data/accesslog/v3/accesslog_pb.js';
import { accessFilter, atLeast, expression } from '../../../envoy/access-filter.ts';
import { stringMatcher } from '../../../envoy/matcher.ts';
import { metadataMatcher, textValue } from '../../../envoy/value-matcher.ts';
import { observeKey } from './call-log.ts';

function anyOf(filters: AccessLogFilter[]): AccessLogFilter {
  return accessFilter({ case: 'orFilter', value: { filters } });
}

function allOf(filters: AccessLogFilter[]): AccessLogFilter {
  return accessFilter({ case: 'andFilter', value: { filters } });
}

function flagged(...flags: string[]): AccessLogFilter {
  return accessFilter({ case: 'responseFlagFilter', value: { flags } });
}

export const connectionEnd = accessFilter({
  case: 'logTypeFilter',
  value: { types: [AccessLogType.TcpConnectionEnd] },
});

/** As many percent as the runtime key says, which is none until somebody observes. */
const observed = accessFilter({
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
  return accessFilter({ case: 'metadataFilter', value: { matcher, matchIfKeyNotFound: false } });
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
