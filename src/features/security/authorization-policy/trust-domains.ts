/**
 * A principal that names the mesh's trust domain, one of its aliases, or `cluster.local` (which always means the own one) holds for
 * all of them. Principals of other trust domains, and patterns that do not name one, stay as they are.
 * @see https://istio.io/latest/docs/tasks/security/authorization/authz-td-migration/
 */
export function withAliases(principals: readonly string[], trustDomains: readonly string[]): string[] {
  return [...new Set(principals.flatMap((principal) => expand(principal, trustDomains)))];
}

function expand(principal: string, trustDomains: readonly string[]): string[] {
  const parts = principal.split('/');
  const [domain, ...rest] = parts;
  if (parts.length !== 5 || domain === undefined) return [principal];
  const covers = (candidate: string): boolean =>
    domain.startsWith('*') ? candidate.endsWith(domain.slice(1)) : candidate === domain;
  if (domain !== 'cluster.local' && !trustDomains.some(covers)) return [principal];
  return trustDomains.map((candidate) => (covers(candidate) ? principal : [candidate, ...rest].join('/')));
}
