import type { ObjectStatusPlan, PlannedCondition } from '../../../../plan/object-status.ts';
import type { Key } from '../../../../snapshot/query.ts';
import type { View } from '../../../../snapshot/view.ts';
import { ignoreAnnotation, namespaceOf } from '../kinds.ts';
import { serviceOf } from '../services.ts';
import { outranked, trafficPolicyKind } from '../traffic-policy.ts';
import { accepted } from './conditions.ts';
import { meshControllerName } from './policy-status.ts';

type Policy = NonNullable<ReturnType<typeof policyOf>>;
type Target = NonNullable<Policy['spec']>['targetRefs'][number];

function policyOf(view: View, key: Key) {
  return view.get(trafficPolicyKind, key);
}

export function trafficPolicyStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  const policy = policyOf(view, key);
  if (!policy?.spec) return undefined;
  return {
    shared: {
      field: 'ancestors',
      by: 'ancestorRef',
      controllers: [meshControllerName],
      entries: policy.spec.targetRefs.map((ref) => ({
        controllerName: meshControllerName,
        ancestorRef: { group: ref.group, kind: ref.kind, name: ref.name },
        conditions: [conditionOf(view, key, policy, ref)],
      })),
    },
  };
}

function conditionOf(view: View, key: Key, policy: Policy, ref: Target): PlannedCondition {
  if (policy.metadata.annotations?.[ignoreAnnotation] === 'true')
    return accepted({
      reason: 'IgnoredByIstio',
      message: `the annotation ${ignoreAnnotation} asks to leave it alone`,
    });
  if (ref.kind !== 'Service' || ref.group !== '')
    return accepted({
      reason: 'Invalid',
      message: `${ref.group}/${ref.kind} ${ref.name} cannot be a target: Services can`,
    });
  const namespace = namespaceOf(policy);
  if (!serviceOf(view, namespace, ref.name))
    return accepted({ reason: 'TargetNotFound', message: `there is no Service ${namespace}/${ref.name}` });
  const lost = outranked(view, key, ref);
  const fields = (['retryConstraint', 'sessionPersistence'] as const).filter((field) => policy.spec?.[field]);
  if (lost.length > 0 && lost.length === fields.length)
    return accepted({ reason: 'Conflicted', message: 'an older policy decides the same for its target' });
  const notes = [
    ...(lost.length > 0 ? [`an older policy decides ${lost.join(' and ')}`] : []),
    ...(policy.spec?.sessionPersistence && !lost.includes('sessionPersistence')
      ? ['sessions are kept by Gateways, where a route leads to this service alone']
      : []),
  ];
  return accepted(undefined, ['it is valid and acted on', ...notes].join('; '));
}
