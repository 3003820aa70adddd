import type {
  XBackendTrafficPolicyRetryConstraint,
  XBackendTrafficPolicySpec,
  XBackendTrafficPolicyTargetRefs,
} from '../../../../gen/crd/types/gateway-api/x-backend-traffic-policy.ts';
import { compareText } from '../../../kit/maps.ts';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { fill } from '../../../plan/slot.ts';
import { configKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { retryBudgetSlot } from '../destination-rule/schema.ts';
import { ageOrder, ignoreAnnotation, namespaceOf, originIn, type ParentId } from './kinds.ts';
import { parentOfService } from './services.ts';

/** The experimental group: its kinds are named with it. */
const experimental = 'gateway.networking.x-k8s.io';
const kind = 'XBackendTrafficPolicy';
export const trafficPolicyName = `${experimental}/${kind}`;
export const trafficPolicyKind = configKind<XBackendTrafficPolicySpec>(trafficPolicyName);
export const allTrafficPolicies = defineIndex('gateway-api-traffic-policies', trafficPolicyKind, () => ['']);

/** What a target stands for; undefined for kinds that no policy can be about. */
function targetId(namespace: string, ref: XBackendTrafficPolicyTargetRefs): ParentId | undefined {
  return ref.kind === 'Service' && ref.group === '' ? `Service/${namespace}/${ref.name}` : undefined;
}

const byTarget = defineIndex('gateway-api-traffic-policies-by-target', trafficPolicyKind, (policy) =>
  (policy.spec?.targetRefs ?? []).flatMap((ref) => targetId(namespaceOf(policy), ref) ?? []),
);

/** The policies of a service that count, oldest first. */
const policiesOf = defineQuery('gateway-api.traffic-policies', (view, target: Key): readonly Key[] =>
  view
    .list(byTarget, target)
    .flatMap((key) => {
      const object = view.get(trafficPolicyKind, key);
      if (!object || object.metadata.annotations?.[ignoreAnnotation] === 'true') return [];
      return [{ key, order: ageOrder(object) }];
    })
    .sort((a, b) => compareText(a.order, b.order))
    .map(({ key }) => key),
);

type Field = 'retryConstraint' | 'sessionPersistence';

/** The policy that decides a field for a service: the oldest that says something of it; '' for none. */
const deciding = defineQuery('gateway-api.traffic-policy', (view, target: Key, field: Key): Key => {
  const found = view
    .call(policiesOf, target)
    .find((key) => view.get(trafficPolicyKind, key)?.spec?.[field as Field] !== undefined);
  return found ?? '';
});

const anyPolicy = defineQuery(
  'gateway-api.any-traffic-policy',
  (view): boolean => view.list(allTrafficPolicies, '').length > 0,
);

/** Fields of a policy that an older one decides for a target. */
export function outranked(view: View, policy: Key, ref: XBackendTrafficPolicyTargetRefs): readonly Field[] {
  const object = view.get(trafficPolicyKind, policy);
  const target = object && targetId(namespaceOf(object), ref);
  if (!object?.spec || target === undefined) return [];
  const { spec } = object;
  return (['retryConstraint', 'sessionPersistence'] as const).filter(
    (field) => spec[field] !== undefined && view.call(deciding, target, field) !== policy,
  );
}

/** Sessions that a service wants of the routes that lead to it alone (`namespace/name`), with the policy that says so. */
export function sessionOf(
  view: View,
  service: Key,
):
  | { readonly policy: Key; readonly session: NonNullable<XBackendTrafficPolicySpec['sessionPersistence']> }
  | undefined {
  if (!view.call(anyPolicy)) return undefined;
  const found = view.get(serviceKind, service);
  const policy = found ? view.call(deciding, parentOfService(found), 'sessionPersistence') : '';
  const session = policy === '' ? undefined : view.get(trafficPolicyKind, policy)?.spec?.sessionPersistence;
  return session && { policy, session };
}

/** Retries as a share of the requests under way; a DestinationRule's own budget goes first. */
export function decorateWithBudget(view: View, plan: ClusterPlan): void {
  const { service } = plan;
  if (plan.direction !== 'outbound' || !service || !view.call(anyPolicy)) return;
  const found = view.get(serviceKind, `${service.namespace}/${service.hostname}`);
  const policy = found ? view.call(deciding, parentOfService(found), 'retryConstraint') : '';
  const constraint = policy === '' ? undefined : view.get(trafficPolicyKind, policy)?.spec?.retryConstraint;
  if (!constraint) return;
  fill(plan, retryBudgetSlot, budgetOf(constraint), originIn(`${kind}/${policy}`, 'spec.retryConstraint'));
}

/**
 * Defaults are the API's. Its least rate is in retries a second; Envoy's least number is of retries at a time: a retry that takes no
 * longer than a second is within both.
 */
function budgetOf({ budget = {}, minRetryRate = {} }: XBackendTrafficPolicyRetryConstraint) {
  const seconds = (parseDuration(minRetryRate.interval) ?? 1_000) / 1_000;
  return {
    percent: budget.percent ?? 20,
    minConcurrency: Math.ceil((minRetryRate.count ?? 10) / Math.max(seconds, 0.001)),
    intervalMs: parseDuration(budget.interval) ?? 10_000,
  };
}
