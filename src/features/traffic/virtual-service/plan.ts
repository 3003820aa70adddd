import type {
  VirtualServiceHttpCorsPolicyAllowOrigins,
  VirtualServiceHttpHeaders,
  VirtualServiceHttpHeadersRequest,
  VirtualServiceHttpMirror,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { resolveHost } from '../../../plan/hosts.ts';
import { outboundCluster } from '../../../plan/names.ts';
import { isRegex } from '../../../plan/regex.ts';
import {
  anyPath,
  type ClaimMatch,
  type Destination,
  type ForwardAction,
  forwardTo,
  type HeaderOperations,
  type MessageHeaders,
  type NamedMatch,
  type PathMatch,
  type RouteAction,
  type RouteMatch,
  type RoutePlan,
  routePlan,
  type TextMatch,
  takesEverything,
} from '../../../plan/route-plan.ts';
import { portsOf, serviceFor } from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { meshHttpRoutes } from '../gateway-api/schema.ts';
import { authorityHolds } from './authority.ts';
import { type HttpRule, httpRules } from './delegates.ts';
import {
  gatewayKey,
  type HttpMatch,
  type HttpRoute,
  httpRouteSlot,
  namespaceOf,
  originIn,
  type VirtualService,
  virtualServiceKind,
} from './virtual-service.ts';

/** Where routes are made for. */
export interface RouteContext {
  /** The port that the request came to. */
  readonly port: number;
  /** `mesh`, or the keys of the gateways that the listener belongs to. */
  readonly gateways: readonly string[];
  readonly tls: boolean;
  /** The host that is asked for is known beforehand (explicit capture): authority conditions are decided here. */
  readonly knownHost?: string;
}

/** The routes of a virtual service, in order, cut after the first that takes everything. Empty: none applies here. */
export function planHttpRoutes(view: View, key: Key, context: RouteContext): RoutePlan[] {
  const service = view.get(virtualServiceKind, key);
  const routes: RoutePlan[] = [];
  if (!service) return routes;
  for (const rule of httpRules(view, service)) {
    const matches = rule.http.match ?? [];
    if (matches.length === 0) {
      routes.push(planRoute(view, rule, undefined, rule.path, context));
      return routes;
    }
    for (const [index, match] of matches.entries()) {
      if (!applies(view, rule.owner, match, context)) continue;
      const route = planRoute(view, rule, match, rule.matchPaths[index] ?? rule.path, context);
      routes.push(route);
      if (takesEverything(route.match)) return routes;
    }
  }
  return routes;
}

/** The conditions on the caller and the listener, which hold or not before any request comes. */
function applies(view: View, service: VirtualService, match: HttpMatch, context: RouteContext): boolean {
  if (match.port !== undefined && match.port !== 0 && match.port !== context.port) return false;
  if (match.gateways && match.gateways.length > 0) {
    const named = match.gateways.map((gateway) => gatewayKey(gateway, namespaceOf(service)));
    if (!named.some((gateway) => context.gateways.includes(gateway))) return false;
  }
  if (context.knownHost !== undefined && match.authority) {
    const condition = textMatch(match.authority);
    if (condition && !authorityHolds(condition, context.knownHost, context.port)) return false;
  }
  if (match.sourceNamespace && !view.attribute(inNamespace(match.sourceNamespace))) return false;
  return !match.sourceLabels || view.matches(match.sourceLabels);
}

function planRoute(
  view: View,
  rule: HttpRule,
  match: HttpMatch | undefined,
  path: string,
  context: RouteContext,
): RoutePlan {
  const { http, owner } = rule;
  const headers = messageHeaders(http.headers);
  const refused = match !== undefined && regexesOf(match).some((regex) => !isRegex(regex));
  // A condition that Envoy cannot read would make it refuse the whole host; left out, requests would fall through to routes that
  // were not meant for them. So what might have matched fails visibly, and so does what is delegated to nobody.
  const broken = refused ? 'a route of this host has an invalid regular expression' : rule.broken;
  const plan = routePlan({
    name: [http.name, match?.name].filter(Boolean).join('.'),
    match: match ? routeMatch(refused ? withoutBadRegexes(match) : match, context) : anyPath,
    action:
      broken === undefined
        ? planAction(view, owner, http, rule.path, headers, context)
        : { type: 'direct-response', status: 500, body: utf8.encode(broken) },
    ...(headers ? { headers } : {}),
    ...(match?.statPrefix ? { statPrefix: match.statPrefix } : {}),
    origin: originIn(owner, path),
  });
  fill(plan, httpRouteSlot, http, originIn(owner, rule.path));
  return plan;
}

type Condition = VirtualServiceHttpCorsPolicyAllowOrigins;

function conditionsOf(match: HttpMatch): (Condition | undefined)[] {
  const { uri, scheme, method, authority } = match;
  const named = [match.headers, match.withoutHeaders, match.queryParams].flatMap((all) =>
    Object.values(all ?? {}),
  );
  return [uri, scheme, method, authority, ...named];
}

/** Every regular expression of a match; a bare `*` stands for presence. */
export function regexesOf(match: HttpMatch): string[] {
  return conditionsOf(match).flatMap((condition) =>
    condition?.regex !== undefined && condition.regex !== '*' ? [condition.regex] : [],
  );
}

function withoutBadRegexes(match: HttpMatch): HttpMatch {
  const bad = (condition: Condition | undefined): boolean =>
    condition?.regex !== undefined && condition.regex !== '*' && !isRegex(condition.regex);
  const kept = (all: Record<string, Condition> | undefined): Record<string, Condition> =>
    Object.fromEntries(Object.entries(all ?? {}).filter(([, condition]) => !bad(condition)));
  const { uri, scheme, method, authority, ...rest } = match;
  return {
    ...rest,
    ...(uri && !bad(uri) ? { uri } : {}),
    ...(scheme && !bad(scheme) ? { scheme } : {}),
    ...(method && !bad(method) ? { method } : {}),
    ...(authority && !bad(authority) ? { authority } : {}),
    headers: kept(match.headers),
    withoutHeaders: kept(match.withoutHeaders),
    queryParams: kept(match.queryParams),
  };
}

function routeMatch(match: HttpMatch, context: RouteContext): RouteMatch {
  const headers: NamedMatch[] = [];
  const condition = (name: string, value: VirtualServiceHttpCorsPolicyAllowOrigins | undefined): void => {
    const found = value && textMatch(value);
    if (found) headers.push({ name, match: found });
  };
  const claims: ClaimMatch[] = [];
  const named = (all: HttpMatch['headers'], invert: { invert?: true }): void => {
    for (const [name, value] of sorted(all)) {
      const found = presenceOr(value);
      const path = claimPath(name);
      if (path) claims.push({ path, match: found, ...invert });
      else headers.push({ name, match: found, ...invert });
    }
  };
  named(match.headers, {});
  named(match.withoutHeaders, { invert: true });
  condition(':method', match.method);
  if (context.knownHost === undefined) condition(':authority', match.authority);
  condition(':scheme', match.scheme);
  return {
    path: pathMatch(match),
    ignoreCase: match.ignoreUriCase ?? false,
    headers,
    queryParams: sorted(match.queryParams).map(([name, value]) => ({ name, match: presenceOr(value) })),
    ...(claims.length > 0 ? { claims } : {}),
  };
}

/**
 * The claim that the name of a header means: `@request.auth.claims.a.b` or, for names with dots, `@request.auth.claims[a][b]`.
 * @see https://istio.io/latest/docs/tasks/security/authentication/jwt-route/
 */
function claimPath(name: string): string[] | undefined {
  const [, rest] = /^@request\.auth\.claims((?:\.[^.[\]]+)+|(?:\[[^\]]+\])+)$/.exec(name) ?? [];
  if (rest === undefined) return undefined;
  return rest.startsWith('.') ? rest.slice(1).split('.') : rest.slice(1, -1).split('][');
}

function pathMatch(match: HttpMatch): PathMatch {
  const { uri } = match;
  if (uri?.exact !== undefined) return { type: 'exact', value: uri.exact };
  if (uri?.prefix !== undefined) return { type: 'prefix', value: uri.prefix };
  if (uri?.regex !== undefined) return { type: 'regex', value: uri.regex };
  return { type: 'prefix', value: '/' };
}

function textMatch(value: VirtualServiceHttpCorsPolicyAllowOrigins): TextMatch | undefined {
  if (value.exact !== undefined) return { exact: value.exact };
  if (value.prefix !== undefined) return { prefix: value.prefix };
  if (value.regex !== undefined) return { regex: value.regex };
  return undefined;
}

/** A name without a value asks for presence only; so does a regular expression that takes anything. */
function presenceOr(value: VirtualServiceHttpCorsPolicyAllowOrigins): TextMatch {
  const match = textMatch(value ?? {});
  return !match || ('regex' in match && match.regex === '*') ? { present: true } : match;
}

function planAction(
  view: View,
  service: VirtualService,
  http: HttpRoute,
  path: string,
  headers: MessageHeaders | undefined,
  context: RouteContext,
): RouteAction {
  if (http.redirect) {
    const { redirect } = http;
    const scheme = redirect.scheme || (context.tls ? 'https' : 'http');
    const wanted = redirect.derivePort === 'FROM_REQUEST_PORT' ? context.port : (redirect.port ?? 0);
    const implied = (wanted === 80 && scheme === 'http') || (wanted === 443 && scheme === 'https');
    const prefix = redirect.prefixRewrite ?? prefixOf(redirect.uri);
    return {
      type: 'redirect',
      code: redirect.redirectCode || 301,
      port: implied ? 0 : wanted,
      ...(redirect.scheme ? { scheme: redirect.scheme } : {}),
      ...(redirect.authority ? { authority: redirect.authority } : {}),
      ...(prefix !== undefined ? { prefix } : redirect.uri ? { path: redirect.uri } : {}),
    };
  }
  if (http.directResponse) {
    const { status, body } = http.directResponse;
    if (status < leastStatus)
      return {
        type: 'direct-response',
        status: 500,
        body: utf8.encode('a route of this host has no final status'),
      };
    const bytes = body?.string !== undefined ? utf8.encode(body.string) : base64(body?.bytes);
    return { type: 'direct-response', status, ...(bytes ? { body: bytes } : {}) };
  }
  return forwardAction(view, service, http, path, headers, context);
}

const utf8 = new TextEncoder();

/** Envoy answers with final statuses only. */
export const leastStatus = 200;

/** `%PREFIX()%` at the start keeps what follows the matched prefix, as Envoy's prefix rewrite does. */
function prefixOf(uri: string | undefined): string | undefined {
  return uri?.startsWith('%PREFIX()%') ? uri.slice('%PREFIX()%'.length) : undefined;
}

function base64(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function forwardAction(
  view: View,
  service: VirtualService,
  http: HttpRoute,
  path: string,
  headers: MessageHeaders | undefined,
  context: RouteContext,
): ForwardAction {
  const namespace = namespaceOf(service);
  const all = http.route ?? [];
  const destinations = all.map((route, index): Destination => {
    const own = messageHeaders(route.headers);
    return {
      cluster: destinationCluster(view, route.destination, namespace, context.port),
      // A single destination takes everything, whatever its weight says; otherwise no weight means none.
      weight: all.length === 1 ? 1 : (route.weight ?? 0),
      ...(own ? { headers: own } : {}),
      origin: originIn(service, `${path}.route[${index}]`),
    };
  });
  const used = destinations.filter((destination) => destination.weight > 0);
  const authority = http.rewrite?.authority || headers?.authority;
  const regexRewrite = http.rewrite?.uriRegexRewrite;
  const rewrite = regexRewrite?.match && isRegex(regexRewrite.match) ? regexRewrite : undefined;
  return {
    type: 'forward',
    destinations: used.length > 0 ? used : destinations.slice(0, 1),
    timeoutMs: parseDuration(http.timeout) ?? 0,
    ...(authority ? { authority } : {}),
    ...(rewrite?.match
      ? { rewrite: { type: 'regex', match: rewrite.match, substitution: rewrite.rewrite ?? '' } }
      : http.rewrite?.uri
        ? { rewrite: { type: 'prefix', value: http.rewrite.uri } }
        : {}),
  };
}

/** The cluster of a destination: its port, else the only one that the service has, else the port of the request. */
export function destinationCluster(
  view: View,
  destination: VirtualServiceHttpMirror,
  namespace: string,
  requestPort: number,
): string {
  const host = resolveHost(destination.host, namespace, view.mesh('domainSuffix'));
  let port = destination.port?.number ?? 0;
  if (port === 0) {
    const service = view.call(serviceFor, host);
    const ports = service === '' ? [] : view.call(portsOf, service);
    port = ports.length === 1 ? (ports[0]?.port ?? requestPort) : requestPort;
  }
  return outboundCluster(port, destination.subset ?? '', host);
}

function messageHeaders(headers: VirtualServiceHttpHeaders | undefined): MessageHeaders | undefined {
  if (!headers) return undefined;
  const request = headerOperations(headers.request);
  const authority = request.set
    .concat(request.add)
    .find(([name]) => name.toLowerCase() === 'host' || name.toLowerCase() === ':authority')?.[1];
  return {
    request: withoutHost(request),
    response: headerOperations(headers.response),
    ...(authority !== undefined ? { authority } : {}),
  };
}

function headerOperations(operations: VirtualServiceHttpHeadersRequest | undefined): HeaderOperations {
  return {
    add: sorted(operations?.add),
    set: sorted(operations?.set),
    remove: [...(operations?.remove ?? [])].sort(),
  };
}

/** Envoy refuses to change Host among headers: it is a rewrite of the route. */
function withoutHost(operations: HeaderOperations): HeaderOperations {
  const other = ([name]: readonly [string, string]): boolean => !/^(host|:authority)$/i.test(name);
  return {
    add: operations.add.filter(other),
    set: operations.set.filter(other),
    remove: operations.remove.filter((name) => !/^(host|:.*)$/i.test(name)),
  };
}

function sorted<T>(record: Readonly<Record<string, T>> | undefined): (readonly [string, T])[] {
  return Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

export interface HostRoutesOptions extends RouteContext {
  readonly host: string;
  /** The service's key, '' where the host is only a virtual service's. */
  readonly service: Key;
  /** The virtual service's key, '' for none. */
  readonly virtualService: Key;
}

/** What a host answers with: the Gateway API's routes for its service, else those of its virtual service, else everything to the service. */
export function hostRoutes(view: View, options: HostRoutesOptions): RoutePlan[] {
  const own = options.service === '' ? undefined : meshHttpRoutes(view, options.service, options.port);
  if (own) return own;
  const routes = options.virtualService === '' ? [] : planHttpRoutes(view, options.virtualService, options);
  if (routes.length > 0 || options.service === '') return routes;
  const service = view.get(serviceKind, options.service);
  if (!service) return [];
  return [
    routePlan({
      name: 'default',
      match: anyPath,
      action: forwardTo(outboundCluster(options.port, '', options.host), service.origin),
      origin: service.origin,
    }),
  ];
}
