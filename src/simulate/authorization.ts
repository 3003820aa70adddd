import { type RBAC, RBAC_Action } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import type { Decision, PolicyReference, Step } from './call.ts';
import { callHeaders, pathOf } from './call-headers.ts';
import { askedProvider, policyOrigin } from './policy-names.ts';
import { effectivePolicy, policiesInOrder, type RbacFacts } from './rbac.ts';
import { assume, decide, type Walk } from './walk.ts';
import { otherPolicies } from './why.ts';

/** What RBAC filters of requests and of connections have in common. */
export interface RbacFilter {
  readonly rules?: RBAC | undefined;
  readonly matcher?: unknown;
  readonly shadowRules?: RBAC | undefined;
  readonly shadowMatcher?: unknown;
  readonly shadowRulesStatPrefix: string;
}

/** The filter under whose name RBAC filters leave what they decided. */
type Keeper = 'envoy.filters.http.rbac' | 'envoy.filters.network.rbac';

const actions = ['ALLOW', 'DENY', 'LOG'] as const;

/** The call as RBAC filters see it at this point of its way. */
export function rbacFacts(walk: Walk, http: boolean): RbacFacts {
  const { call } = walk;
  return {
    headers: http ? callHeaders(call) : {},
    path: http ? pathOf(call.path ?? '/') : undefined,
    destinationIp: call.address,
    destinationPort: call.port,
    sni: call.sni ?? '',
    principal: call.tls === 'mtls' ? call.identity : undefined,
    directRemoteIp: call.sourceAddress ?? '',
    remoteIp: (http ? walk.client : undefined) ?? call.sourceAddress ?? '',
    metadata: { ...walk.metadata },
    unknown: (condition) => assume(walk, `an RBAC ${condition} that is not simulated does not hold`),
  };
}

/** The name of the deciding rule, or `none`, where the call is refused; undefined: it goes on. */
export function judge(walk: Walk, filter: RbacFilter, keeper: Keeper): string | undefined {
  const facts = rbacFacts(walk, keeper === 'envoy.filters.http.rbac');
  if (filter.matcher !== undefined || filter.shadowMatcher !== undefined)
    assume(walk, 'an RBAC filter with a matcher tree lets the call pass');
  if (filter.shadowRules) tryOut(walk, filter.shadowRules, filter.shadowRulesStatPrefix, facts, keeper);
  if (!filter.rules) return undefined;
  const { rules } = filter;
  const policy = effectivePolicy(rules, facts);
  const action = actions[rules.action] ?? 'ALLOW';
  const others = () => otherPolicies(rules, facts);
  const refused = allows(rules, policy) ? undefined : (policy ?? 'none');
  if (action === 'LOG') {
    if (policy !== undefined) record(walk, policy, others, { verdict: 'observed', action });
  } else if (refused !== undefined)
    record(walk, policy ?? 'none', others, {
      verdict: 'refused',
      action: isCustom(policy) ? 'CUSTOM' : action,
      ...(policy === undefined
        ? { candidates: policiesInOrder(rules).map(([name]) => reference(name)) }
        : {}),
    });
  else if (policy !== undefined) record(walk, policy, others, { verdict: 'allowed', action });
  return refused;
}

/** LOG rules let everything pass. */
function allows({ action }: RBAC, policy: string | undefined): boolean {
  return action === RBAC_Action.LOG || (policy !== undefined) === (action === RBAC_Action.ALLOW);
}

/** Rules that decide nothing here: dry runs, and those that say whether somebody else is asked. */
function tryOut(walk: Walk, rules: RBAC, prefix: string, facts: RbacFacts, keeper: Keeper): void {
  const policy = effectivePolicy(rules, facts);
  const wouldAllow = allows(rules, policy);
  walk.metadata[keeper] = {
    ...walk.metadata[keeper],
    ...(policy === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: policy }),
    [`${prefix}shadow_engine_result`]: wouldAllow ? 'allowed' : 'denied',
  };
  if (policy !== undefined && askedProvider(policy) !== undefined) return;
  if (policy === undefined && rules.action !== RBAC_Action.ALLOW) return;
  record(walk, policy ?? 'none', () => otherPolicies(rules, facts), {
    verdict: 'observed',
    action: actions[rules.action] ?? 'ALLOW',
    wouldAllow,
    ...(policy === undefined ? { candidates: policiesInOrder(rules).map(([name]) => reference(name)) } : {}),
  });
}

function isCustom(policy: string | undefined): boolean {
  return policy?.endsWith('-deny-due-to-bad-CUSTOM-action') === true;
}

function reference(name: string): PolicyReference {
  const origin = policyOrigin(name);
  return { name, ...(origin ? { origin } : {}) };
}

function record(
  walk: Walk,
  policy: string,
  alternatives: NonNullable<Step['alternatives']>,
  decision: Decision,
): void {
  decide(walk, 'authorization', policy, decision, policyOrigin(policy), alternatives);
}
