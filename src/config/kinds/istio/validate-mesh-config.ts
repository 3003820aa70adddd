import { MeshConfigSchema } from '../../../../gen/proto/istio/mesh/v1alpha1/config_pb.js';
import { isObject } from '../../../kit/json.ts';
import { type FieldPath, rootPath } from '../../field-path.ts';
import type { Issue } from '../../kind.ts';
import { createReport, quote, type Report } from '../../report.ts';
import { cipherSuites, ecdhCurves } from './cipher-suites.ts';
import { checkRange, each } from './common.ts';
import {
  connectTimeoutProblem,
  detectionTimeoutProblem,
  drainDurationProblem,
  durationNanos,
  timeoutProblem,
} from './durations.ts';
import { checkExtensionProviders } from './extension-providers.ts';
import { checkPort, checkWildcardDomain, fqdnProblem, hostPortProblem } from './hosts.ts';
import { checkLocalitySetting, type LocalitySetting } from './localities.ts';
import { checkProtoJson } from './proto-json.ts';
import { checkRetries, type RetrySpec } from './retries.ts';
import { checkTrafficPolicy, type TrafficPolicy } from './traffic-policy.ts';

type Json = Record<string, unknown>;

const MIN_WINDOW = 65_535;
/** Fields that Istio has and the release of its API that we generate from has not: their rules are below all the same. */
const NEWER_FIELDS = ['defaultInboundHttpRetryPolicy'];

/** Checks a MeshConfig (JSON form, as in `istio`'s ConfigMap or meshConfig of a file). Absent fields have their defaults. */
export function validateMeshConfig(config: Json): Issue[] {
  const report = createReport();
  checkTypes(report, config);
  // Rules read fields of the right types only.
  if (report.issues.length > 0) return report.issues;
  checkTrust(report, config);
  checkTimes(report, config);
  checkPorts(report, config);
  checkPolicies(report, config);
  checkExtensionProviders(report, rootPath.field('extensionProviders'), list(config, 'extensionProviders'));
  each(list(config, 'serviceSettings'), rootPath.field('serviceSettings'), (setting, place) =>
    each(setting.hosts as string[] | undefined, place.field('hosts'), (host, at) =>
      checkWildcardDomain(report, at, host),
    ),
  );
  for (const field of ['meshMTLS', 'tlsDefaults']) warnOfUnknownTls(report, config, field);
  if (isObject(config.defaultConfig))
    checkProxyConfig(report, rootPath.field('defaultConfig'), config.defaultConfig);
  return report.issues;
}

/** Field names and types, by the message itself. */
function checkTypes(report: Report, config: Json): void {
  const known = Object.entries(config).filter(([name]) => !NEWER_FIELDS.includes(name));
  checkProtoJson(report, rootPath, MeshConfigSchema, Object.fromEntries(known));
}

function list(config: Json, name: string): Json[] | undefined {
  return config[name] as Json[] | undefined;
}

function warnOfUnknownTls(report: Report, config: Json, field: string): void {
  if (!isObject(config[field])) return;
  const settings = config[field];
  const path = rootPath.field(field);
  const useless: readonly (readonly [string, ReadonlySet<string>, string])[] = [
    ['cipherSuites', cipherSuites, 'cipher suite'],
    ['ecdhCurves', ecdhCurves, 'curve'],
  ];
  for (const [name, known, what] of useless)
    each(settings[name] as string[] | undefined, path.field(name), (one, place) => {
      if (!known.has(one)) report.warn(place, `${quote(one)} is no ${what} of Envoy and is ignored`);
    });
  const { minProtocolVersion, ecdhCurves: curves } = settings;
  if (field === 'meshMTLS' && Array.isArray(curves) && curves.length > 0)
    report.warn(path.field('ecdhCurves'), 'is not acted on: mutual TLS between workloads has Envoy’s curves');
  if (field === 'tlsDefaults' && minProtocolVersion !== undefined && minProtocolVersion !== 'TLS_AUTO')
    report.warn(path.field('minProtocolVersion'), 'is not acted on: each server says its own');
}

function checkTrust(report: Report, config: Json): void {
  if (typeof config.trustDomain === 'string')
    checkTrustDomain(report, rootPath.field('trustDomain'), config.trustDomain);
  each(
    config.trustDomainAliases as string[] | undefined,
    rootPath.field('trustDomainAliases'),
    (alias, place) => checkTrustDomain(report, place, alias),
  );
  each(list(config, 'caCertificates'), rootPath.field('caCertificates'), (entry, place) =>
    checkTrustedAuthority(report, place, entry),
  );
}

function checkTrustedAuthority(report: Report, path: FieldPath, entry: Json): void {
  const { pem, spiffeBundleUrl: url } = entry;
  if (typeof pem === 'string' && !pem.includes('-----BEGIN CERTIFICATE-----'))
    report.invalid(path.field('pem'), 'holds no PEM block "CERTIFICATE"');
  if (typeof url === 'string' && !url.startsWith('https://'))
    report.invalid(path.field('spiffeBundleUrl'), `${quote(url)} must begin with https://`);
  each(entry.trustDomains as string[] | undefined, path.field('trustDomains'), (domain, place) =>
    checkTrustDomain(report, place, domain),
  );
}

function checkTrustDomain(report: Report, path: FieldPath, domain: string): void {
  const problem = domain.includes('/') ? `${quote(domain)} must not hold a /` : fqdnProblem(domain);
  if (problem !== undefined) report.invalid(path, problem);
}

function checkText(
  report: Report,
  path: FieldPath,
  value: unknown,
  problemOf: (text: string) => string | undefined,
): void {
  const problem = typeof value === 'string' ? problemOf(value) : undefined;
  if (problem !== undefined) report.invalid(path, problem);
}

function checkTimes(report: Report, config: Json): void {
  checkText(report, rootPath.field('connectTimeout'), config.connectTimeout, connectTimeoutProblem);
  checkText(
    report,
    rootPath.field('protocolDetectionTimeout'),
    config.protocolDetectionTimeout,
    detectionTimeoutProblem,
  );
  checkText(report, rootPath.field('dnsRefreshRate'), config.dnsRefreshRate, timeoutProblem);
}

function checkPorts(report: Report, config: Json): void {
  for (const name of ['proxyListenPort', 'proxyInboundListenPort', 'proxyHttpPort']) {
    const port = config[name];
    if (typeof port === 'number' && (port !== 0 || name === 'proxyListenPort'))
      checkPort(report, rootPath.field(name), port);
  }
}

function checkPolicies(report: Report, config: Json): void {
  checkLocalitySetting(
    report,
    rootPath.field('localityLbSetting'),
    config.localityLbSetting as LocalitySetting | undefined,
    true,
  );
  const policy = config.defaultTrafficPolicy as TrafficPolicy | undefined;
  if (policy && Object.keys(policy).length > 0)
    checkTrafficPolicy(report, rootPath.field('defaultTrafficPolicy'), policy);
  checkRetries(
    report,
    rootPath.field('defaultHttpRetryPolicy'),
    config.defaultHttpRetryPolicy as RetrySpec | undefined,
  );
  const inbound = config.defaultInboundHttpRetryPolicy as RetrySpec | undefined;
  const place = rootPath.field('defaultInboundHttpRetryPolicy');
  checkRetries(report, place, inbound);
  for (const field of ['retryRemoteLocalities', 'retryIgnorePreviousHosts', 'perTryTimeout'] as const)
    if (inbound?.[field] !== undefined && inbound[field] !== null)
      report.warn(place.field(field), 'has no effect on inbound retries, which know one endpoint only');
}

function checkProxyConfig(report: Report, path: FieldPath, proxy: Json): void {
  if (proxy.serviceCluster === '') report.required(path.field('serviceCluster'), 'must not be empty');
  checkText(report, path.field('drainDuration'), proxy.drainDuration, drainDurationProblem);
  checkText(report, path.field('terminationDrainDuration'), proxy.terminationDrainDuration, (text) =>
    durationNanos(text) === undefined ? `${quote(text)} is not a duration such as 5s` : undefined,
  );
  for (const name of ['discoveryAddress', 'statsdUdpAddress'])
    checkText(report, path.field(name), proxy[name], (text) =>
      text === '' ? undefined : hostPortProblem(text),
    );
  for (const name of ['envoyMetricsService', 'envoyAccessLogService']) {
    const service = proxy[name];
    if (isObject(service))
      checkText(report, path.field(name).field('address'), service.address ?? '', hostPortProblem);
  }
  for (const name of ['statusPort', 'proxyAdminPort']) {
    const port = proxy[name];
    if (typeof port === 'number' && port !== 0) checkPort(report, path.field(name), port);
  }
  const auth = proxy.controlPlaneAuthPolicy;
  if (auth !== undefined && ![0, 1, 'NONE', 'MUTUAL_TLS'].includes(auth as number | string))
    report.error(
      path.field('controlPlaneAuthPolicy'),
      'FieldValueNotSupported',
      `${quote(auth)} is not supported; use NONE or MUTUAL_TLS`,
    );
  if (isObject(proxy.tracing)) checkTracing(report, path.field('tracing'), proxy.tracing);
  if (isObject(proxy.privateKeyProvider))
    checkKeyProvider(report, path.field('privateKeyProvider'), proxy.privateKeyProvider);
  if (isObject(proxy.connectionSettings))
    checkConnection(report, path.field('connectionSettings'), proxy.connectionSettings);
}

function checkTracing(report: Report, path: FieldPath, tracing: Json): void {
  const { zipkin, lightstep, datadog } = tracing;
  const sampling = tracing.sampling;
  if (typeof sampling === 'number') checkRange(report, path.field('sampling'), sampling, 0, 100);
  if (isObject(zipkin)) {
    // The node's address is put in at run time.
    const address = String(zipkin.address ?? '').replace('$(HOST_IP)', '127.0.0.1');
    checkText(report, path.field('zipkin').field('address'), address, hostPortProblem);
  }
  if (isObject(lightstep)) {
    checkText(report, path.field('lightstep').field('address'), lightstep.address ?? '', hostPortProblem);
    if (!lightstep.accessToken) report.required(path.field('lightstep').field('accessToken'), 'is required');
  }
  if (isObject(datadog)) {
    const address = String(datadog.address ?? '').replace('$(HOST_IP)', '127.0.0.1');
    checkText(report, path.field('datadog').field('address'), address, hostPortProblem);
  }
}

function checkKeyProvider(report: Report, path: FieldPath, provider: Json): void {
  for (const name of ['cryptomb', 'qat']) {
    const settings = provider[name];
    if (!isObject(settings)) continue;
    const place = path.field(name).field('pollDelay');
    if (typeof settings.pollDelay !== 'string') report.required(place, 'is required, such as 0.02s');
    else if ((durationNanos(settings.pollDelay) ?? 0n) <= 0n) report.invalid(place, 'must be longer than 0');
  }
}

function checkConnection(report: Report, path: FieldPath, settings: Json): void {
  for (const name of ['http2InitialStreamWindowSize', 'http2InitialConnectionWindowSize']) {
    const size = settings[name];
    if (typeof size === 'number' && size < MIN_WINDOW)
      report.invalid(path.field(name), `${size} is too small: use at least ${MIN_WINDOW}`);
  }
  for (const name of [
    'listenerPerConnectionBufferLimitBytes',
    'clusterPerConnectionBufferLimitBytes',
    'httpMaxConcurrentStreams',
  ]) {
    const size = settings[name];
    if (typeof size === 'number' && size < 0)
      report.invalid(path.field(name), `${size} must not be negative`);
  }
}
