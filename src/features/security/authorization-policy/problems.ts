import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { type AuthorizationPolicy, isTargeted, policyOrigin } from './schema.ts';

/** What a policy asks for and nothing does yet. Where the answer would be unknown, it is a refusal. */
export function authorizationPolicyProblems(_: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'AuthorizationPolicy') return [];
  const policy = object as AuthorizationPolicy;
  const { spec = {}, metadata } = policy;
  const subject = { namespace: metadata.namespace ?? 'default', name: metadata.name };
  const problems: Problem[] = [];
  if (isTargeted(policy))
    problems.push({
      origin: policyOrigin(subject, spec.targetRef ? 'spec.targetRef' : 'spec.targetRefs'),
      code: 'NotActedOn',
      message:
        'policies attached by reference are not acted on yet: name the workloads (or the gateway) by a selector',
    });
  else if (spec.action === 'CUSTOM')
    problems.push({
      origin: policyOrigin(subject, 'spec.provider'),
      code: 'NotActedOn',
      message: `the provider ${spec.provider?.name ?? ''} is not asked yet: everything that the policy's rules match is refused`,
    });
  return problems;
}
