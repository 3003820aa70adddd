import type { Origin } from '../../../config/origin.ts';
import type { RouteShaper } from '../../../plan/feature.ts';
import {
  anyPath,
  type RouteConfigurationPlan,
  type RoutePlan,
  routeConfigurationPlan,
  routePlan,
  takesEverything,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hiddenAtEdges } from '../../telemetry/refusals/schema.ts';
import { planIngressRoutes } from '../ingress/schema.ts';
import { planHttpRoutes } from '../virtual-service/schema.ts';
import { gatewayAt, serverOrigin } from './gateways.ts';
import { alternativeService } from './http3.ts';
import { type BoundServer, boundServers, hostsOfServer, rulesHost, splitServerHost } from './servers.ts';
import { gatewayTopology } from './topology.ts';

/** What decides for one host of a route configuration. */
interface HostSources {
  /** In order: a virtual service (or the rules of Ingresses), the gateways that it is reached by, and the port that was asked. */
  readonly sources: readonly {
    readonly service: Key;
    readonly gateways: readonly Key[];
    readonly port: number;
  }[];
  readonly redirect: boolean;
  /** Where clients reach HTTPS, when it is not where the Host of a plain request says. */
  readonly securePort?: number;
  readonly tls: boolean;
  readonly port: number;
  /** `namespace/name#index` of the first server. */
  readonly server: string;
}

const routeNames = defineQuery('gateway.route-configurations', (view): readonly Key[] => [
  ...new Set(view.call(boundServers).flatMap((server) => (server.routes === '' ? [] : [server.routes]))),
]);

const serversOf = defineQuery('gateway.servers-of-routes', (view, name: Key): readonly BoundServer[] =>
  view.call(boundServers).filter((server) => server.routes === name),
);

const sourcesOf = defineQuery('gateway.sources', (view, name: Key): Readonly<Record<string, HostSources>> => {
  const hosts: Record<string, HostSources> = {};
  for (const server of view.call(serversOf, name)) {
    const object = gatewayAt(view, server.gateway);
    const spec = object?.spec?.servers?.[server.index];
    const redirect = spec?.tls?.httpsRedirect ?? false;
    const allocated = redirect ? allocatedSecurePort(view, server) : undefined;
    const found: Record<string, readonly Key[]> = {
      ...view.call(hostsOfServer, server.gateway, String(server.index)),
    };
    // A redirect needs no virtual service.
    if (redirect)
      for (const host of spec?.hosts ?? [])
        found[splitServerHost(host, object?.metadata.namespace ?? 'default').host] ??= [];
    for (const [host, services] of Object.entries(found)) {
      const known = hosts[host];
      const sources = [...(known?.sources ?? [])];
      for (const service of services) {
        const at = sources.findIndex(
          (source) => source.service === service && source.port === server.serverPort,
        );
        const old = sources[at];
        if (!old) sources.push({ service, gateways: [server.gateway], port: server.serverPort });
        else if (!old.gateways.includes(server.gateway))
          sources[at] = { ...old, gateways: [...old.gateways, server.gateway] };
      }
      const securePort = allocated ?? known?.securePort;
      hosts[host] = {
        sources,
        redirect: redirect || (known?.redirect ?? false),
        ...(securePort === undefined ? {} : { securePort }),
        tls: server.kind === 'https',
        port: known?.port ?? server.serverPort,
        server: known?.server ?? `${server.gateway}#${server.index}`,
      };
    }
  }
  return hosts;
});

/**
 * Envoy keeps the port of the request's Host when it redirects to HTTPS, and where a supervisor allocated the ports that is the plain one.
 * Behind proxies that are trusted to say how clients came, Envoy alone knows who needs the redirect.
 */
function allocatedSecurePort(view: View, plain: BoundServer): number | undefined {
  if (!plain.allocated || view.call(gatewayTopology).trust.trustedHops > 0) return undefined;
  const secure = view.call(boundServers).filter(({ kind, allocated }) => kind === 'https' && allocated);
  const own = secure.filter(({ gateway }) => gateway === plain.gateway);
  return (own.find(({ serverPort }) => serverPort === 443) ?? own[0] ?? secure[0])?.port;
}

/** Hosts that may travel alone: all but `*`, which is part of the route configuration. */
const hostNames = defineQuery('gateway.hosts', (view, name: Key): readonly Key[] =>
  Object.keys(view.call(sourcesOf, name))
    .filter((host) => host !== '*')
    .sort(),
);

/** host, its sources as text */
function resolveHost(view: View, name: Key, host: Key): readonly Key[] | undefined {
  const sources = view.call(sourcesOf, name)[host];
  return sources && [host, JSON.stringify(sources)];
}

function planHost(view: View, host: Key, text: Key): VirtualHostPlan {
  const { sources, redirect, securePort, tls, port, server } = JSON.parse(text) as HostSources;
  const origin = originOfServer(view, server);
  const name = `${host}:${port}`;
  if (securePort !== undefined)
    return virtualHostPlan({ name, domains: [host], routes: [redirectTo(securePort, origin)], origin });
  const routes = sources.flatMap((source) => {
    const rules = rulesHost(source.service);
    if (rules !== undefined) return planIngressRoutes(view, rules);
    return planHttpRoutes(view, source.service, { port: source.port, gateways: source.gateways, tls });
  });
  return virtualHostPlan({
    name,
    domains: [host],
    routes: catchAllLast(routes),
    ...(redirect ? { requireTls: true } : {}),
    origin,
  });
}

function redirectTo(port: number, origin: Origin): RoutePlan {
  return routePlan({
    name: 'https-redirect',
    match: anyPath,
    action: { type: 'redirect', code: 301, scheme: 'https', port },
    origin,
  });
}

/** Where several virtual services share a host, one that takes everything must not hide the next. */
function catchAllLast(routes: readonly RoutePlan[]): RoutePlan[] {
  const isCatchAll = ({ match }: RoutePlan): boolean => takesEverything(match);
  return [...routes.filter((route) => !isCatchAll(route)), ...routes.filter(isCatchAll)];
}

function originOfServer(view: View, server: string): Origin {
  const hash = server.lastIndexOf('#');
  return serverOrigin(view, server.slice(0, hash), Number(server.slice(hash + 1)));
}

function resolveRoutes(view: View, name: Key): readonly Key[] | undefined {
  const [first] = view.call(serversOf, name);
  if (!first) return undefined;
  const star = view.call(sourcesOf, name)['*'];
  return [
    name,
    `${first.gateway}#${first.index}`,
    String(first.serverPort),
    star ? JSON.stringify(star) : view.call(hostNames, name).length > 0 ? 'none' : '',
    JSON.stringify(alternativeService(first)),
  ];
}

function planRoutes(
  view: View,
  name: Key,
  server: Key,
  port: Key,
  star: Key,
  headersText: Key,
): RouteConfigurationPlan {
  const origin = originOfServer(view, server);
  const responseHeaders = JSON.parse(headersText) as [string, string][];
  return routeConfigurationPlan({
    name,
    inlineHosts: starHosts(view, port, star, origin),
    allowVhds: true,
    ignorePort: true,
    policyPort: Number(port),
    ...(responseHeaders.length > 0 ? { responseHeaders } : {}),
    ...hiddenAtEdges(view),
    origin,
  });
}

/** `none`: other hosts answer, and what they do not know is not found. '': there is nothing yet. */
function starHosts(view: View, port: Key, star: Key, origin: Origin): VirtualHostPlan[] {
  if (star === 'none') return [];
  if (star !== '') return [planHost(view, '*', star)];
  return [virtualHostPlan({ name: `blackhole:${port}`, domains: ['*'], routes: [], origin })];
}

export const gatewayRoutes: RouteShaper = {
  name: 'gateway',
  keys: routeNames,
  resolve: resolveRoutes,
  plan: planRoutes,
  hosts: hostNames,
  resolveHost,
  planHost,
};
