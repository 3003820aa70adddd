import { sniffedHttp } from '../../../envoy/listener.ts';
import { meshAlpn } from '../../../envoy/tls.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RouteShaper, Shaper } from '../../../plan/feature.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { filterChainPlan, type ListenerPlan, listenerPlan, spokenOn } from '../../../plan/listener-plan.ts';
import {
  type ForwardAction,
  fullNameSlot,
  type RouteConfigurationPlan,
  type RoutePlan,
  routeConfigurationPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import {
  findPort,
  isCarried,
  isHidden,
  isHttp,
  isSniffed,
  isTlsPort,
  serviceOn,
} from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { withAbsentMarked } from '../outbound/schema.ts';
import { hostRoutes, tcpChains, virtualServiceOn } from '../virtual-service/schema.ts';
import { boundTo, captureOf, captureOrigin, loopbacksOf, splitTarget } from './capture.ts';

/** `host:port@local` of each outbound mapping, but for hosts that a Sidecar hides. */
const outboundMappings = defineQuery('explicit.outbound', (view): readonly Key[] =>
  Object.entries(captureOf(view)?.outbound ?? {})
    .filter(([target, local]) => local > 0 && isSeen(view, target))
    .map(([target, local]) => `${target}@${local}`)
    .sort(),
);

function isSeen(view: View, target: string): boolean {
  const { host, port } = splitTarget(target);
  return !isHidden(view, host, port) || virtualServiceOn(view, host, port) !== '';
}

function explicitRoutes(host: string, port: string): string {
  return `explicit.${host}:${port}`;
}

/** host, service port, local port, service, loopback addresses */
function resolveOutbound(view: View, key: Key): readonly Key[] {
  const { host, port, local } = splitTarget(key);
  return [host, port, String(local), serviceOn(view, host, port), loopbacksOf(view)];
}

/** One loopback listener per service port: the application needs no Host and no DNS to be understood. */
function planOutbound(
  view: View,
  host: Key,
  portText: Key,
  local: Key,
  key: Key,
  loopbacks: Key,
): ListenerPlan | undefined {
  const service = view.get(serviceKind, key);
  const port = service && findPort(service, Number(portText));
  // A service that is gone keeps its listener and answers 503: a refused connection would look like a broken proxy.
  const protocol = port?.protocol ?? 'HTTP';
  const origin = service?.origin ?? captureOrigin;
  const http = filterChainPlan({
    name: `${host}:${portText}`,
    match: isSniffed({ protocol }) ? { applicationProtocols: sniffedHttp } : {},
    network: {
      type: 'http',
      routes: { type: 'discovered', name: explicitRoutes(host, portText) },
      statPrefix: `outbound_${portText}_${host}`,
      role: 'outbound',
      mutualTls: false,
      ...(view.call(isLazy) ? { onDemand: 'clusters' as const } : {}),
    },
    direction: 'outbound',
    origin,
  });
  const tcp = tcpChains(view, {
    host,
    port: Number(portText),
    type: isTlsPort({ protocol }) ? 'tls' : 'tcp',
    addresses: service?.addresses ?? [],
    origin,
    chain: {
      ...(isSniffed({ protocol }) ? { offerOnly: meshAlpn } : {}),
      ...spokenOn(protocol, origin),
    },
  });
  const listener = {
    name: `explicit_${host}:${portText}`,
    ...boundTo(loopbacks),
    port: Number(local),
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin,
  } as const;
  if (isHttp({ protocol })) return listenerPlan({ ...listener, chains: [http] });
  // Applications call from this machine alone: a condition on their address, which could stand before HTTP, is not looked at.
  const rest = tcp.at(-1);
  if (isSniffed({ protocol }))
    return listenerPlan({ ...listener, chains: [http], ...(rest ? { defaultChain: rest } : {}) });
  return isCarried({ protocol }) ? listenerPlan({ ...listener, chains: tcp }) : undefined;
}

export const explicitListeners: Shaper<ListenerPlan> = {
  name: 'explicit-outbound',
  keys: outboundMappings,
  resolve: resolveOutbound,
  plan: planOutbound,
};

const explicitRouteNames = defineQuery('explicit.route-configurations', (view): readonly Key[] =>
  view.call(outboundMappings).map((key) => {
    const { host, port } = splitTarget(key);
    return explicitRoutes(host, port);
  }),
);

const noHosts = defineQuery('explicit.no-hosts', (_, _name: Key): readonly Key[] => []);

/** host, port, service, virtual service, lazy */
function resolveExplicit(view: View, name: Key): readonly Key[] {
  const { host, port } = splitTarget(name.slice('explicit.'.length));
  const lazy = view.call(isLazy) ? '1' : '';
  return [host, port, serviceOn(view, host, port), virtualServiceOn(view, host, port), lazy];
}

/** One host that takes whatever Host the application sends, and gives the destination its full name instead. */
function planExplicit(
  view: View,
  host: Key,
  portText: Key,
  service: Key,
  virtualService: Key,
  lazy: Key,
): RouteConfigurationPlan {
  const port = Number(portText);
  const origin = view.get(serviceKind, service)?.origin ?? captureOrigin;
  const found = hostRoutes(view, {
    host,
    service,
    virtualService,
    port,
    gateways: ['mesh'],
    tls: false,
    knownHost: host,
  });
  const marked = lazy === '' ? found : withAbsentMarked(view, found);
  const routes = marked.map((route) => withAuthority(route, host));
  const name = explicitRoutes(host, portText);
  return routeConfigurationPlan({
    name,
    inlineHosts: [virtualHostPlan({ name: `${host}:${portText}`, domains: ['*'], routes, origin })],
    allowVhds: false,
    ignorePort: false,
    origin,
  });
}

function withAuthority(route: RoutePlan, authority: string): RoutePlan {
  if (route.action.type !== 'forward' || route.action.authority !== undefined) return route;
  const action: ForwardAction = { ...route.action, authority };
  const named = { ...route, action };
  fill(named, fullNameSlot, true, route.origin);
  return named;
}

export const explicitRoutesShaper: RouteShaper = {
  name: 'explicit',
  keys: explicitRouteNames,
  resolve: resolveExplicit,
  plan: planExplicit,
  hosts: noHosts,
  resolveHost: () => undefined,
  planHost: () => undefined,
};
