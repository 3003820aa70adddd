import type {
  HTTPRouteRulesBackendRefsFiltersCors as CorsFilter,
  HTTPRouteRulesBackendRefsFiltersExternalAuth as ExternalAuthFilter,
  HTTPRouteRulesBackendRefsFilters as Filter,
  HTTPRouteRulesBackendRefsFiltersRequestHeaderModifier as HeaderFilter,
  HTTPRouteRulesBackendRefsFiltersRequestMirror as MirrorFilter,
  HTTPRouteRulesBackendRefsFiltersRequestRedirect as RedirectFilter,
  HTTPRouteRulesBackendRefsFiltersUrlRewrite as RewriteFilter,
} from '../../../../gen/crd/types/gateway-api/http-route.ts';
import type {
  HeaderOperations,
  MessageHeaders,
  PathMatch,
  PathRewrite,
  RedirectAction,
  TextMatch,
} from '../../../plan/route-plan.ts';
import type { CorsPlan } from '../cors/schema.ts';
import type { Fault } from './references.ts';

/** Where routes are made for. */
export interface RouteContext {
  /** What users know the listener by. */
  readonly port: number;
  readonly tls: boolean;
  /** In a sidecar, for a service that the route has as parent. */
  readonly mesh?: true;
}

/** The filters of a rule or backend, by what they do. */
export interface Filters {
  readonly headers?: MessageHeaders;
  readonly redirect?: RedirectFilter;
  readonly rewrite?: RewriteFilter;
  readonly mirrors: readonly MirrorFilter[];
  readonly cors?: CorsFilter;
  /** Who is asked first, with the place of the filter among the others. */
  readonly authorizers: readonly { readonly at: number; readonly filter: ExternalAuthFilter }[];
  /** A filter that cannot be carried out: requests must not pass as if it were not there. */
  readonly unsupported?: Fault;
}

export function readFilters(filters: readonly Filter[] | undefined): Filters {
  const all = filters ?? [];
  const find = <K extends keyof Filter>(type: Filter['type'], field: K): Filter[K] | undefined =>
    all.find((filter) => filter.type === type)?.[field];
  const request = find('RequestHeaderModifier', 'requestHeaderModifier');
  const response = find('ResponseHeaderModifier', 'responseHeaderModifier');
  const redirect = find('RequestRedirect', 'requestRedirect');
  const rewrite = find('URLRewrite', 'urlRewrite');
  const cors = find('CORS', 'cors');
  const strange = all.find(({ type }) => type === 'ExtensionRef');
  return {
    ...(request || response ? { headers: messageHeaders(request, response) } : {}),
    ...(redirect ? { redirect } : {}),
    ...(rewrite ? { rewrite } : {}),
    mirrors: all.flatMap((filter) => (filter.requestMirror ? [filter.requestMirror] : [])),
    ...(cors ? { cors } : {}),
    authorizers: all.flatMap(({ externalAuth }, at) => (externalAuth ? [{ at, filter: externalAuth }] : [])),
    ...(strange ? { unsupported: whyUnsupported(strange) } : {}),
  };
}

function whyUnsupported({ extensionRef }: Filter): Fault {
  return {
    reason: 'InvalidKind',
    message: `filter ${extensionRef?.group}/${extensionRef?.kind}/${extensionRef?.name}: no extension of that kind is known`,
  };
}

export function messageHeaders(
  request: HeaderFilter | undefined,
  response: HeaderFilter | undefined,
): MessageHeaders {
  const operations = headerOperations(request);
  const authority = [...operations.set, ...operations.add].find(([name]) => isHost(name))?.[1];
  return {
    request: {
      add: operations.add.filter(([name]) => !isHost(name)),
      set: operations.set.filter(([name]) => !isHost(name)),
      remove: operations.remove.filter((name) => !isHost(name)),
    },
    response: headerOperations(response),
    ...(authority === undefined ? {} : { authority }),
  };
}

/** Envoy changes the host by rewriting it, never as a header. */
function isHost(name: string): boolean {
  return /^(host|:.*)$/i.test(name);
}

function headerOperations(filter: HeaderFilter | undefined): HeaderOperations {
  const pairs = (list: HeaderFilter['add']) => (list ?? []).map(({ name, value }) => [name, value] as const);
  return { add: pairs(filter?.add), set: pairs(filter?.set), remove: [...(filter?.remove ?? [])] };
}

export function planRedirect(
  redirect: RedirectFilter,
  path: PathMatch,
  context: RouteContext,
): RedirectAction {
  const scheme = redirect.scheme ?? (context.tls ? 'https' : 'http');
  const wellKnown = scheme === 'https' ? 443 : 80;
  const wanted = redirect.port ?? (redirect.scheme ? wellKnown : context.port);
  const change = redirect.path;
  const prefix =
    change?.type === 'ReplacePrefixMatch' ? rewritePrefix(path, change.replacePrefixMatch ?? '') : undefined;
  return {
    type: 'redirect',
    code: redirect.statusCode ?? 302,
    port: wanted === wellKnown ? 0 : wanted,
    ...(redirect.scheme ? { scheme: redirect.scheme } : {}),
    ...(redirect.hostname ? { authority: redirect.hostname } : {}),
    ...(change?.type === 'ReplaceFullPath' ? { path: change.replaceFullPath || '/' } : {}),
    ...(prefix?.type === 'prefix' ? { prefix: prefix.value } : {}),
    ...(prefix?.type === 'regex' ? { regex: prefix } : {}),
  };
}

export function planPathRewrite(
  rewrite: RewriteFilter | undefined,
  path: PathMatch,
): PathRewrite | undefined {
  const change = rewrite?.path;
  if (!change) return undefined;
  if (change.type === 'ReplacePrefixMatch') return rewritePrefix(path, change.replacePrefixMatch ?? '');
  const whole = change.replaceFullPath || '/';
  return { type: 'regex', match: '/.*', substitution: whole.replaceAll('\\', '\\\\') };
}

/** Prefixes end at a slash, on both sides: `/foo` to `/` makes `/foo/bar` into `/bar`, and `/` to `/foo` makes `/bar` into `/foo/bar`. */
function rewritePrefix(path: PathMatch, replacement: string): PathRewrite | undefined {
  if (path.type !== 'path-prefix' && path.type !== 'prefix') return undefined;
  const target = replacement.replace(/\/+$/, '');
  if (path.value === '/') return { type: 'prefix', value: `${target}/` };
  if (target !== '') return { type: 'prefix', value: target };
  const literal = path.value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return { type: 'regex', match: `^${literal}/*`, substitution: '/' };
}

export function planCors(cors: CorsFilter): CorsPlan {
  return {
    origins: (cors.allowOrigins ?? []).map(originMatch),
    methods: cors.allowMethods ?? [],
    headers: cors.allowHeaders ?? [],
    exposeHeaders: cors.exposeHeaders ?? [],
    maxAgeSeconds: cors.maxAge ?? 5,
    ...(cors.allowCredentials === undefined ? {} : { credentials: cors.allowCredentials }),
    forwardUnmatched: false,
  };
}

function originMatch(origin: string): TextMatch {
  if (!origin.includes('*')) return { exact: origin };
  const literal = origin.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return { regex: literal.replaceAll('*', '.*') };
}

/** Percent of requests that a mirror gets. */
export function mirrorPercent({ percent, fraction }: MirrorFilter): number {
  if (fraction) return (100 * fraction.numerator) / (fraction.denominator ?? 100);
  return percent ?? 100;
}
