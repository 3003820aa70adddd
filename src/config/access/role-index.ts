import type { ConfigObject } from '../object.ts';
import type { PolicyRule, User } from './user.ts';

interface RoleRef {
  kind: string;
  name: string;
}

interface Subject {
  kind: string;
  name: string;
  namespace?: string;
}

interface Binding {
  /** For messages: `ClusterRoleBinding "x"`. */
  title: string;
  roleRef: RoleRef;
  subjects: readonly Subject[];
}

interface Role {
  rules: readonly PolicyRule[];
  aggregate: readonly Record<string, string>[];
  labels: Readonly<Record<string, string>>;
}

export interface HeldRule {
  rule: PolicyRule;
  /** The binding that gave it. */
  from: string;
}

const group = 'rbac.authorization.k8s.io';

/** The resources whose objects the index needs to hear of. */
export const roleResources: readonly string[] = [
  'roles',
  'clusterroles',
  'rolebindings',
  'clusterrolebindings',
].map((plural) => `${plural}.${group}`);

/** Roles and bindings in memory, fed with every change of them. */
export interface RoleIndex {
  set(resource: string, object: ConfigObject): void;
  delete(resource: string, namespace: string, name: string): void;
  clear(): void;
  /** Every rule that holds for a user in a namespace ('' for cluster-wide only). */
  rulesFor(user: User, namespace: string): HeldRule[];
  /** The rules of one role; undefined when there is none. */
  rulesOf(ref: RoleRef, namespace: string): readonly PolicyRule[] | undefined;
}

export function createRoleIndex(): RoleIndex {
  const roles = new Map<string, Role>();
  const clusterBindings = new Map<string, Binding>();
  const bindings = new Map<string, Map<string, Binding>>();
  const key = (namespace: string, name: string) => `${namespace}/${name}`;

  const rulesOf: RoleIndex['rulesOf'] = (ref, namespace) => {
    const role = roles.get(key(ref.kind === 'ClusterRole' ? '' : namespace, ref.name));
    if (!role) return undefined;
    if (role.aggregate.length === 0) return role.rules;
    const selected = [...roles.entries()].filter(
      ([id, one]) => id.startsWith('/') && one !== role && isSelected(role, one),
    );
    // Its own rules are only what was gathered last: a role that is gone must not live on in them.
    return selected.flatMap(([, one]) => one.rules);
  };

  const collect = (user: User, namespace: string, from: Iterable<Binding>, held: HeldRule[]) => {
    for (const binding of from) {
      if (!binding.subjects.some((subject) => isSubject(user, subject))) continue;
      const title = `${binding.title} of ${binding.roleRef.kind} "${binding.roleRef.name}"`;
      for (const rule of rulesOf(binding.roleRef, namespace) ?? []) held.push({ rule, from: title });
    }
  };

  return {
    set(resource, object) {
      const { name, namespace = '', labels = {} } = object.metadata;
      switch (resource) {
        case `roles.${group}`:
        case `clusterroles.${group}`:
          roles.set(key(namespace, name), {
            rules: rulesFrom(object.rules),
            aggregate: aggregateFrom(object),
            labels,
          });
          return;
        case `clusterrolebindings.${group}`:
          clusterBindings.set(name, bindingFrom(object, `ClusterRoleBinding "${name}"`));
          return;
        case `rolebindings.${group}`: {
          const inNamespace = bindings.get(namespace) ?? new Map<string, Binding>();
          bindings.set(namespace, inNamespace);
          inNamespace.set(name, bindingFrom(object, `RoleBinding "${name}/${namespace}"`));
        }
      }
    },
    delete(resource, namespace, name) {
      if (resource === `roles.${group}` || resource === `clusterroles.${group}`)
        roles.delete(key(namespace, name));
      if (resource === `clusterrolebindings.${group}`) clusterBindings.delete(name);
      if (resource !== `rolebindings.${group}`) return;
      bindings.get(namespace)?.delete(name);
      if (bindings.get(namespace)?.size === 0) bindings.delete(namespace);
    },
    clear() {
      roles.clear();
      clusterBindings.clear();
      bindings.clear();
    },
    rulesFor(user, namespace) {
      const held: HeldRule[] = [];
      collect(user, '', clusterBindings.values(), held);
      if (namespace !== '') collect(user, namespace, bindings.get(namespace)?.values() ?? [], held);
      return held;
    },
    rulesOf,
  };
}

function isSelected(role: Role, candidate: Role): boolean {
  return role.aggregate.some((labels) =>
    Object.entries(labels).every(([name, value]) => candidate.labels[name] === value),
  );
}

function isSubject(user: User, subject: Subject): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === user.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount':
      return user.name === `system:serviceaccount:${subject.namespace ?? ''}:${subject.name}`;
    default:
      return false;
  }
}

function rulesFrom(rules: unknown): PolicyRule[] {
  if (!Array.isArray(rules)) return [];
  return rules.filter((rule) => Array.isArray((rule as PolicyRule).verbs)) as PolicyRule[];
}

function aggregateFrom(object: ConfigObject): Record<string, string>[] {
  const selectors = (object.aggregationRule as { clusterRoleSelectors?: unknown } | undefined)
    ?.clusterRoleSelectors;
  if (!Array.isArray(selectors)) return [];
  return selectors
    .map((selector) => (selector as { matchLabels?: Record<string, string> }).matchLabels)
    .filter((labels) => labels !== undefined);
}

function bindingFrom(object: ConfigObject, title: string): Binding {
  return {
    title,
    roleRef: object.roleRef as RoleRef,
    subjects: Array.isArray(object.subjects) ? (object.subjects as Subject[]) : [],
  };
}
