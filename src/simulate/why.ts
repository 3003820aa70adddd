import type { CidrRange } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Permission, Policy, Principal, RBAC } from '../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import type { RouteMatch, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Origin } from '../config/origin.ts';
import type { Call } from './call.ts';
import { callHeaders, pathOf } from './call-headers.ts';
import { covers } from './covers.ts';
import { type ConnectionFacts, criteria, matchFilterChains } from './filter-chain.ts';
import { type CallMetadata, metadataMatches } from './match-metadata.ts';
import { headerMatches, queryParameterMatches } from './match-text.ts';
import { policyOrigin } from './policy-names.ts';
import { effectivePolicy, isPrincipal, permits, policiesInOrder, type RbacFacts } from './rbac.ts';
import { bestDomain, pathMatches, queryOf, routeMatches } from './route.ts';
import { hostMetadata, originIn } from './walk.ts';
import {
  headerName,
  headerWords,
  metadataWords,
  pathWords,
  permissionWords,
  principalWords,
  queryWords,
} from './words.ts';

/*
 * Why something did not decide a call. The functions are pure; the walk calls none of them.
 */

/** What lost a choice. */
export interface Alternative {
  readonly name: string;
  readonly origin?: Origin;
  /** In words, such as `path prefix /a does not match /b`. */
  readonly why: string;
  /** It would have taken the call, had nothing else. */
  readonly matches: boolean;
  /** Of rules of policies: how many of their conditions fail. */
  readonly failing?: number;
  /** No call ever gets to it: what takes all of its calls before it. */
  readonly hiddenBy?: string;
}

const shown = (value: string | undefined): string => (value === undefined ? 'absent' : `"${value}"`);

/** The first condition of a route that a request does not fulfil; undefined: it fulfils all. */
export function firstFailure(match: RouteMatch, call: Call, metadata: CallMetadata = {}): string | undefined {
  const path = pathOf(call.path ?? '/');
  if (!pathMatches(match, path, call)) return `${pathWords(match)} does not match ${path}`;
  const headers = callHeaders(call);
  for (const matcher of match.headers) {
    const value = headers[matcher.name.toLowerCase()];
    if (!headerMatches(matcher, value))
      return `${headerName(matcher.name)} must be ${headerWords(matcher)}, it is ${shown(value)}`;
  }
  const query = queryOf(call);
  for (const matcher of match.queryParameters) {
    const value = query.get(matcher.name) ?? undefined;
    if (!queryParameterMatches(matcher, value))
      return `query parameter ${matcher.name} must be ${queryWords(matcher)}, it is ${shown(value)}`;
  }
  for (const matcher of match.dynamicMetadata)
    if (!metadataMatches(matcher, metadata))
      return `${metadataWords(matcher)}: the request has no such token`;
  return routeMatches(match, call, metadata) ? undefined : 'its share of requests is zero';
}

/** Every route of a virtual host but the one that was taken (by place; -1: none), in order. */
export function otherRoutes(
  host: VirtualHost,
  call: Call,
  metadata: CallMetadata = {},
): readonly Alternative[] {
  const taken = host.routes.findIndex(({ match }) => match && routeMatches(match, call, metadata));
  return host.routes.flatMap((route, place) => {
    const { match } = route;
    if (place === taken || !match) return [];
    const failure = firstFailure(match, call, metadata);
    const before = host.routes.findIndex(
      (other, at) => at < place && other.match !== undefined && covers(other.match, match),
    );
    const hiding = before < 0 ? undefined : nameOf(host, before);
    const origin = originIn(route.metadata);
    return [
      {
        name: nameOf(host, place),
        ...(origin ? { origin } : {}),
        matches: failure === undefined,
        why:
          hiding !== undefined
            ? `never reached: ${hiding} matches everything that it matches`
            : (failure ?? `${nameOf(host, taken)} comes first`),
        ...(hiding === undefined ? {} : { hiddenBy: hiding }),
      },
    ];
  });
}

function nameOf({ routes }: VirtualHost, place: number): string {
  const route = routes[place];
  const match = route?.match;
  return route?.name || `route ${place + 1}${match ? ` (${pathWords(match)})` : ''}`;
}

/** Virtual hosts with a domain that fits too, but less well; without a choice: those nearest in name, 5 at most. */
export function otherHosts(
  hosts: readonly VirtualHost[],
  authority: string,
  ignorePort: boolean,
): readonly Alternative[] {
  const fitting = hosts.flatMap((host) => {
    const best = bestDomain(host, authority, ignorePort);
    return best ? [{ host, ...best }] : [];
  });
  const winner = fitting.reduce<(typeof fitting)[number] | undefined>(
    (best, one) => (best && best.score >= one.score ? best : one),
    undefined,
  );
  if (!winner)
    return nearest(hosts, authority).map((host) =>
      hostAlternative(host, `its domains (${someDomains(host)}) do not include ${authority}`, false),
    );
  return fitting
    .filter((one) => one !== winner)
    .map(({ host, domain }) =>
      hostAlternative(host, `its domain ${domain} says less than ${winner.domain}`, true),
    );
}

function hostAlternative(host: VirtualHost, why: string, matches: boolean): Alternative {
  const origin = originIn(hostMetadata(host));
  return { name: host.name, ...(origin ? { origin } : {}), why, matches };
}

const maxNearest = 5;

function nearest(hosts: readonly VirtualHost[], authority: string): VirtualHost[] {
  const first = authority.split(/[.:]/)[0] ?? '';
  const alike = (host: VirtualHost): boolean =>
    host.domains.some((domain) => domain.split(/[.:]/)[0] === first || domain.includes(authority));
  return [...hosts.filter(alike), ...hosts.filter((host) => !alike(host))].slice(0, maxNearest);
}

function someDomains({ domains }: VirtualHost): string {
  return domains.length > 3 ? `${domains.slice(0, 3).join(', ')}, …` : domains.join(', ');
}

const criterionNames = [
  'destination port',
  'destination address',
  'server name',
  'transport protocol',
  'application protocol',
  'source address',
];

/** Every filter chain but the one that took the connection: Envoy narrows by one criterion after another and never goes back. */
export function otherChains(chains: readonly FilterChain[], facts: ConnectionFacts): readonly Alternative[] {
  const [taken] = matchFilterChains(chains, facts);
  const losers: Alternative[] = [];
  let left = [...chains];
  for (const [index, criterion] of criteria.entries()) {
    const scored = left.map((chain) => ({ chain, score: criterion(chain, facts) }));
    const best = Math.max(...scored.map(({ score }) => score), -1);
    for (const { chain, score } of scored)
      if (score < best || score < 0)
        losers.push(
          chainAlternative(
            chain,
            score < 0
              ? `${criterionNames[index]} ${wanted(chain, index)} does not match ${given(facts, index)}`
              : `another chain names the ${criterionNames[index]} ${given(facts, index)} more closely`,
          ),
        );
    left = scored.filter(({ score }) => score === best && score >= 0).map(({ chain }) => chain);
  }
  for (const chain of left)
    if (chain !== taken) losers.push(chainAlternative(chain, 'another chain asks for the same'));
  return losers;
}

function chainAlternative(chain: FilterChain, why: string): Alternative {
  const origin = originIn(chain.metadata);
  return { name: chain.name, ...(origin ? { origin } : {}), why, matches: false };
}

function wanted({ filterChainMatch: match }: FilterChain, criterion: number): string {
  const ranges = (list: readonly CidrRange[]) =>
    list.map(({ addressPrefix, prefixLen = 0 }) => `${addressPrefix}/${prefixLen}`).join(', ');
  const words = [
    String(match?.destinationPort ?? ''),
    ranges(match?.prefixRanges ?? []),
    (match?.serverNames ?? []).join(', '),
    match?.transportProtocol ?? '',
    (match?.applicationProtocols ?? []).join(', '),
    ranges(match?.sourcePrefixRanges ?? []),
  ];
  return words[criterion] ?? '';
}

function given(facts: ConnectionFacts, criterion: number): string {
  const words = [
    String(facts.port),
    facts.address,
    facts.serverName || 'none',
    facts.transport === 'tls' ? 'tls' : 'raw_buffer (no TLS seen)',
    facts.applicationProtocols.join(', ') || 'none',
    facts.sourceAddress || 'unknown',
  ];
  return words[criterion] ?? '';
}

/** Every rule of an RBAC filter but the one that decided. */
export function otherPolicies(rules: RBAC, facts: RbacFacts): readonly Alternative[] {
  const decisive = effectivePolicy(rules, facts);
  return policiesInOrder(rules).flatMap(([name, policy]) => {
    if (name === decisive) return [];
    const failure = policyFailure(policy, facts);
    const origin = policyOrigin(name);
    return [
      {
        name,
        ...(origin ? { origin } : {}),
        matches: failure === undefined,
        failing: failingParts(policy, facts),
        why: failure ?? `it matches too; ${decisive} comes first by name`,
      },
    ];
  });
}

/** The first condition of a rule that a call does not fulfil; undefined: it fulfils all. */
export function policyFailure({ permissions, principals }: Policy, facts: RbacFacts): string | undefined {
  const [operation] = failingPermissions(permissions, facts);
  if (operation) return `asks for ${permissionWords(operation)}; ${operationWords(operation, facts)}`;
  const [caller] = failingPrincipals(principals, facts);
  return caller ? `asks for ${principalWords(caller)}; ${callerWords(caller, facts)}` : undefined;
}

function failingParts({ permissions, principals }: Policy, facts: RbacFacts): number {
  return failingPermissions(permissions, facts).length + failingPrincipals(principals, facts).length;
}

function failingPermissions(permissions: readonly Permission[], facts: RbacFacts): readonly Permission[] {
  return nearestMiss(
    permissions,
    (one) => permits(one, facts),
    (one) => (one.rule.case === 'andRules' ? one.rule.value.rules : [one]),
  );
}

function failingPrincipals(principals: readonly Principal[], facts: RbacFacts): readonly Principal[] {
  return nearestMiss(
    principals,
    (one) => isPrincipal(one, facts),
    (one) => (one.identifier.case === 'andIds' ? one.identifier.value.ids : [one]),
  );
}

/** Of alternatives none of which holds, the failing parts of the one with the fewest. */
function nearestMiss<T>(
  alternatives: readonly T[],
  holds: (one: T) => boolean,
  partsOf: (one: T) => readonly T[],
): readonly T[] {
  if (alternatives.some(holds)) return [];
  const failing = alternatives.map((one) => partsOf(one).filter((part) => !holds(part)));
  return failing.sort((a, b) => a.length - b.length)[0] ?? [];
}

function operationWords(permission: Permission, facts: RbacFacts): string {
  const { rule } = permission;
  switch (rule.case) {
    case 'notRule':
      return operationWords(rule.value, facts);
    case 'orRules':
    case 'andRules':
      return rule.value.rules[0] ? operationWords(rule.value.rules[0], facts) : '';
    case 'header':
      return `${headerName(rule.value.name)} is ${shown(facts.headers[rule.value.name.toLowerCase()])}`;
    case 'urlPath':
    case 'uriTemplate':
      return `the path is ${shown(facts.path)}`;
    case 'destinationIp':
      return `the destination is ${facts.destinationIp}`;
    case 'destinationPort':
    case 'destinationPortRange':
      return `the port is ${facts.destinationPort}`;
    case 'requestedServerName':
      return `the server name is ${shown(facts.sni || undefined)}`;
    default:
      return 'it is not so';
  }
}

function callerWords(principal: Principal, facts: RbacFacts): string {
  const { identifier } = principal;
  switch (identifier.case) {
    case 'notId':
      return callerWords(identifier.value, facts);
    case 'orIds':
    case 'andIds':
      return identifier.value.ids[0] ? callerWords(identifier.value.ids[0], facts) : '';
    case 'authenticated':
      return facts.principal === undefined
        ? 'the caller proves no identity (no mTLS)'
        : `the caller is ${facts.principal.replace(/^spiffe:\/\//, '')}`;
    case 'sourceIp':
    case 'directRemoteIp':
      return `the connection comes from ${facts.directRemoteIp || 'an unknown address'}`;
    case 'remoteIp':
      return `the client's address is ${facts.remoteIp || 'unknown'}`;
    case 'header':
      return `${headerName(identifier.value.name)} is ${shown(facts.headers[identifier.value.name.toLowerCase()])}`;
    case 'urlPath':
      return `the path is ${shown(facts.path)}`;
    case 'metadata':
    case 'sourcedMetadata':
      return 'the request has no such token';
    default:
      return 'it is not so';
  }
}
