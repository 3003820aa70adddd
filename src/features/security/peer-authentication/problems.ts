import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { isForAll, originOfPolicy, type PeerAuthentication, peerPoliciesIn, peerPolicy } from './schema.ts';

/** What a policy says in vain: a selector where none counts, ports without a workload, an older policy of the same level. */
export function peerAuthenticationProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'PeerAuthentication') return [];
  const policy = peerPolicy(object as PeerAuthentication);
  const problems: Problem[] = [];
  const report = (path: string, code: string, message: string): void => {
    problems.push({ origin: originOfPolicy(policy, path), code, message });
  };
  const inRoot = policy.namespace === view.mesh('rootNamespace');
  if (!isForAll(policy)) {
    if (inRoot)
      report(
        'spec.selector',
        'NotActedOn',
        `a selector in the root namespace ${policy.namespace} selects no workload: put the policy into the workload's namespace`,
      );
    return problems;
  }
  if (Object.keys(policy.ports).length > 0)
    report('spec.portLevelMtls', 'NotActedOn', 'ports are for one workload: add a selector');
  const oldest = view.call(peerPoliciesIn, policy.namespace).find(isForAll);
  if (oldest && oldest.name !== policy.name)
    report(
      '',
      'Overridden',
      `${oldest.name} is older and for the same ${inRoot ? 'mesh' : 'namespace'}: it alone counts; remove one of the two`,
    );
  return problems;
}
