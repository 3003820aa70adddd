import type {
  AuthorizationPolicySpec,
  AuthorizationPolicyRulesToOperation as Operation,
  AuthorizationPolicyRules as Rule,
  AuthorizationPolicyRulesFromSource as Source,
} from '../../gen/crd/types/istio/authorization-policy.ts';

/**
 * What Istio's documentation says of AuthorizationPolicy, as a program that shares nothing with the emitter: values are compared
 * as they are, identities are taken apart instead of matched.
 * @see https://istio.io/latest/docs/reference/config/security/authorization-policy/
 * @see https://istio.io/latest/docs/reference/config/security/conditions/
 */
export interface PolicyObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: AuthorizationPolicySpec;
}

export interface Caller {
  /** Parts of the identity that mutual TLS proved; undefined in plaintext. */
  readonly identity?: { readonly trustDomain: string; readonly namespace: string; readonly account: string };
  readonly ip: string;
  readonly remoteIp: string;
}

export interface AskedCall {
  readonly caller: Caller;
  /** Absent for a TCP connection. */
  readonly http?: {
    readonly method: string;
    readonly path: string;
    readonly host: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly token?: { readonly iss: string; readonly sub: string; readonly [claim: string]: unknown };
  };
  readonly ip: string;
  readonly port: number;
  readonly sni: string;
}

export interface ReferenceMesh {
  readonly trustDomains: readonly string[];
}

/** Whether the call is let in by policies that all apply to the workload. */
export function isAllowed(policies: readonly PolicyObject[], call: AskedCall, mesh: ReferenceMesh): boolean {
  const enforced = policies.filter(({ metadata }) => metadata.annotations?.['istio.io/dry-run'] !== 'true');
  const of = (action: string) => enforced.filter(({ spec }) => (spec.action ?? 'ALLOW') === action);
  const matches = (policy: PolicyObject, mode: Mode) =>
    (policy.spec.rules ?? []).some((rule) => ruleMatches(rule, call, policy.metadata.namespace, mesh, mode));
  // No provider can be asked: what a CUSTOM policy matches is refused.
  // It decides before tokens are looked at, so that it goes without what it asks about them.
  if (of('CUSTOM').some((policy) => matches(withoutTokens(policy), 'deny'))) return false;
  if (of('DENY').some((policy) => matches(policy, 'deny'))) return false;
  const allow = of('ALLOW');
  return allow.length === 0 || allow.some((policy) => matches(policy, 'allow'));
}

function withoutTokens({ metadata, spec }: PolicyObject): PolicyObject {
  const rules = (spec.rules ?? []).map(
    ({ from = [], when = [], ...rule }): Rule => ({
      ...rule,
      from: from.map(({ source: { requestPrincipals: _, notRequestPrincipals: __, ...source } = {} }) => ({
        source,
      })),
      when: when.filter(({ key }) => !key.startsWith('request.auth.')),
    }),
  );
  return { metadata, spec: { ...spec, rules } };
}

/** How a field of HTTP counts on a TCP connection: `allow` rules never match, `deny` rules go without it. */
type Mode = 'allow' | 'deny';

function ruleMatches(
  rule: Rule,
  call: AskedCall,
  namespace: string,
  mesh: ReferenceMesh,
  mode: Mode,
): boolean {
  if (!call.http && mode === 'allow' && usesHttp(rule)) return false;
  const when = (rule.when ?? []).every(({ key, values, notValues }) => {
    if (!call.http && isHttpKey(key)) return true;
    const has = (list: readonly string[]) =>
      list.some((value) => attributeIs(key, value, call, namespace, mesh));
    return (!values?.length || has(values)) && (!notValues?.length || !has(notValues));
  });
  const from =
    !rule.from?.length || rule.from.some(({ source }) => sourceMatches(source ?? {}, call, namespace, mesh));
  const to = !rule.to?.length || rule.to.some(({ operation }) => operationMatches(operation ?? {}, call));
  return from && to && when;
}

function isHttpKey(key: string): boolean {
  return key.startsWith('request.');
}

function usesHttp(rule: Rule): boolean {
  const http = [
    'requestPrincipals',
    'notRequestPrincipals',
    'hosts',
    'notHosts',
    'methods',
    'notMethods',
    'paths',
    'notPaths',
  ];
  const parts = [
    ...(rule.from ?? []).map(({ source }) => source),
    ...(rule.to ?? []).map(({ operation }) => operation),
  ];
  return (
    parts.some((part) =>
      Object.entries(part ?? {}).some(([name, list]) => http.includes(name) && list.length > 0),
    ) || (rule.when ?? []).some(({ key }) => isHttpKey(key))
  );
}

/** Every list of a source or an operation: one of the values, none of the `not` ones. */
function listsHold(lists: object, holds: (field: string, value: string) => boolean | undefined): boolean {
  return Object.entries(lists as Record<string, string[]>).every(([name, values]) => {
    if (values.length === 0) return true;
    const negative = /^not[A-Z]/.test(name);
    const field = negative ? name.charAt(3).toLowerCase() + name.slice(4) : name;
    const answers = values.map((value) => holds(field, value));
    if (answers.includes(undefined)) return true;
    return answers.includes(true) !== negative;
  });
}

function sourceMatches(source: Source, call: AskedCall, namespace: string, mesh: ReferenceMesh): boolean {
  const keys: Record<string, string> = {
    principals: 'source.principal',
    namespaces: 'source.namespace',
    serviceAccounts: 'source.serviceAccount',
    trustDomains: 'source.trustDomain',
    requestPrincipals: 'request.auth.principal',
    ipBlocks: 'source.ip',
    remoteIpBlocks: 'remote.ip',
  };
  return listsHold(source, (field, value) => {
    const key = keys[field] as string;
    return !call.http && isHttpKey(key) ? undefined : attributeIs(key, value, call, namespace, mesh);
  });
}

function operationMatches(operation: Operation, call: AskedCall): boolean {
  return listsHold(operation, (field, value) => {
    if (field === 'ports') return Number(value) === call.port;
    if (!call.http) return undefined;
    const { host, method, path } = call.http;
    if (field === 'hosts') return text(value.toLowerCase(), host.toLowerCase());
    return field === 'methods' ? text(value, method) : pathIs(value, path.split('?')[0] ?? '');
  });
}

/** Exact, prefix `abc*`, suffix `*abc`, presence `*`. */
function text(pattern: string, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (pattern === '*') return value !== '';
  if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1));
  if (pattern.endsWith('*')) return value.startsWith(pattern.slice(0, -1));
  return value === pattern;
}

function pathIs(pattern: string, path: string): boolean {
  if (!pattern.includes('{')) return text(pattern, path);
  const walk = (wanted: readonly string[], given: readonly string[]): boolean => {
    const [first, ...rest] = wanted;
    if (first === undefined) return given.length === 0;
    if (first === '{**}')
      return given.length === 0
        ? false
        : Array.from({ length: given.length }, (_, n) => n + 1).some((n) => walk(rest, given.slice(n)));
    const [segment, ...others] = given;
    if (segment === undefined) return false;
    return (first === '{*}' ? segment !== '' : first === segment) && walk(rest, others);
  };
  return walk(pattern.split('/'), path.split('/'));
}

function attributeIs(
  key: string,
  value: string,
  call: AskedCall,
  policyNamespace: string,
  mesh: ReferenceMesh,
): boolean {
  const { caller, http } = call;
  const { identity } = caller;
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    const found = http?.headers[header.toLowerCase()];
    return value === '*' ? found !== undefined : text(value, found);
  }
  const claim = /^request\.auth\.claims\[(.+)\]$/.exec(key)?.[1];
  if (claim !== undefined) return claimIs(value, claim.split(']['), http?.token);
  switch (key) {
    case 'source.ip':
      return within(value, caller.ip);
    case 'remote.ip':
      return within(value, caller.remoteIp);
    case 'destination.ip':
      return within(value, call.ip);
    case 'destination.port':
      return Number(value) === call.port;
    case 'connection.sni':
      return text(value, call.sni);
    case 'source.namespace':
      return identity !== undefined && (value === '*' || text(value, identity.namespace));
    case 'source.trustDomain':
      return identity !== undefined && text(value, identity.trustDomain);
    case 'source.serviceAccount': {
      const [namespace, account] = value.includes('/') ? value.split('/') : [policyNamespace, value];
      return identity?.namespace === namespace && identity?.account === account;
    }
    case 'source.principal':
      return identity !== undefined && principalIs(value, identity, mesh);
    case 'request.auth.principal':
      return http?.token !== undefined && text(value, `${http.token.iss}/${http.token.sub}`);
    case 'request.auth.audiences':
      return claimIs(value, ['aud'], http?.token);
    case 'request.auth.presenter':
      return claimIs(value, ['azp'], http?.token);
    default:
      throw new Error(`${key} is not known to the reference`);
  }
}

function claimIs(pattern: string, path: readonly string[], token: unknown): boolean {
  let found: unknown = token;
  for (const step of path) found = (found as Record<string, unknown> | undefined)?.[step];
  const values = Array.isArray(found) ? found : [found];
  return values.some((value) => typeof value === 'string' && text(pattern, value));
}

/** A caller of any of the mesh's trust domains is the same account under each of its names. */
function principalIs(
  pattern: string,
  { trustDomain, namespace, account }: NonNullable<Caller['identity']>,
  mesh: ReferenceMesh,
): boolean {
  const as = (domain: string) => `${domain}/ns/${namespace}/sa/${account}`;
  if (text(pattern, as(trustDomain))) return true;
  // Only a principal that names a whole identity stands for its aliases.
  if (pattern.split('/').length !== 5 || !mesh.trustDomains.includes(trustDomain)) return false;
  return [...mesh.trustDomains, 'cluster.local'].some((domain) => text(pattern, as(domain)));
}

function within(range: string, address: string): boolean {
  const bits = (ip: string) =>
    ip
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [base = '', length = '32'] = range.split('/');
  return bits(address).startsWith(bits(base).slice(0, Number(length)));
}
