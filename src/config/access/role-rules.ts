import type { AccessAttributes, PolicyRule } from './user.ts';

/** Does one rule allow this? The rules of matching are those of Kubernetes' RBAC. */
export function ruleAllows(rule: PolicyRule, attributes: AccessAttributes): boolean {
  if (!includes(rule.verbs, attributes.verb)) return false;
  const { resource } = attributes;
  if (!resource) return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, attributes.path ?? ''));
  if (!includes(rule.apiGroups ?? [], resource.group)) return false;
  const full =
    resource.subresource === '' ? resource.resource : `${resource.resource}/${resource.subresource}`;
  const named = (rule.resources ?? []).some(
    (one) =>
      one === '*' || one === full || (resource.subresource !== '' && one === `*/${resource.subresource}`),
  );
  if (!named) return false;
  const names = rule.resourceNames ?? [];
  return names.length === 0 || names.includes(resource.name);
}

function includes(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

function urlMatches(pattern: string, path: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1));
}

/** The rules of `wanted` that the holder of `held` does not have in full: nobody can grant more than they have. */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(splitRule).filter((single) => !held.some((rule) => covers(rule, single)));
}

/** One rule as rules of a single verb, group, resource and name each. */
function splitRule(rule: PolicyRule): PolicyRule[] {
  const result: PolicyRule[] = [];
  for (const verb of rule.verbs) {
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const single = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (!rule.resourceNames?.length) result.push(single);
        for (const name of rule.resourceNames ?? []) result.push({ ...single, resourceNames: [name] });
      }
    }
    for (const url of rule.nonResourceURLs ?? []) result.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return result;
}

function covers(rule: PolicyRule, single: PolicyRule): boolean {
  if (!includes(rule.verbs, single.verbs[0] ?? '')) return false;
  const url = single.nonResourceURLs?.[0];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((one) => urlMatches(one, url));
  if (!includes(rule.apiGroups ?? [], single.apiGroups?.[0] ?? '')) return false;
  const resource = single.resources?.[0] ?? '';
  const subresource = resource.slice(resource.indexOf('/') + 1);
  const named = (rule.resources ?? []).some(
    (one) => one === '*' || one === resource || (resource.includes('/') && one === `*/${subresource}`),
  );
  if (!named) return false;
  const names = rule.resourceNames ?? [];
  return (
    names.length === 0 || (single.resourceNames?.[0] !== undefined && names.includes(single.resourceNames[0]))
  );
}

export function printRule(rule: PolicyRule): string {
  const parts = Object.entries(rule).map(([name, values]) => `${name}:${JSON.stringify(values)}`);
  return `{${parts.join(', ')}}`;
}
