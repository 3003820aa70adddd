import type { VirtualServiceHttpRetries } from '../../../../gen/crd/types/istio/virtual-service.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { httpRouteSlot } from '../virtual-service/schema.ts';
import { defaultAttempts, type RetryPlan, retrySlot, safeRetry } from './schema.ts';

/** Istio's conditions where `retries` names none. */
const requestedConditions = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';

export function decorateRoute(view: View, route: RoutePlan): void {
  if (route.action.type !== 'forward' || route.action.connect) return;
  const inbound = route.action.destinations.some(({ cluster }) => cluster.startsWith('inbound|'));
  if (inbound) {
    fill(route, retrySlot, inboundRetry, route.origin);
    return;
  }
  // Decided already, by a route of another API.
  if (read(route, retrySlot)) return;
  const own = read(route, httpRouteSlot)?.retries;
  const httpOrigin = originOf(route, httpRouteSlot);
  if (own && httpOrigin) {
    const plan = planRetry(own);
    if (plan) fill(route, retrySlot, plan, { ...httpOrigin, path: `${httpOrigin.path}.retries` });
    return;
  }
  const mesh = view.mesh('defaultHttpRetryPolicy') as VirtualServiceHttpRetries | null;
  const plan = mesh ? planRetry(mesh) : safeRetry;
  if (plan) fill(route, retrySlot, plan, route.origin);
}

/** The application's own connection may close just as it is used again; there is no other host to try. */
const inboundRetry: RetryPlan = Object.freeze({
  attempts: defaultAttempts,
  on: 'reset-before-request',
  statusCodes: [],
  avoidTriedHosts: false,
  remoteLocalities: false,
});

/** undefined: no retries (`attempts: 0`, which is also what it is without a number). */
export function planRetry(retries: VirtualServiceHttpRetries): RetryPlan | undefined {
  if (!retries.attempts) return undefined;
  const conditions = (retries.retryOn || requestedConditions)
    .split(',')
    .map((condition) => condition.trim())
    .filter((condition) => condition !== '');
  const statusCodes = conditions.filter((condition) => /^\d{3}$/.test(condition)).map(Number);
  const names = conditions.filter((condition) => !/^\d+$/.test(condition));
  if (statusCodes.length > 0 && !names.includes('retriable-status-codes'))
    names.push('retriable-status-codes');
  const perTryTimeoutMs = parseDuration(retries.perTryTimeout);
  const backoffMs = parseDuration(retries.backoff);
  return {
    attempts: retries.attempts,
    on: names.join(','),
    statusCodes,
    ...(perTryTimeoutMs !== undefined ? { perTryTimeoutMs } : {}),
    ...(backoffMs ? { backoffMs } : {}),
    avoidTriedHosts: retries.retryIgnorePreviousHosts ?? true,
    remoteLocalities: retries.retryRemoteLocalities ?? false,
  };
}
