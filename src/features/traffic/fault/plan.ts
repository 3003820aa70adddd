import type {
  VirtualServiceHttpFault,
  VirtualServiceHttpFaultDelay,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { grpcStatusNames } from '../../../kit/grpc-status.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { httpRouteSlot } from '../virtual-service/schema.ts';
import { type FaultPlan, faultSlot } from './schema.ts';

/** A fault concerns the routes of its own HTTP route only. */
export function decorateRoute(_: View, route: RoutePlan): void {
  const fault = read(route, httpRouteSlot)?.fault;
  const origin = originOf(route, httpRouteSlot);
  if (!fault || !origin) return;
  const plan = planFault(fault);
  if (plan.delay || plan.abort) fill(route, faultSlot, plan, { ...origin, path: `${origin.path}.fault` });
}

export function planFault({ delay, abort }: VirtualServiceHttpFault): FaultPlan {
  const milliseconds = parseDuration(delay?.fixedDelay);
  const status = abort && abortStatus(abort);
  const delayed = delay ? shareOf(delay) : 0;
  const aborted = abort ? shareOf(abort) : 0;
  return {
    ...(milliseconds && delayed > 0 ? { delay: { milliseconds, percent: delayed } } : {}),
    ...(status && aborted > 0 ? { abort: { status, percent: aborted } } : {}),
  };
}

/**
 * Percent of the requests that a fault strikes: none unless somebody says so.
 * @see https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPFaultInjection-Abort
 */
export function shareOf({ percentage, percent }: VirtualServiceHttpFaultDelay): number {
  return (percentage ? percentage.value : percent) ?? 0;
}

function abortStatus(abort: NonNullable<VirtualServiceHttpFault['abort']>) {
  if (abort.httpStatus) return { type: 'http' as const, code: abort.httpStatus };
  const code = grpcStatusNames.indexOf((abort.grpcStatus ?? '').toUpperCase());
  return code < 0 ? undefined : { type: 'grpc' as const, code };
}
