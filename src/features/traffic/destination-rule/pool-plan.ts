import type { Origin } from '../../../config/origin.ts';
import { type ClusterPlan, httpOptionsSlot } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { fill, read } from '../../../plan/slot.ts';
import type { TrafficPolicy } from './policy.ts';
import {
  circuitBreakerSlot,
  connectTimeoutSlot,
  type KeepalivePlan,
  keepaliveSlot,
  outlierSlot,
  retryBudgetSlot,
} from './policy-plan.ts';

type Pool = NonNullable<TrafficPolicy['connectionPool']>;

export function planPool(plan: ClusterPlan, { tcp = {}, http = {} }: Pool, origin: Origin): void {
  const limits = {
    ...(tcp.maxConnections ? { maxConnections: tcp.maxConnections } : {}),
    ...(http.http1MaxPendingRequests ? { maxPendingRequests: http.http1MaxPendingRequests } : {}),
    ...(http.http2MaxRequests ? { maxRequests: http.http2MaxRequests } : {}),
    ...(http.maxRetries ? { maxRetries: http.maxRetries } : {}),
  };
  fill(plan, circuitBreakerSlot, limits, origin);
  const connectTimeoutMs = parseDuration(tcp.connectTimeout);
  if (connectTimeoutMs) fill(plan, connectTimeoutSlot, connectTimeoutMs, origin);
  if (tcp.tcpKeepalive) fill(plan, keepaliveSlot, keepalive(tcp.tcpKeepalive), origin);
  planHttp(plan, tcp, http, origin);
}

export function planRetryBudget(
  plan: ClusterPlan,
  budget: NonNullable<TrafficPolicy['retryBudget']>,
  origin: Origin,
): void {
  const retryBudget = {
    percent: budget.percent ?? 20,
    minConcurrency: budget.minRetryConcurrency ?? 3,
    intervalMs: parseDuration(budget.budgetInterval) ?? 0,
  };
  fill(plan, retryBudgetSlot, retryBudget, origin);
}

type Keepalive = NonNullable<NonNullable<Pool['tcp']>['tcpKeepalive']>;

export function keepalive({ probes, time, interval }: Keepalive): KeepalivePlan {
  const seconds = (text: string | undefined): number => Math.round((parseDuration(text) ?? 0) / 1000);
  return {
    ...(probes ? { probes } : {}),
    ...(seconds(time) ? { timeSeconds: seconds(time) } : {}),
    ...(seconds(interval) ? { intervalSeconds: seconds(interval) } : {}),
  };
}

function planHttp(
  plan: ClusterPlan,
  tcp: NonNullable<Pool['tcp']>,
  http: NonNullable<Pool['http']>,
  origin: Origin,
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
}

export function planOutlier(
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
  const { outlierDetectionHttpErrorCodes: errorStatuses = [] } = settings;
  // Its matcher repeats that 5xx are errors.
  const beyond = [...new Set(errorStatuses)].filter((status) => status < 500).sort((a, b) => a - b);
  if (beyond.length > 0 && plan.protocol !== 'tcp')
    fill(plan, httpOptionsSlot, { ...read(plan, httpOptionsSlot), errorStatuses: beyond }, origin);
}
