import type { GRPCRouteRulesMatches } from '../../../../gen/crd/types/gateway-api/grpc-route.ts';
import type { HTTPRouteRulesMatches } from '../../../../gen/crd/types/gateway-api/http-route.ts';
import { isRegex } from '../../../plan/regex.ts';
import type { NamedMatch, PathMatch, RouteMatch, TextMatch } from '../../../plan/route-plan.ts';

/** A match of a rule in our words. */
export interface RuleMatch {
  readonly match: RouteMatch;
  /** An expression that Envoy could not read. */
  readonly badRegex?: string;
}

export function httpMatch({ path, method, headers, queryParams }: HTTPRouteRulesMatches): RuleMatch {
  const named = (headers ?? []).map(valueMatch);
  if (method) named.push({ name: ':method', match: { exact: method } });
  return checked({
    path: httpPath(path ?? {}),
    ignoreCase: false,
    headers: firstOfName(named, (name) => name.toLowerCase()),
    queryParams: firstOfName((queryParams ?? []).map(valueMatch), (name) => name),
  });
}

function httpPath({
  type = 'PathPrefix',
  value = '/',
}: NonNullable<HTTPRouteRulesMatches['path']>): PathMatch {
  if (type === 'Exact') return { type: 'exact', value };
  if (type === 'RegularExpression') return { type: 'regex', value };
  const prefix = value.replace(/\/+$/, '');
  return prefix === '' ? { type: 'prefix', value: '/' } : { type: 'path-prefix', value: prefix };
}

export function grpcMatch({ method, headers }: GRPCRouteRulesMatches): RuleMatch {
  return checked({
    path: grpcPath(method ?? {}),
    ignoreCase: false,
    headers: firstOfName((headers ?? []).map(valueMatch), (name) => name.toLowerCase()),
    queryParams: [],
  });
}

function grpcPath({ type, service, method }: NonNullable<GRPCRouteRulesMatches['method']>): PathMatch {
  if (!service && !method) return { type: 'prefix', value: '/' };
  if (type === 'RegularExpression')
    return { type: 'regex', value: `/${service || '[^/]+'}/${method || '[^/]+'}` };
  if (service && method) return { type: 'exact', value: `/${service}/${method}` };
  return service
    ? { type: 'path-prefix', value: `/${service}` }
    : { type: 'regex', value: `/[^/]+/${(method ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}` };
}

function valueMatch(one: { name: string; type?: string; value: string }): NamedMatch {
  const match: TextMatch = one.type === 'RegularExpression' ? { regex: one.value } : { exact: one.value };
  return { name: one.name, match };
}

/** Of entries with an equivalent name only the first counts. */
function firstOfName(all: readonly NamedMatch[], same: (name: string) => string): NamedMatch[] {
  return all.filter((one, index) => all.findIndex((other) => same(other.name) === same(one.name)) === index);
}

/** Envoy would refuse the whole host for an expression that it cannot read: it is left out, and the entry answers 500. */
function checked(match: RouteMatch): RuleMatch {
  const bad = (one: NamedMatch): string[] =>
    'regex' in one.match && !isRegex(one.match.regex) ? [one.match.regex] : [];
  const { path } = match;
  const badPath = path.type === 'regex' && !isRegex(path.value) ? [path.value] : [];
  const [badRegex] = [...badPath, ...match.headers.flatMap(bad), ...match.queryParams.flatMap(bad)];
  if (badRegex === undefined) return { match };
  return {
    badRegex,
    match: {
      ...match,
      path: badPath.length > 0 ? { type: 'prefix', value: '/' } : path,
      headers: match.headers.filter((one) => bad(one).length === 0),
      queryParams: match.queryParams.filter((one) => bad(one).length === 0),
    },
  };
}
