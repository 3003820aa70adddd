import type { ConfigObject } from '../object.ts';
import type { RoleIndex } from './role-index.ts';
import { printRule, uncoveredRules } from './role-rules.ts';
import type { AccessAttributes, AccessDecision, PolicyRule, User } from './user.ts';

interface Checker {
  authorize(user: User, attributes: AccessAttributes): Promise<AccessDecision>;
  rulesFor(user: User, namespace: string): Promise<PolicyRule[]>;
}

export const rbacGroup = 'rbac.authorization.k8s.io';

/**
 * Nobody gives more than they have: writing a role needs all of its rules (or the verb `escalate`), writing a binding all
 * rules of its role (or the verb `bind`). Returns what is wrong, undefined when nothing is.
 */
export async function escalationProblem(
  user: User,
  kind: string,
  object: ConfigObject,
  access: Checker,
  roles: Pick<RoleIndex, 'rulesOf'>,
): Promise<string | undefined> {
  const { namespace = '', name } = object.metadata;
  if (kind === 'Role' || kind === 'ClusterRole') {
    const resource = kind === 'Role' ? 'roles' : 'clusterroles';
    if (await may(user, 'escalate', resource, namespace, name, access)) return undefined;
    const missing = await missingRules(user, namespace, (object.rules ?? []) as PolicyRule[], access);
    return missing ?? aggregationProblem(user, object, access);
  }
  if (kind !== 'RoleBinding' && kind !== 'ClusterRoleBinding') return undefined;
  const ref = object.roleRef as { kind: string; name: string };
  const resource = ref.kind === 'ClusterRole' ? 'clusterroles' : 'roles';
  if (await may(user, 'bind', resource, namespace, ref.name, access)) return undefined;
  const rules = roles.rulesOf(ref, namespace);
  if (!rules)
    return `the role ${ref.kind} "${ref.name}" does not exist: only who may "bind" it can refer to it before it does`;
  return missingRules(user, namespace, [...rules], access);
}

async function may(
  user: User,
  verb: string,
  resource: string,
  namespace: string,
  name: string,
  access: Checker,
): Promise<boolean> {
  const { allowed } = await access.authorize(user, {
    verb,
    resource: { group: rbacGroup, version: 'v1', resource, subresource: '', namespace, name },
  });
  return allowed;
}

async function missingRules(
  user: User,
  namespace: string,
  wanted: PolicyRule[],
  access: Checker,
): Promise<string | undefined> {
  const missing = uncoveredRules(await access.rulesFor(user, namespace), wanted);
  if (missing.length === 0) return undefined;
  const shown = missing.slice(0, 10).map(printRule).join('\n');
  return `user ${JSON.stringify(user.name)} (groups=${JSON.stringify(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${shown}`;
}

/** What a role gathers by labels cannot be known in advance: only who holds everything may write one. */
async function aggregationProblem(
  user: User,
  object: ConfigObject,
  access: Checker,
): Promise<string | undefined> {
  if (!object.aggregationRule) return undefined;
  return missingRules(user, '', [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], access);
}
