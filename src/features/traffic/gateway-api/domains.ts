import { hostCovers } from '../../../plan/hosts.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { attachedRoutes } from './attachments.ts';
import { listenersOn } from './bound.ts';
import type { RouteId } from './kinds.ts';
import { type Listener, listenerId } from './listeners.ts';

/** What answers for one domain of a route configuration. */
export interface DomainSources {
  /** The listener that owns the domain; '' where none does. */
  readonly listener: string;
  readonly routes: readonly RouteId[];
  /** The connection's server name belongs to another listener than the request's host (421). */
  readonly misdirected: boolean;
}

/** Domain → what answers. A request belongs to the listener with the most specific host name, and to that one's routes alone. */
export const domainsOf = defineQuery(
  'gateway-api.domains',
  (view, gatewaysText: Key, port: Key, chain: Key): Readonly<Record<string, DomainSources>> => {
    const gateways = gatewaysText.split(',');
    const listeners = listenersOn(view, gateways, Number(port)).filter(({ protocol }) =>
      chain === '' ? protocol === 'HTTP' : protocol === 'HTTPS',
    );
    const routes = routesByDomain(view, gateways, listeners);
    const domains: Record<string, DomainSources> = {};
    const add = (domain: string): void => {
      const listener = mostSpecific(listeners, domain);
      const id = listener ? listenerId(listener) : '';
      domains[domain] = {
        listener: id,
        misdirected: chain !== '' && id !== '' && id !== chain && !sameHost(listeners, id, chain),
        routes: listener ? routesFor(routes, listeners, listener, domain) : [],
      };
    };
    for (const listener of listeners) {
      add(hostnameOf(listener));
      for (const domain of routes.get(listenerId(listener))?.keys() ?? []) add(domain);
    }
    return domains;
  },
);

function hostnameOf({ hostname }: Listener): string {
  return hostname === '' ? '*' : hostname;
}

/** listener → domain → routes */
type RoutesByDomain = ReadonlyMap<string, ReadonlyMap<string, readonly RouteId[]>>;

function routesByDomain(
  view: View,
  gateways: readonly Key[],
  listeners: readonly Listener[],
): RoutesByDomain {
  const wanted = new Set(listeners.map(listenerId));
  const found = new Map<string, Map<string, RouteId[]>>();
  for (const { route, listener, hostnames } of gateways.flatMap((key) => view.call(attachedRoutes, key))) {
    if (!wanted.has(listener)) continue;
    const domains = found.get(listener) ?? new Map<string, RouteId[]>();
    for (const hostname of hostnames) domains.set(hostname, [...(domains.get(hostname) ?? []), route]);
    found.set(listener, domains);
  }
  return found;
}

function mostSpecific(listeners: readonly Listener[], domain: string): Listener | undefined {
  let best: Listener | undefined;
  for (const listener of listeners) {
    const hostname = hostnameOf(listener);
    if (!hostCovers(hostname, domain)) continue;
    if (!best || specificity(hostname) > specificity(hostnameOf(best))) best = listener;
  }
  return best;
}

function specificity(hostname: string): number {
  if (hostname === '*') return 0;
  return hostname.startsWith('*') ? hostname.length : 10_000 + hostname.length;
}

/** Listeners of different Gateways may have the same host name: their routes share the domain. */
function routesFor(
  routes: RoutesByDomain,
  listeners: readonly Listener[],
  listener: Listener,
  domain: string,
): RouteId[] {
  const sharing = listeners.filter((other) => other.hostname === listener.hostname);
  return [...new Set(sharing.flatMap((other) => routes.get(listenerId(other))?.get(domain) ?? []))];
}

function sameHost(listeners: readonly Listener[], a: string, b: string): boolean {
  const hostname = (id: string) => listeners.find((listener) => listenerId(listener) === id)?.hostname;
  return hostname(a) === hostname(b);
}
