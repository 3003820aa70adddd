import { create } from '@bufbuild/protobuf';
import type { FilterChain } from '../../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import {
  type Policy,
  type RBAC,
  RBACSchema,
  RBAC_Action as RbacAction,
} from '../../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema as HttpRbacSchema } from '../../../../gen/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RBACSchema as NetworkRbacSchema } from '../../../../gen/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { addMetadata, pack } from '../../../envoy/pack.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';
import type { HttpFilterFragment, NetworkFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { askedRulePrefix, authorizerPrefix, httpAuthorizer, networkAuthorizer } from './authorizers.ts';
import { buildRule, type RuleContext } from './rules.ts';
import {
  type Action,
  type AppliedPolicy,
  type AuthorizationPlan,
  allowPolicies,
  authorizationSlot,
  ruleName,
  shadowPrefix,
} from './schema.ts';

/** In the order in which they decide. */
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
    const asked = askedProviders(plan, http).map(
      (provider): Filter => ({
        suffix,
        ...shadow(build(plan, enforcedFor(own, provider), rbac, http), authorizerPrefix(provider)),
      }),
    );
    const enforced = own.filter((policy) => !policy.dryRun && !isAsked(plan, policy, http));
    const tried = own.filter(({ dryRun }) => dryRun);
    const rules = build(plan, enforced, rbac, http);
    const shadowRules = build(plan, tried, rbac, http);
    return [
      ...(rules || shadowRules
        ? [{ suffix, ...(rules ? { rules } : {}), ...shadow(shadowRules, shadowPrefix(action)) }]
        : []),
      ...(action === 'CUSTOM' ? asked.filter(({ shadowRules: some }) => some) : []),
    ];
  });
}

function shadow(
  rules: RBAC | undefined,
  prefix: string,
): Pick<Filter, 'shadowRules' | 'shadowRulesStatPrefix'> {
  return rules ? { shadowRules: rules, shadowRulesStatPrefix: prefix } : {};
}

/** The providers that CUSTOM policies ask here, sorted. An HTTP authorizer cannot be asked about a connection. */
export function askedProviders(plan: AuthorizationPlan, http: boolean): string[] {
  const names = plan.policies
    .filter((policy) => isAsked(plan, policy, http))
    .map(({ provider = '' }) => provider);
  return [...new Set(names)].sort();
}

function isAsked({ authorizers }: AuthorizationPlan, policy: AppliedPolicy, http: boolean): boolean {
  const authorizer =
    policy.action === 'CUSTOM' && !policy.dryRun ? authorizers?.[policy.provider ?? ''] : undefined;
  return authorizer !== undefined && (http || authorizer.protocol === 'grpc');
}

function enforcedFor(policies: readonly AppliedPolicy[], provider: string): AppliedPolicy[] {
  return policies.filter(
    (policy) => !policy.dryRun && policy.action === 'CUSTOM' && policy.provider === provider,
  );
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
      // They decide before tokens are looked at: what they ask about those must not let a request pass unasked.
      beforeTokens: policy.action === 'CUSTOM',
      trustDomains: plan.trustDomains,
      namespace: policy.namespace,
      ...(plan.port !== undefined ? { port: plan.port } : {}),
    };
    for (const [index, rule] of policy.rules.entries()) {
      const built = buildRule(rule, context);
      if (built) policies[nameOf(plan, policy, index, http)] = built;
    }
  }
  if (Object.keys(policies).length === 0 && action !== RbacAction.ALLOW) return undefined;
  return create(RBACSchema, { action, policies });
}

function nameOf(plan: AuthorizationPlan, policy: AppliedPolicy, index: number, http: boolean): string {
  const name = ruleName(policy, index);
  if (policy.action !== 'CUSTOM' || policy.dryRun) return name;
  return isAsked(plan, policy, http)
    ? `${askedRulePrefix(policy.provider ?? '')}${name}`
    : `${name}-deny-due-to-bad-CUSTOM-action`;
}

export function httpFilters(chain: FilterChainPlan): HttpFilterFragment[] {
  const plan = read(chain, authorizationSlot);
  if (!plan || chain.network.type !== 'http') return [];
  return [
    ...authorizationFilters(plan, true).map(({ suffix, ...fields }) => ({
      name: `envoy.filters.http.rbac.${suffix}`,
      config: pack(HttpRbacSchema, fields),
    })),
    ...askedProviders(plan, true).map((provider) => ({
      name: 'envoy.filters.http.ext_authz',
      config: httpAuthorizer(provider, plan.authorizers?.[provider] as Authorizer),
    })),
  ];
}

export function networkFilters(chain: FilterChainPlan): NetworkFilterFragment[] {
  const plan = read(chain, authorizationSlot);
  if (!plan || chain.network.type !== 'tcp') return [];
  return [
    ...authorizationFilters(plan, false).map(({ suffix, ...fields }) => ({
      name: `envoy.filters.network.rbac.${suffix}`,
      config: pack(NetworkRbacSchema, { ...fields, statPrefix: 'tcp.' }),
    })),
    ...askedProviders(plan, false).map((provider) => ({
      name: 'envoy.filters.network.ext_authz',
      config: networkAuthorizer(provider, plan.authorizers?.[provider] as Authorizer),
    })),
  ];
}

/** What access logs tell of a call that no rule let in: which policies could have. */
export function describeChain(chain: FilterChainPlan, message: FilterChain): void {
  const plan = read(chain, authorizationSlot);
  if (!plan) return;
  const allow = allowPolicies(plan, false);
  const tried = allowPolicies(plan, true);
  addMetadata(message, { ...(allow ? { allow } : {}), ...(tried ? { dry_run_allow: tried } : {}) });
}
