import type { Origin } from '../config/origin.ts';
import { buildRule, type RuleContext } from '../features/security/authorization-policy/rules.ts';
import { type AppliedPolicy, policyOrigin } from '../features/security/authorization-policy/schema.ts';
import { policyMatches, type RbacFacts } from '../simulate/rbac.ts';
import type { CallRecord } from './call-record.ts';
import { type Term, termsOf } from './rule-terms.ts';

/** Whether something holds for a recorded call; `unknown`: the record does not say. */
export type Holds = 'yes' | 'no' | 'unknown';

/** One condition of a rule, and how a call fares with it. */
export interface JudgedCondition {
  /** The field: `spec.rules[0].to[0].operation.methods`. */
  readonly path: string;
  readonly holds: Holds;
  /** What is asked for, as people read it: `methods GET, HEAD`. */
  readonly wanted: string;
  /** What the call had. */
  readonly found: string;
}

export interface JudgedRule {
  readonly origin: Origin;
  readonly holds: Holds;
  /** Of the alternatives in `from` and `to` that come nearest. */
  readonly conditions: readonly JudgedCondition[];
}

/** The mesh's trust domain and its aliases, in that order. */
export type TrustDomains = readonly string[];

/** Values shown of one condition. */
const shownValues = 4;

/** How each rule of a policy judges a call: each field becomes the proxies' own matcher and is asked as Envoy asks it. */
export function judgePolicy(
  policy: AppliedPolicy,
  call: CallRecord,
  trustDomains: TrustDomains,
): JudgedRule[] {
  const context: RuleContext = {
    http: call.type === 'http',
    unknown: policy.action === 'ALLOW' ? 'never' : 'ignored',
    trustDomains,
    namespace: policy.namespace,
    ...(call.port === undefined ? {} : { port: call.port }),
  };
  const facts = factsOf(call);
  const judge = (term: Term): JudgedCondition => {
    const built = buildRule(term.alone, context);
    const holds = built && policyMatches(built, facts) ? 'yes' : 'no';
    const values = term.values.slice(0, shownValues).join(', ');
    const more = term.values.length > shownValues ? `, … (${term.values.length})` : '';
    return {
      path: term.path,
      holds: isKnown(term.attribute, call) ? holds : 'unknown',
      wanted: `${term.attribute} ${term.negative ? 'not ' : ''}${values}${more}`,
      found: foundOf(term.attribute, call),
    };
  };
  return policy.rules.map((rule, index) => {
    const { from, to, when } = termsOf(rule, index);
    const conditions = [
      ...nearest(from.map((terms) => terms.map(judge))),
      ...nearest(to.map((terms) => terms.map(judge))),
      ...when.map(judge),
    ];
    return {
      origin: policyOrigin(policy, `spec.rules[${index}]`),
      holds: together(conditions.map(({ holds }) => holds)),
      conditions,
    };
  });
}

/** The rule that came nearest to taking a call: with the fewest conditions that failed. undefined: there is no rule at all. */
export function nearestRule(
  policies: readonly AppliedPolicy[],
  call: CallRecord,
  trustDomains: TrustDomains,
): JudgedRule | undefined {
  return policies
    .flatMap((policy) => judgePolicy(policy, call, trustDomains))
    .toSorted((a, b) => distance(a.conditions) - distance(b.conditions))[0];
}

/** What policies that all apply do to a call together. `unknown`: it depends on what the record does not say. */
export function admits(
  policies: readonly AppliedPolicy[],
  call: CallRecord,
  trustDomains: TrustDomains,
): Holds {
  const any = (action: string): Holds => {
    const verdicts = policies
      .filter((policy) => policy.action === action)
      .flatMap((policy) => judgePolicy(policy, call, trustDomains).map(({ holds }) => holds));
    return verdicts.includes('yes') ? 'yes' : verdicts.includes('unknown') ? 'unknown' : 'no';
  };
  const refused = any('DENY');
  const allowed = policies.some(({ action }) => action === 'ALLOW') ? any('ALLOW') : 'yes';
  if (refused === 'yes' || allowed === 'no') return 'no';
  return together([refused === 'unknown' ? 'unknown' : 'yes', allowed]);
}

function together(all: readonly Holds[]): Holds {
  return all.includes('no') ? 'no' : all.includes('unknown') ? 'unknown' : 'yes';
}

function distance(conditions: readonly JudgedCondition[]): number {
  const count = (wanted: Holds) => conditions.filter(({ holds }) => holds === wanted).length;
  return count('no') * 1_000 + count('unknown') - conditions.length / 1_000;
}

/** Of alternatives one is enough: that with the fewest failures. */
function nearest(alternatives: readonly (readonly JudgedCondition[])[]): readonly JudgedCondition[] {
  return alternatives.toSorted((a, b) => distance(a) - distance(b))[0] ?? [];
}

function factsOf(call: CallRecord): RbacFacts {
  const http = call.type === 'http';
  const { ip, port } = splitAddress(call.local);
  return {
    headers: http ? { ':method': call.method, ':authority': call.authority } : {},
    path: http ? call.path : undefined,
    destinationIp: ip,
    destinationPort: call.port ?? port,
    sni: call.sni ?? '',
    principal: call.principal,
    directRemoteIp: splitAddress(call.peer ?? call.client).ip,
    remoteIp: splitAddress(call.client).ip,
    metadata: call.token
      ? { 'envoy.filters.http.jwt_authn': { payload: { iss: call.token.issuer, sub: call.token.subject } } }
      : {},
  };
}

/** Headers are not recorded, nor claims beyond who issued a token for whom. */
function isKnown(attribute: string, { token, sni }: CallRecord): boolean {
  if (/^request\.auth\.(claims\[|audiences|presenter)/.test(attribute)) return token === undefined;
  if (attribute === 'connection.sni') return sni !== undefined;
  if (attribute.startsWith('request.headers['))
    return /^request\.headers\[:(method|authority)\]$/i.test(attribute);
  return !attribute.startsWith('experimental.');
}

function foundOf(attribute: string, call: CallRecord): string {
  const identity = call.principal?.replace(/^spiffe:\/\//, '');
  const [, trustDomain, namespace, account] = /^([^/]+)\/ns\/([^/]+)\/sa\/(.+)$/.exec(identity ?? '') ?? [];
  const nobody = 'no certificate';
  switch (attribute) {
    case 'source.principal':
      return identity ?? nobody;
    case 'source.namespace':
      return namespace ?? nobody;
    case 'source.serviceAccount':
      return account === undefined ? nobody : `${namespace}/${account}`;
    case 'source.trustDomain':
      return trustDomain ?? nobody;
    case 'source.ip':
      return splitAddress(call.peer ?? call.client).ip;
    case 'remote.ip':
      return splitAddress(call.client).ip;
    case 'request.auth.principal':
      return call.token ? `${call.token.issuer}/${call.token.subject}` : 'no token';
    case 'hosts':
      return call.authority ?? 'no request';
    case 'methods':
      return call.method ?? 'no request';
    case 'paths':
      return call.path ?? 'no request';
    case 'ports':
    case 'destination.port':
      return String(call.port ?? splitAddress(call.local).port);
    case 'destination.ip':
      return splitAddress(call.local).ip;
    case 'connection.sni':
      return call.sni ?? 'not recorded';
    default:
      return /^request\.auth\./.test(attribute) && !call.token ? 'no token' : 'not recorded';
  }
}

/** `127.0.0.1:80` and `[::1]:80`. */
export function splitAddress(address: string | undefined): { readonly ip: string; readonly port: number } {
  const [, ip = '', port = '0'] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(address ?? '') ?? [];
  return { ip, port: Number(port) };
}
