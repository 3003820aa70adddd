import type {
  RedirectAction,
  Route,
  RouteAction,
  RouteMatch,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RegexMatchAndSubstitute } from '../../gen/proto/envoy/type/matcher/v3/regex_pb.js';
import type { Call } from './call.ts';
import type { ChosenRoute } from './choose-route.ts';
import { withHeaders } from './header-options.ts';
import { compiledRegex } from './match-text.ts';

/** The request as the destination gets it. */
export interface Forwarded {
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a route makes of a request. `clusterIndex`: of its weighted destinations, which have rewrites of their own. */
export function forwarded(
  call: Call,
  { config, host, route }: ChosenRoute,
  action: RouteAction,
  clusterIndex: number,
): Forwarded {
  const { clusterSpecifier, hostRewriteSpecifier } = action;
  const cluster =
    clusterSpecifier.case === 'weightedClusters' ? clusterSpecifier.value.clusters[clusterIndex] : undefined;
  const own = cluster?.hostRewriteSpecifier;
  const literal = hostRewriteSpecifier.case === 'hostRewriteLiteral' ? hostRewriteSpecifier.value : '';
  const ownLiteral = own?.case === 'hostRewriteLiteral' ? own.value : '';
  const path = call.path ?? '/';
  // The most specific first: what is said for all requests has the last word.
  const headers = withHeaders(call, cluster ? [cluster, route, host, config] : [route, host, config]);
  const before = headers['x-forwarded-host'];
  const forwardedHost =
    action.appendXForwardedHost && literal !== ''
      ? { 'x-forwarded-host': [before, call.host].filter(Boolean).join(',') }
      : {};
  return {
    authority: literal || ownLiteral || (call.host ?? ''),
    path:
      action.prefixRewrite !== ''
        ? replacePrefix(route.match, path, action.prefixRewrite)
        : action.regexRewrite
          ? replaceByRegex(action.regexRewrite, path)
          : path,
    headers: { ...headers, ...forwardedHost },
  };
}

/** A prefix rewrite replaces what the match took: the prefix, or the whole path of other matches. The query stays. */
function replacePrefix(match: RouteMatch | undefined, path: string, by: string): string {
  const spec = match?.pathSpecifier;
  const length =
    spec?.case === 'prefix' || spec?.case === 'pathSeparatedPrefix' ? spec.value.length : endOfPath(path);
  return by + path.slice(length);
}

function endOfPath(path: string): number {
  const end = path.search(/[?#]/);
  return end < 0 ? path.length : end;
}

/** RE2 on the path without its query; `\1` stands for a group, `\\` for a backslash. */
function replaceByRegex({ pattern, substitution }: RegexMatchAndSubstitute, path: string): string {
  const end = endOfPath(path);
  const text = path.slice(0, end);
  const found = compiledRegex(pattern?.regex ?? '').matcher(text);
  let result = '';
  let at = 0;
  while (found.find()) {
    const filled = substitution.replace(/\\([0-9\\])/g, (_, sign: string) =>
      sign === '\\' ? sign : (found.group(Number(sign)) ?? ''),
    );
    result += text.slice(at, found.start()) + filled;
    at = found.end();
  }
  return result + text.slice(at) + path.slice(end);
}

/** Where a redirect leads: scheme, host, port and path, each kept where the route says nothing of it. */
export function redirectLocation(call: Call, route: Route, redirect: RedirectAction): string {
  const { schemeRewriteSpecifier: schemes, pathRewriteSpecifier: paths } = redirect;
  const before = call.tls === 'plaintext' ? 'http' : 'https';
  const scheme =
    schemes.case === 'schemeRedirect'
      ? schemes.value
      : schemes.case === 'httpsRedirect' && schemes.value
        ? 'https'
        : before;
  const port = redirect.portRedirect > 0 ? `:${redirect.portRedirect}` : '';
  const host = redirect.hostRedirect || keptHost(call.host ?? '', before, scheme, port);
  return `${scheme}://${host}${port}${redirectPath(call.path ?? '/', route, paths)}`;
}

/** The Host without its port where another is set, or where it was the default of the scheme that is left. */
function keptHost(host: string, before: string, scheme: string, port: string): string {
  const own = /:\d+$/.exec(host)?.[0] ?? '';
  const wasDefault = before !== scheme && own === (before === 'https' ? ':443' : ':80');
  return port !== '' || wasDefault ? host.slice(0, host.length - own.length) : host;
}

function redirectPath(path: string, route: Route, rewrite: RedirectAction['pathRewriteSpecifier']): string {
  switch (rewrite.case) {
    case 'pathRedirect':
      // A query of the redirect's own goes before the request's.
      return rewrite.value.includes('?') ? rewrite.value : rewrite.value + path.slice(endOfPath(path));
    case 'prefixRewrite':
      return replacePrefix(route.match, path, rewrite.value);
    case 'regexRewrite':
      return replaceByRegex(rewrite.value, path);
    default:
      return path;
  }
}

/** Paths are normalised before routes are looked at: `.` and `..` are gone, as in a browser. */
export function normalizedPath(path: string): string {
  const end = endOfPath(path);
  try {
    return new URL(`http://normal${path.slice(0, end)}`).pathname + path.slice(end);
  } catch {
    return path;
  }
}
