import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { targetProblems } from '../../../plan/policy-scope.ts';
import type { View } from '../../../snapshot/view.ts';
import { providerOf } from './providers.ts';
import { type AuthorizationPolicy, policyOrigin } from './schema.ts';

/** What a policy asks for and cannot have. Where the answer would be unknown, it is a refusal. */
export function authorizationPolicyProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'AuthorizationPolicy') return [];
  const { spec = {}, metadata } = object as AuthorizationPolicy;
  const subject = { namespace: metadata.namespace ?? 'default', name: metadata.name };
  const problems = targetProblems(spec, (path) => policyOrigin(subject, path));
  if (spec.action === 'CUSTOM') {
    const name = spec.provider?.name ?? '';
    const provider = providerOf(view, name);
    const message = provider.ok
      ? provider.doubt && `provider ${name} cannot be asked: ${provider.doubt}`
      : `${provider.problem}: everything that the policy's rules match is refused`;
    if (message !== undefined)
      problems.push({ origin: policyOrigin(subject, 'spec.provider'), code: 'ProviderUnusable', message });
  }
  return problems;
}
