import type {
  Route,
  RouteMatch,
  VirtualHost,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Call } from './call.ts';
import { metadataMatches } from './match-metadata.ts';
import { headerMatches, queryParameterMatches, regexMatches } from './match-text.ts';

/**
 * Envoy's choice of a virtual host: exact domain, then the longest `*suffix`, then the longest `prefix*`, then `*`.
 * `ignorePort` cuts the port of the Host off first.
 */
export function matchVirtualHost(
  hosts: readonly VirtualHost[],
  authority: string,
  ignorePort: boolean,
): VirtualHost | undefined {
  const name = (ignorePort ? withoutPort(authority) : authority).toLowerCase();
  let best: VirtualHost | undefined;
  let bestScore = 0;
  for (const host of hosts) {
    for (const domain of host.domains) {
      const score = domainScore(domain.toLowerCase(), name);
      if (score > bestScore) {
        best = host;
        bestScore = score;
      }
    }
  }
  return best;
}

const exactScore = 3_000_000;
const suffixScore = 2_000_000;
const prefixScore = 1_000_000;

function domainScore(domain: string, name: string): number {
  if (domain === '*') return 1;
  if (domain === name) return exactScore;
  if (domain.startsWith('*') && name.length >= domain.length && name.endsWith(domain.slice(1)))
    return suffixScore + domain.length;
  if (domain.endsWith('*') && name.length >= domain.length && name.startsWith(domain.slice(0, -1)))
    return prefixScore + domain.length;
  return 0;
}

function withoutPort(authority: string): string {
  const match = /^(.*?)(?::\d+)?$/.exec(authority);
  return authority.startsWith('[') ? authority.replace(/\]:\d+$/, ']') : (match?.[1] ?? authority);
}

/** The first route whose match holds. Fractional routes count as taken where their share is above zero. */
export function matchRoute(routes: readonly Route[], call: Call): Route | undefined {
  return routes.find((route) => route.match !== undefined && routeMatches(route.match, call));
}

function routeMatches(match: RouteMatch, call: Call): boolean {
  const target = call.path ?? '/';
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  if (!pathMatches(match, path, call)) return false;
  const headers = callHeaders(call, target);
  if (!match.headers.every((matcher) => headerMatches(matcher, headers[matcher.name.toLowerCase()])))
    return false;
  if (match.queryParameters.length > 0) {
    const params = new URLSearchParams(query < 0 ? '' : target.slice(query + 1));
    for (const matcher of match.queryParameters)
      if (!queryParameterMatches(matcher, params.get(matcher.name) ?? undefined)) return false;
  }
  const metadata = { 'envoy.filters.http.jwt_authn': { payload: call.claims } };
  if (!match.dynamicMetadata.every((matcher) => metadataMatches(matcher, metadata))) return false;
  return (match.runtimeFraction?.defaultValue?.numerator ?? 1) > 0;
}

function callHeaders(call: Call, target: string): Record<string, string | undefined> {
  return {
    ...call.headers,
    ':method': call.method ?? 'GET',
    ':authority': call.host ?? '',
    host: call.host ?? '',
    ':path': target,
    ':scheme': call.tls === 'plaintext' ? 'http' : 'https',
  };
}

function pathMatches(match: RouteMatch, path: string, call: Call): boolean {
  const { pathSpecifier: spec } = match;
  const sensitive = match.caseSensitive ?? true;
  const fold = (text: string): string => (sensitive ? text : text.toLowerCase());
  switch (spec.case) {
    case 'prefix':
      return fold(path).startsWith(fold(spec.value));
    case 'path':
      return fold(path) === fold(spec.value);
    case 'safeRegex':
      return regexMatches(spec.value.regex, path);
    case 'pathSeparatedPrefix':
      return fold(path) === fold(spec.value) || fold(path).startsWith(`${fold(spec.value)}/`);
    case 'connectMatcher':
      return call.method === 'CONNECT';
    default:
      return false;
  }
}
