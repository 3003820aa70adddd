import { create } from '@bufbuild/protobuf';
import {
  type Policy,
  type RBAC,
  RBACSchema,
  RBAC_Action as RbacAction,
} from '../../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '../../../../gen/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../../../gen/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { pack } from '../../../envoy/pack.ts';
import type { HttpFilterFragment, NetworkFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { buildRule, type RuleContext } from './rules.ts';
import {
  type Action,
  type AppliedPolicy,
  type AuthorizationPlan,
  authorizationSlot,
  ruleName,
} from './schema.ts';

/** In the order in which they decide. A CUSTOM policy's provider is not asked yet: what it would decide is refused. */
const steps: readonly { readonly action: Action; readonly suffix: string; readonly rbac: RbacAction }[] = [
  { action: 'CUSTOM', suffix: 'custom', rbac: RbacAction.DENY },
  { action: 'AUDIT', suffix: 'audit', rbac: RbacAction.LOG },
  { action: 'DENY', suffix: 'deny', rbac: RbacAction.DENY },
  { action: 'ALLOW', suffix: 'allow', rbac: RbacAction.ALLOW },
];

interface Filter {
  readonly suffix: string;
  readonly rules?: RBAC;
  readonly shadowRules?: RBAC;
  readonly shadowRulesStatPrefix?: string;
}

/** The filters of a chain, in order; none without policies. */
export function authorizationFilters(plan: AuthorizationPlan, http: boolean): Filter[] {
  return steps.flatMap(({ action, suffix, rbac }): Filter[] => {
    const own = plan.policies.filter((policy) => policy.action === action);
    const enforced = own.filter(({ dryRun }) => !dryRun);
    const tried = own.filter(({ dryRun }) => dryRun);
    const rules = build(plan, enforced, rbac, http);
    const shadowRules = build(plan, tried, rbac, http);
    if (!rules && !shadowRules) return [];
    return [
      {
        suffix,
        ...(rules ? { rules } : {}),
        ...(shadowRules ? { shadowRules, shadowRulesStatPrefix: `istio_dry_run_${suffix}_` } : {}),
      },
    ];
  });
}

/**
 * ALLOW policies of which no rule can match still refuse everything: their filter stays, empty. Other actions without a rule do
 * nothing.
 */
function build(
  plan: AuthorizationPlan,
  applied: readonly AppliedPolicy[],
  action: RbacAction,
  http: boolean,
): RBAC | undefined {
  if (applied.length === 0) return undefined;
  const policies: Record<string, Policy> = {};
  for (const policy of applied) {
    const context: RuleContext = {
      http,
      unknown: action === RbacAction.DENY ? 'ignored' : 'never',
      trustDomains: plan.trustDomains,
      namespace: policy.namespace,
      ...(plan.port !== undefined ? { port: plan.port } : {}),
    };
    for (const [index, rule] of policy.rules.entries()) {
      const built = buildRule(rule, context);
      if (built) policies[nameOf(policy, index)] = built;
    }
  }
  if (Object.keys(policies).length === 0 && action !== RbacAction.ALLOW) return undefined;
  return create(RBACSchema, { action, policies });
}

function nameOf(policy: AppliedPolicy, index: number): string {
  const name = ruleName(policy, index);
  return policy.action === 'CUSTOM' ? `${name}-deny-due-to-bad-CUSTOM-action` : name;
}

export function httpFilters(chain: FilterChainPlan): HttpFilterFragment[] {
  const plan = read(chain, authorizationSlot);
  if (!plan || chain.network.type !== 'http') return [];
  return authorizationFilters(plan, true).map(({ suffix, ...fields }) => ({
    name: `envoy.filters.http.rbac.${suffix}`,
    config: pack(HttpRbacSchema, fields),
  }));
}

export function networkFilters(chain: FilterChainPlan): NetworkFilterFragment[] {
  const plan = read(chain, authorizationSlot);
  if (!plan || chain.network.type !== 'tcp') return [];
  return authorizationFilters(plan, false).map(({ suffix, ...fields }) => ({
    name: `envoy.filters.network.rbac.${suffix}`,
    config: pack(NetworkRbacSchema, { ...fields, statPrefix: 'tcp.' }),
  }));
}
