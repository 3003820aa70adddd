import type { RoleIndex } from './role-index.ts';
import { ruleAllows } from './role-rules.ts';
import {
  type AccessAttributes,
  type AccessDecision,
  mastersGroup,
  type PolicyRule,
  type User,
} from './user.ts';

const everything: PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

/** RBAC over an index of roles: what no rule allows is denied. Members of `system:masters` may do everything. */
export function createAuthorizer(roles: RoleIndex) {
  return {
    async authorize(user: User, attributes: AccessAttributes): Promise<AccessDecision> {
      if (user.groups.includes(mastersGroup)) return { allowed: true, reason: `member of ${mastersGroup}` };
      const namespace = attributes.resource?.namespace ?? '';
      for (const { rule, from } of roles.rulesFor(user, namespace)) {
        if (ruleAllows(rule, attributes)) return { allowed: true, reason: `RBAC: allowed by ${from}` };
      }
      return { allowed: false, reason: '' };
    },
    async rulesFor(user: User, namespace: string): Promise<PolicyRule[]> {
      if (user.groups.includes(mastersGroup)) return everything;
      return roles.rulesFor(user, namespace).map(({ rule }) => rule);
    },
  };
}
