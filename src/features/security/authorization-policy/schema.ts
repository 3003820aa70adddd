import type {
  AuthorizationPolicyRules,
  AuthorizationPolicySpec,
} from '../../../../gen/crd/types/istio/authorization-policy.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { definePolicyScope } from '../../../plan/policy-scope.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { Authorizer } from './providers.ts';

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
