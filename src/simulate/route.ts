import type {
  Route,
  RouteMatch,
  VirtualHost,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Call } from './call.ts';
import { callHeaders, pathOf } from './call-headers.ts';
import { type CallMetadata, metadataMatches } from './match-metadata.ts';
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
  const name = nameOf(authority, ignorePort);
  const { exact, wild } = domainsOf(hosts);
  const found = exact.get(name);
  if (found) return found;
  let best: VirtualHost | undefined;
  let bestScore = 0;
  for (const { domain, host } of wild) {
    const score = domainScore(domain, name);
    if (score > bestScore) {
      best = host;
      bestScore = score;
    }
  }
  return best;
}

/** The domain by which a virtual host fits best; undefined: none does. Higher scores are more specific. */
export function bestDomain(
  host: VirtualHost,
  authority: string,
  ignorePort: boolean,
): { readonly domain: string; readonly score: number } | undefined {
  const name = nameOf(authority, ignorePort);
  let best: { domain: string; score: number } | undefined;
  for (const domain of host.domains) {
    const score = domainScore(domain.toLowerCase(), name);
    if (score > (best?.score ?? 0)) best = { domain, score };
  }
  return best;
}

function nameOf(authority: string, ignorePort: boolean): string {
  return (ignorePort ? withoutPort(authority) : authority).toLowerCase();
}

interface Domains {
  readonly exact: ReadonlyMap<string, VirtualHost>;
  readonly wild: readonly { readonly domain: string; readonly host: VirtualHost }[];
}

const indexed = new WeakMap<readonly VirtualHost[], Domains>();

/** Indexed once: a proxy may have thousands of virtual hosts. */
function domainsOf(hosts: readonly VirtualHost[]): Domains {
  let domains = indexed.get(hosts);
  if (!domains) {
    const exact = new Map<string, VirtualHost>();
    const wild: { domain: string; host: VirtualHost }[] = [];
    for (const host of hosts)
      for (const written of host.domains) {
        const domain = written.toLowerCase();
        if (domain.startsWith('*') || domain.endsWith('*')) wild.push({ domain, host });
        else if (!exact.has(domain)) exact.set(domain, host);
      }
    domains = { exact, wild };
    indexed.set(hosts, domains);
  }
  return domains;
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

/**
 * The first route whose match holds. Fractional routes count as taken where their share is above zero. `metadata`: what filters left
 * for the request, such as the claims of its token.
 */
export function matchRoute(
  routes: readonly Route[],
  call: Call,
  metadata: CallMetadata = {},
): Route | undefined {
  return routes.find((route) => route.match !== undefined && routeMatches(route.match, call, metadata));
}

export function routeMatches(match: RouteMatch, call: Call, metadata: CallMetadata): boolean {
  if (!pathMatches(match, pathOf(call.path ?? '/'), call)) return false;
  const headers = match.headers.length > 0 ? callHeaders(call) : {};
  if (!match.headers.every((matcher) => headerMatches(matcher, headers[matcher.name.toLowerCase()])))
    return false;
  if (match.queryParameters.length > 0) {
    const parameters = queryOf(call);
    for (const matcher of match.queryParameters)
      if (!queryParameterMatches(matcher, parameters.get(matcher.name) ?? undefined)) return false;
  }
  if (!match.dynamicMetadata.every((matcher) => metadataMatches(matcher, metadata))) return false;
  return (match.runtimeFraction?.defaultValue?.numerator ?? 1) > 0;
}

export function queryOf({ path = '/' }: Call): URLSearchParams {
  const query = path.indexOf('?');
  return new URLSearchParams(query < 0 ? '' : path.slice(query + 1));
}

export function pathMatches(match: RouteMatch, path: string, call: Call): boolean {
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
