import { resolveHost } from '../../../plan/hosts.ts';
import { outboundCluster } from '../../../plan/names.ts';
import {
  anyPath,
  forwardTo,
  type PathMatch,
  type RouteAction,
  type RoutePlan,
  routePlan,
} from '../../../plan/route-plan.ts';
import { portsOf, serviceFor } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ownIngresses } from './classes.ts';
import {
  type Ingress,
  type IngressBackend,
  type IngressPath,
  ingressesByHost,
  ingressKind,
  ingressOrigin,
  namespaceOf,
} from './kinds.ts';

/** Our Ingresses with rules for a host, or a backend for whatever no rule takes, in order of precedence. */
const ingressesFor = defineQuery('ingress.for-host', (view, host: Key): readonly Key[] => {
  const named = new Set([...view.list(ingressesByHost, host), ...view.list(ingressesByHost, '*')]);
  return view.call(ownIngresses).filter((key) => named.has(key));
});

interface Candidate {
  readonly path: PathMatch;
  readonly route: RoutePlan;
}

/**
 * The routes of a host over all Ingresses: the longest path first, exact before prefix, then the oldest Ingress; default backends of
 * those that name the host, or any, last.
 * @see https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches
 */
export function planIngressRoutes(view: View, host: Key): RoutePlan[] {
  const candidates: Candidate[] = [];
  const fallbacks: RoutePlan[] = [];
  for (const key of view.call(ingressesFor, host)) {
    const ingress = view.get(ingressKind, key);
    if (!ingress) continue;
    for (const [index, rule] of (ingress.spec?.rules ?? []).entries())
      if ((rule.host || '*') === host)
        for (const [at, path] of (rule.http?.paths ?? []).entries())
          candidates.push(candidate(view, ingress, path, `spec.rules[${index}].http.paths[${at}]`));
    const { defaultBackend } = ingress.spec ?? {};
    if (defaultBackend) fallbacks.push(fallback(view, ingress, defaultBackend));
  }
  const sorted = candidates
    .map((one, order) => ({ ...one, order }))
    .sort((a, b) => lengthOf(b.path) - lengthOf(a.path) || rank(a.path) - rank(b.path) || a.order - b.order)
    .map(({ route }) => route);
  return [...sorted, ...fallbacks.slice(0, 1)];
}

function lengthOf(path: PathMatch): number {
  return 'value' in path ? path.value.length : 0;
}

function rank({ type }: PathMatch): number {
  return type === 'exact' ? 0 : 1;
}

function candidate(view: View, ingress: Ingress, path: IngressPath, at: string): Candidate {
  const match = pathMatch(path);
  const origin = ingressOrigin(ingress, at);
  return {
    path: match,
    route: routePlan({
      name: '',
      match: { ...anyPath, path: match },
      action: backendAction(view, ingress, path.backend, `${at}.backend`),
      origin,
    }),
  };
}

function fallback(view: View, ingress: Ingress, backend: IngressBackend): RoutePlan {
  const at = 'spec.defaultBackend';
  return routePlan({
    name: '',
    match: anyPath,
    action: backendAction(view, ingress, backend, at),
    origin: ingressOrigin(ingress, at),
  });
}

/** `Prefix` goes by path elements. `ImplementationSpecific` is Istio's: exact, but for a `*` at the end. */
function pathMatch({ path = '', pathType }: IngressPath): PathMatch {
  if (pathType === 'Exact') return { type: 'exact', value: path };
  if (pathType === 'Prefix') {
    const elements = path.replace(/\/+$/, '');
    return elements === '' ? { type: 'prefix', value: '/' } : { type: 'path-prefix', value: elements };
  }
  if (path === '' || path === '/') return { type: 'prefix', value: '/' };
  const open = /^(.*?)(?:\.\*|\/\*)$/.exec(path);
  return open ? { type: 'prefix', value: open[1] || '/' } : { type: 'exact', value: path };
}

/** A backend that cannot be found is answered 500. */
function backendAction(view: View, ingress: Ingress, backend: IngressBackend, at: string): RouteAction {
  const { service } = backend;
  const host = service && resolveHost(service.name, namespaceOf(ingress), view.mesh('domainSuffix'));
  const port = host === undefined ? undefined : backendPort(view, host, service?.port ?? {});
  if (host === undefined || port === undefined) return { type: 'direct-response', status: 500 };
  return forwardTo(outboundCluster(port, '', host), ingressOrigin(ingress, at));
}

function backendPort(
  view: View,
  host: string,
  { name, number }: { readonly name?: string; readonly number?: number },
): number | undefined {
  if (number) return number;
  const service = view.call(serviceFor, host);
  if (service === '') return undefined;
  return view.call(portsOf, service).find((port) => port.name === name)?.port;
}
