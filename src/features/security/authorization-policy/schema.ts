import type {
  AuthorizationPolicyRules,
  AuthorizationPolicySpec,
} from '../../../../gen/crd/types/istio/authorization-policy.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { boundedList } from '../../../kit/bounded-list.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';
import { definePolicyScope } from '../../../plan/policy-scope.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';

export type AuthorizationPolicy = ConfigObject<AuthorizationPolicySpec>;
export type Rule = AuthorizationPolicyRules;
export type Action = 'CUSTOM' | 'AUDIT' | 'DENY' | 'ALLOW';

export const authorizationPolicyKind = configKind<AuthorizationPolicySpec>('AuthorizationPolicy');

export const authorizationScope = definePolicyScope('authorization', authorizationPolicyKind);

/** A policy that applies to a workload. */
export interface AppliedPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: Action;
  /** Judged and counted, never enforced. */
  readonly dryRun: boolean;
  /** Of CUSTOM policies. */
  readonly provider?: string;
  /** Empty: matches nothing. */
  readonly rules: readonly Rule[];
}

/** What decides on a chain's requests or connections. */
export interface AuthorizationPlan {
  readonly policies: readonly AppliedPolicy[];
  /** The mesh's trust domain and its aliases, in that order: they stand for each other in principals. */
  readonly trustDomains: readonly string[];
  /** Whom CUSTOM policies ask, by provider name; one that is not here cannot be asked: what its policies match is refused. */
  readonly authorizers?: Readonly<Record<string, Authorizer>>;
  /** What `ports` and `destination.port` are compared with, where the chain listens on an allocated port. */
  readonly port?: number;
}

export const authorizationSlot = defineSlot<AuthorizationPlan>('authorization');

export function policyOrigin(policy: Pick<AppliedPolicy, 'namespace' | 'name'>, path: string): Origin {
  return { kind: 'AuthorizationPolicy', namespace: policy.namespace, name: policy.name, path };
}

export function appliedPolicy({ metadata, spec = {} }: AuthorizationPolicy): AppliedPolicy {
  return {
    namespace: metadata.namespace ?? 'default',
    name: metadata.name,
    action: spec.action ?? 'ALLOW',
    dryRun: metadata.annotations?.['istio.io/dry-run'] === 'true',
    ...(spec.provider?.name ? { provider: spec.provider.name } : {}),
    rules: spec.rules ?? [],
  };
}

/** The name under which a rule travels; Envoy puts it into the response code details of a refusal. */
export function ruleName({ namespace, name }: AppliedPolicy, index: number): string {
  return `ns[${namespace}]-policy[${name}]-rule[${index}]`;
}

/** Before the names of what a filter leaves in a call's metadata about the policies in dry run. */
export function shadowPrefix(action: Action): string {
  return `istio_dry_run_${action.toLowerCase()}_`;
}

/** Where Envoy leaves `allowed` or `denied`: what policies in dry run would have done. */
export function shadowResultKey(action: Action): string {
  return `${shadowPrefix(action)}shadow_engine_result`;
}

/** Longest list of policies that a chain carries, in bytes. */
const longestList = 1_024;

/**
 * The ALLOW policies in force, `namespace/name` each: Envoy says `none` of a call that no rule of them let in, and these are the ones that could
 * have. `dryRun`: those in dry run instead. Cut at 1 KiB, with the number of those left out.
 */
export function allowPolicies({ policies }: AuthorizationPlan, dryRun: boolean): string {
  const names = policies
    .filter((policy) => policy.action === 'ALLOW' && policy.dryRun === dryRun)
    .map(({ namespace, name }) => `${namespace}/${name}`);
  return boundedList(names, longestList);
}
