import type { Origin } from '../../../config/origin.ts';
import { captureMode, proxyType } from '../../../plan/attributes.ts';
import {
  type ClusterPlan,
  type HashPlan,
  hashSlot,
  httpOptionsSlot,
  slowWarmingSlot,
  type TrustSource,
  type UpstreamTls,
} from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { fill, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  circuitBreakerSlot,
  connectTimeoutSlot,
  keepaliveSlot,
  type LoadBalancerPlan,
  loadBalancerSlot,
  localitySharesSlot,
  outlierSlot,
  warmupSlot,
} from './policy-plan.ts';
import {
  appliedRulesSlot,
  policyFor,
  selectsWorkloads,
  type TrafficPolicy,
  tlsChoiceSlot,
} from './schema.ts';

/** Everything that a rule says of one cluster. */
export function decorateCluster(view: View, plan: ClusterPlan): void {
  const rules = read(plan, appliedRulesSlot) ?? '';
  const { service } = plan;
  const upgradeAll = view.mesh('h2UpgradePolicy') === 'UPGRADE';
  if (upgradeAll && plan.direction === 'outbound' && plan.protocol === 'http1' && rules === '')
    plan.protocol = 'http2';
  if (rules === '' || !service) return;
  const found = view.call(policyFor, rules, String(service.port), service.subset);
  if (!found) return;
  const { policy, origin } = found;
  const at = (field: string): Origin => ({ ...origin, path: `${origin.path}.${field}` });
  if (policy.loadBalancer) planLoadBalancer(plan, policy.loadBalancer, at('loadBalancer'));
  if (policy.connectionPool || policy.retryBudget) planPool(plan, policy, at('connectionPool'), upgradeAll);
  if (policy.outlierDetection) planOutlier(plan, policy.outlierDetection, at('outlierDetection'));
  if (policy.tls) planTls(plan, withCredential(view, rules, policy.tls), at('tls'));
  if (policy.loadBalancer?.simple === 'PASSTHROUGH') passThrough(view, plan);
}

function planLoadBalancer(
  plan: ClusterPlan,
  settings: NonNullable<TrafficPolicy['loadBalancer']>,
  origin: Origin,
): void {
  const { consistentHash, warmup } = settings;
  const balancer: LoadBalancerPlan = consistentHash
    ? consistentHash.maglev
      ? { type: 'maglev', tableSize: consistentHash.maglev.tableSize || 65_537 }
      : {
          type: 'ring-hash',
          minimumSize: consistentHash.ringHash?.minimumRingSize || consistentHash.minimumRingSize || 1024,
        }
    : simple(settings.simple);
  fill(plan, loadBalancerSlot, balancer, origin);
  if (settings.localityLbSetting?.distribute?.length)
    fill(plan, localitySharesSlot, true, { ...origin, path: `${origin.path}.localityLbSetting.distribute` });
  const hash = consistentHash && planHash(consistentHash);
  if (hash) fill(plan, hashSlot, hash, { ...origin, path: `${origin.path}.consistentHash` });
  const windowMs = parseDuration(warmup?.duration ?? settings.warmupDurationSecs);
  if (windowMs)
    fill(
      plan,
      warmupSlot,
      { windowMs, minimumPercent: warmup?.minimumPercent ?? 10, aggression: warmup?.aggression ?? 1 },
      { ...origin, path: `${origin.path}.warmup` },
    );
}

function simple(name: string | undefined): LoadBalancerPlan {
  switch (name) {
    case 'ROUND_ROBIN':
      return { type: 'round-robin' };
    case 'RANDOM':
      return { type: 'random' };
    case 'PASSTHROUGH':
      return { type: 'passthrough' };
    default:
      return { type: 'least-request' };
  }
}

function planHash(
  hash: NonNullable<NonNullable<TrafficPolicy['loadBalancer']>['consistentHash']>,
): HashPlan | undefined {
  if (hash.httpHeaderName) return { type: 'header', name: hash.httpHeaderName };
  if (hash.httpQueryParameterName) return { type: 'query', name: hash.httpQueryParameterName };
  if (hash.useSourceIp) return { type: 'source-ip' };
  if (!hash.httpCookie) return undefined;
  const { name, path, ttl, attributes } = hash.httpCookie;
  const ttlMs = parseDuration(ttl);
  return {
    type: 'cookie',
    name,
    path: path ?? '',
    ...(ttlMs === undefined ? {} : { ttlMs }),
    attributes: (attributes ?? []).map((attribute) => [attribute.name, attribute.value ?? ''] as const),
  };
}

function planPool(
  plan: ClusterPlan,
  policy: Pick<TrafficPolicy, 'connectionPool' | 'retryBudget'>,
  origin: Origin,
  upgradeAll: boolean,
): void {
  const { tcp = {}, http = {} } = policy.connectionPool ?? {};
  const budget = policy.retryBudget;
  fill(
    plan,
    circuitBreakerSlot,
    {
      ...(tcp.maxConnections ? { maxConnections: tcp.maxConnections } : {}),
      ...(http.http1MaxPendingRequests ? { maxPendingRequests: http.http1MaxPendingRequests } : {}),
      ...(http.http2MaxRequests ? { maxRequests: http.http2MaxRequests } : {}),
      ...(http.maxRetries ? { maxRetries: http.maxRetries } : {}),
      ...(budget
        ? {
            retryBudget: {
              percent: budget.percent ?? 20,
              minConcurrency: budget.minRetryConcurrency ?? 3,
              intervalMs: parseDuration(budget.budgetInterval) ?? 0,
            },
          }
        : {}),
    },
    origin,
  );
  const connectTimeoutMs = parseDuration(tcp.connectTimeout);
  if (connectTimeoutMs) fill(plan, connectTimeoutSlot, connectTimeoutMs, origin);
  if (tcp.tcpKeepalive) {
    const seconds = (text: string | undefined): number => Math.round((parseDuration(text) ?? 0) / 1000);
    const { probes, time, interval } = tcp.tcpKeepalive;
    fill(
      plan,
      keepaliveSlot,
      {
        ...(probes ? { probes } : {}),
        ...(seconds(time) ? { timeSeconds: seconds(time) } : {}),
        ...(seconds(interval) ? { intervalSeconds: seconds(interval) } : {}),
      },
      origin,
    );
  }
  planHttp(plan, tcp, http, origin, upgradeAll);
}

type Pool = NonNullable<TrafficPolicy['connectionPool']>;

function planHttp(
  plan: ClusterPlan,
  tcp: NonNullable<Pool['tcp']>,
  http: NonNullable<Pool['http']>,
  origin: Origin,
  upgradeAll: boolean,
): void {
  if (plan.protocol === 'tcp') return;
  const idleTimeoutMs = parseDuration(http.idleTimeout) ?? parseDuration(tcp.idleTimeout);
  const maxConnectionDurationMs = parseDuration(tcp.maxConnectionDuration);
  const keepaliveIntervalMs = parseDuration(http.http2KeepAlive?.interval);
  const keepaliveTimeoutMs = parseDuration(http.http2KeepAlive?.timeout);
  const options = {
    ...(idleTimeoutMs !== undefined ? { idleTimeoutMs } : {}),
    ...(maxConnectionDurationMs ? { maxConnectionDurationMs } : {}),
    ...(http.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
    ...(http.maxConcurrentStreams ? { maxConcurrentStreams: http.maxConcurrentStreams } : {}),
    ...(keepaliveIntervalMs ? { keepaliveIntervalMs } : {}),
    ...(keepaliveTimeoutMs ? { keepaliveTimeoutMs } : {}),
  };
  if (Object.keys(options).length > 0) fill(plan, httpOptionsSlot, options, origin);
  const upgrade =
    http.h2UpgradePolicy === 'UPGRADE' || (upgradeAll && http.h2UpgradePolicy !== 'DO_NOT_UPGRADE');
  if (plan.protocol === 'http1' && upgrade) plan.protocol = 'http2';
  else if (http.useClientProtocol) plan.protocol = 'http-auto';
}

function planOutlier(
  plan: ClusterPlan,
  settings: NonNullable<TrafficPolicy['outlierDetection']>,
  origin: Origin,
): void {
  fill(
    plan,
    outlierSlot,
    {
      consecutive5xx: settings.consecutive5xxErrors ?? (settings.consecutiveErrors || 5),
      consecutiveGatewayErrors: settings.consecutiveGatewayErrors ?? 0,
      consecutiveLocalFailures: settings.consecutiveLocalOriginFailures ?? 5,
      splitLocalErrors: settings.splitExternalLocalOriginErrors ?? false,
      intervalMs: parseDuration(settings.interval) ?? 10_000,
      baseEjectionMs: parseDuration(settings.baseEjectionTime) ?? 30_000,
      maxEjectionPercent: settings.maxEjectionPercent || 10,
      minHealthPercent: settings.minHealthPercent ?? 0,
    },
    origin,
  );
}

type TlsSettings = NonNullable<TrafficPolicy['tls']>;

/**
 * Secrets go to gateways, and to the sidecars that a rule selects: any other sidecar of the namespace would learn a key that
 * nobody meant for it, and uses the files that the rule names.
 */
function withCredential(view: View, rules: string, tls: TlsSettings): TlsSettings {
  if (!tls.credentialName) return tls;
  if (view.attribute(proxyType) === 'router' || view.call(selectsWorkloads, rules)) return tls;
  const { credentialName: _, ...files } = tls;
  return files;
}

/** No balancing at all: connections go where the application meant them, if the proxy knows. */
function passThrough(view: View, plan: ClusterPlan): void {
  const captured = view.attribute(captureMode);
  if (plan.discovery.type === 'eds' && captured !== 'explicit' && view.attribute(proxyType) === 'sidecar')
    plan.discovery = { type: 'original-destination' };
}

function planTls(plan: ClusterPlan, tls: TlsSettings, origin: Origin): void {
  const mode = tls.mode ?? 'DISABLE';
  if (mode === 'DISABLE') fill(plan, tlsChoiceSlot, 'none', origin);
  else if (mode === 'ISTIO_MUTUAL') fill(plan, tlsChoiceSlot, 'mesh', origin);
  else {
    fill(plan, tlsChoiceSlot, 'origination', origin);
    plan.tls = origination(plan, tls, mode);
    if (tls.credentialName) fill(plan, slowWarmingSlot, true, origin);
  }
}

/**
 * The machine's own trust anchors. Envoy compares names only where the anchors are named as a file; the path is Debian's, which
 * Envoy's images are made of.
 */
function systemTrust(comparesNames: boolean): TrustSource {
  return comparesNames ? { type: 'file', path: '/etc/ssl/certs/ca-certificates.crt' } : { type: 'system' };
}

function origination(plan: ClusterPlan, tls: TlsSettings, mode: 'SIMPLE' | 'MUTUAL'): UpstreamTls {
  const sans = tls.subjectAltNames ?? [];
  const secret = tls.credentialName ? `kubernetes://${tls.credentialName}` : undefined;
  const trust = tls.insecureSkipVerify
    ? undefined
    : secret
      ? ({ type: 'secret', name: `${secret}-cacert` } as const)
      : tls.caCertificates === 'system' || !tls.caCertificates
        ? systemTrust(sans.length > 0)
        : ({ type: 'file', path: tls.caCertificates, ...(tls.caCrl ? { crl: tls.caCrl } : {}) } as const);
  const client =
    mode !== 'MUTUAL'
      ? undefined
      : secret
        ? ({ type: 'secret', name: secret } as const)
        : ({
            type: 'files',
            certificate: tls.clientCertificate ?? '',
            privateKey: tls.privateKey ?? '',
          } as const);
  return {
    type: 'origination',
    sni: tls.sni ?? '',
    autoSni: !tls.sni && plan.protocol !== 'tcp',
    subjectAltNames: sans,
    ...(client ? { client } : {}),
    ...(trust ? { trust } : {}),
  };
}
