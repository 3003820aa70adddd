import { create } from '@bufbuild/protobuf';
import {
  type RetryPolicy,
  RetryPolicy_RetryHostPredicateSchema,
  RetryPolicy_RetryPrioritySchema,
  RetryPolicySchema,
  type Route,
} from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '../../../../gen/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '../../../../gen/proto/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { duration, pack } from '../../../envoy/pack.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { type RetryPlan, retrySlot, safeRetry } from './schema.ts';

const previousHosts = create(RetryPolicy_RetryHostPredicateSchema, {
  name: 'envoy.retry_host_predicates.previous_hosts',
  configType: { case: 'typedConfig', value: pack(PreviousHostsPredicateSchema, {}) },
});
const previousPriorities = create(RetryPolicy_RetryPrioritySchema, {
  name: 'envoy.retry_priorities.previous_priorities',
  configType: { case: 'typedConfig', value: pack(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) },
});

/** What nearly every route has, made once. */
const safePolicy = policyOf(safeRetry);

export function emitRoute(plan: RoutePlan, message: Route): void {
  const retry = read(plan, retrySlot);
  if (!retry || message.action.case !== 'route') return;
  message.action.value.retryPolicy = retry === safeRetry ? safePolicy : policyOf(retry);
}

function policyOf(retry: RetryPlan): RetryPolicy {
  return create(RetryPolicySchema, {
    retryOn: retry.on,
    numRetries: retry.attempts,
    retriableStatusCodes: [...retry.statusCodes],
    ...(retry.perTryTimeoutMs !== undefined ? { perTryTimeout: duration(retry.perTryTimeoutMs) } : {}),
    ...(retry.backoffMs ? { retryBackOff: { baseInterval: duration(retry.backoffMs) } } : {}),
    ...(retry.avoidTriedHosts
      ? { retryHostPredicate: [previousHosts], hostSelectionRetryMaxAttempts: 5n }
      : {}),
    ...(retry.remoteLocalities ? { retryPriority: previousPriorities } : {}),
  });
}
