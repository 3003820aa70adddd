import type { Policy, RBAC } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { admits, isPrincipal, permits, type RbacFacts } from '../../src/simulate/rbac.ts';

/** What filters of type RBAC decide, one after another. */
export function evaluateFilters(
  filters: readonly { readonly rules?: RBAC | undefined }[],
  facts: RbacFacts,
): boolean {
  return filters.every(({ rules }) => rules === undefined || admits(rules, facts));
}

/**
 * How many of the conditions of each alternative of a policy hold: tells two policies apart whose many conditions hardly ever hold
 * together.
 */
export function conditionsHeld(policy: Policy, facts: RbacFacts): string {
  const permissions = policy.permissions.map((permission) => {
    const parts = permission.rule.case === 'andRules' ? permission.rule.value.rules : [permission];
    return `${parts.filter((part) => permits(part, facts)).length}/${parts.length}`;
  });
  const principals = policy.principals.map((principal) => {
    const parts = principal.identifier.case === 'andIds' ? principal.identifier.value.ids : [principal];
    return `${parts.filter((part) => isPrincipal(part, facts)).length}/${parts.length}`;
  });
  return `${permissions.join(' ')}; ${principals.join(' ')}`;
}

/** What these tests do not know of must not be overlooked. */
export function unknownCondition(condition: string): never {
  throw new Error(`${condition} is not known here`);
}
