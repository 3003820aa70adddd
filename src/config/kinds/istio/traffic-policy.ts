import type { DestinationRuleSubsetsTrafficPolicy } from '../../../../gen/crd/types/istio/destination-rule.ts';
import { parseIp } from '../../../kit/ip.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkNotNegative, checkRange, each } from './common.ts';
import { checkTimeout, checkTimeoutOrZero, connectTimeoutProblem, durationNanos } from './durations.ts';
import { checkFqdn, checkPort } from './hosts.ts';
import { checkLocalitySetting, checkZoneAwareSetting } from './localities.ts';

export type TrafficPolicy = DestinationRuleSubsetsTrafficPolicy;
type ConnectionPool = NonNullable<TrafficPolicy['connectionPool']>;
type OutlierDetection = NonNullable<TrafficPolicy['outlierDetection']>;
type LoadBalancer = NonNullable<TrafficPolicy['loadBalancer']>;
type ClientTls = NonNullable<TrafficPolicy['tls']>;
type PortLevelPolicy = NonNullable<TrafficPolicy['portLevelSettings']>[number];

export function checkTrafficPolicy(report: Report, path: FieldPath, policy: TrafficPolicy | undefined): void {
  if (!policy) return;
  if (Object.keys(policy).length === 0) report.invalid(path, 'is empty; set at least one field or remove it');
  checkPart(report, path, policy);
  checkTunnel(report, path.field('tunnel'), policy.tunnel);
  checkRange(report, path.field('retryBudget').field('percent'), policy.retryBudget?.percent, 0, 100);
  if (policy.retryBudget?.budgetInterval !== undefined)
    checkTimeout(
      report,
      path.field('retryBudget').field('budgetInterval'),
      policy.retryBudget.budgetInterval,
    );
  each(policy.portLevelSettings, path.field('portLevelSettings'), (setting, place) => {
    if (!setting.port) report.required(place.field('port'), 'says which port the settings are for');
    else checkPort(report, place.field('port').field('number'), setting.port.number);
    checkPart(report, place, setting);
  });
}

function checkPart(report: Report, path: FieldPath, policy: PortLevelPolicy | TrafficPolicy): void {
  checkOutlierDetection(report, path.field('outlierDetection'), policy.outlierDetection);
  checkConnectionPool(report, path.field('connectionPool'), policy.connectionPool);
  checkLoadBalancer(
    report,
    path.field('loadBalancer'),
    policy.loadBalancer,
    policy.outlierDetection !== undefined,
  );
  checkClientTls(report, path.field('tls'), policy.tls);
}

export function checkOutlierDetection(
  report: Report,
  path: FieldPath,
  outlier: OutlierDetection | undefined,
): void {
  if (!outlier) return;
  if (outlier.consecutiveErrors)
    report.warn(
      path.field('consecutiveErrors'),
      'is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors',
    );
  if (!outlier.splitExternalLocalOriginErrors && (outlier.consecutiveLocalOriginFailures ?? 0) > 0)
    report.invalid(
      path.field('consecutiveLocalOriginFailures'),
      'has an effect only with splitExternalLocalOriginErrors: true',
    );
  for (const field of ['interval', 'baseEjectionTime'] as const)
    checkTimeout(report, path.field(field), outlier[field]);
  for (const field of ['maxEjectionPercent', 'minHealthPercent'] as const)
    checkRange(report, path.field(field), outlier[field], 0, 100);
}

export function checkConnectionPool(report: Report, path: FieldPath, pool: ConnectionPool | undefined): void {
  if (!pool) return;
  const { http, tcp } = pool;
  if (!http && !tcp) report.invalid(path, 'is empty; set http or tcp, or remove it');
  const httpPath = path.field('http');
  for (const field of [
    'http1MaxPendingRequests',
    'http2MaxRequests',
    'maxRequestsPerConnection',
    'maxRetries',
    'maxConcurrentStreams',
  ] as const)
    checkNotNegative(report, httpPath.field(field), http?.[field]);
  checkTimeoutOrZero(report, httpPath.field('idleTimeout'), http?.idleTimeout);
  if (http?.h2UpgradePolicy === 'UPGRADE' && http.useClientProtocol)
    report.invalid(
      httpPath.field('useClientProtocol'),
      'contradicts h2UpgradePolicy: UPGRADE; remove one of them',
    );
  const tcpPath = path.field('tcp');
  checkNotNegative(report, tcpPath.field('maxConnections'), tcp?.maxConnections);
  if (tcp?.connectTimeout !== undefined) {
    const problem = connectTimeoutProblem(tcp.connectTimeout);
    if (problem !== undefined) report.invalid(tcpPath.field('connectTimeout'), problem);
  }
  checkTimeoutOrZero(report, tcpPath.field('maxConnectionDuration'), tcp?.maxConnectionDuration);
  checkTimeoutOrZero(report, tcpPath.field('idleTimeout'), tcp?.idleTimeout);
}

export function checkLoadBalancer(
  report: Report,
  path: FieldPath,
  balancer: LoadBalancer | undefined,
  hasOutlierDetection: boolean,
): void {
  if (!balancer) return;
  const { consistentHash, warmup } = balancer;
  if (balancer.simple === 'LEAST_CONN')
    report.warn(path.field('simple'), 'LEAST_CONN is deprecated; use LEAST_REQUEST');
  if (consistentHash?.httpCookie) {
    const place = path.field('consistentHash').field('httpCookie');
    if (consistentHash.httpCookie.name === '') report.required(place.field('name'), 'a cookie needs a name');
    if (
      consistentHash.httpCookie.ttl !== undefined &&
      durationNanos(consistentHash.httpCookie.ttl) === undefined
    )
      report.invalid(
        place.field('ttl'),
        `${quote(consistentHash.httpCookie.ttl)} is not a duration such as 3600s`,
      );
  }
  if (consistentHash?.minimumRingSize)
    report.warn(
      path.field('consistentHash').field('minimumRingSize'),
      'is deprecated; use ringHash.minimumRingSize',
    );
  if (balancer.warmupDurationSecs !== undefined) {
    report.warn(path.field('warmupDurationSecs'), 'is deprecated; use warmup.duration');
    checkTimeout(report, path.field('warmupDurationSecs'), balancer.warmupDurationSecs);
  }
  if (warmup) {
    checkTimeout(report, path.field('warmup').field('duration'), warmup.duration);
    checkRange(report, path.field('warmup').field('minimumPercent'), warmup.minimumPercent, 0, 100);
    if ((warmup.aggression ?? 1) < 1)
      report.invalid(path.field('warmup').field('aggression'), 'must be at least 1');
  }
  checkLocalitySetting(
    report,
    path.field('localityLbSetting'),
    balancer.localityLbSetting,
    hasOutlierDetection,
  );
  checkZoneAwareSetting(report, path.field('zoneAwareLbSetting'), balancer.zoneAwareLbSetting);
}

const CERTIFICATES = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const;

export function checkClientTls(report: Report, path: FieldPath, tls: ClientTls | undefined): void {
  if (!tls) return;
  checkSkipVerify(report, path, tls);
  if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') return;
  if (tls.credentialName) {
    for (const field of CERTIFICATES)
      if (tls[field])
        report.error(
          path.field(field),
          'FieldValueForbidden',
          'comes from credentialName; remove one of them',
        );
    return;
  }
  if (tls.mode === 'MUTUAL')
    for (const field of ['clientCertificate', 'privateKey'] as const)
      if (!tls[field])
        report.required(path.field(field), 'is required for mutual TLS, unless credentialName is set');
}

/** Nothing to verify against may be given when verification is switched off. */
function checkSkipVerify(report: Report, path: FieldPath, tls: ClientTls): void {
  if (!tls.insecureSkipVerify) return;
  const useless = [
    'caCertificates',
    'subjectAltNames',
    ...(tls.mode === 'SIMPLE' ? ['credentialName'] : []),
  ] as const;
  for (const field of useless) {
    const value = tls[field as keyof ClientTls];
    if (Array.isArray(value) ? value.length > 0 : value)
      report.invalid(path.field(field), 'has no effect with insecureSkipVerify: true; remove one of them');
  }
}

function checkTunnel(report: Report, path: FieldPath, tunnel: TrafficPolicy['tunnel']): void {
  if (!tunnel) return;
  if (tunnel.protocol && !['CONNECT', 'POST'].includes(tunnel.protocol))
    report.error(
      path.field('protocol'),
      'FieldValueNotSupported',
      `${quote(tunnel.protocol)} is not supported; use CONNECT or POST`,
    );
  if (!parseIp(tunnel.targetHost)) checkFqdn(report, path.field('targetHost'), tunnel.targetHost);
  checkPort(report, path.field('targetPort'), tunnel.targetPort);
}
