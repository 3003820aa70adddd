import type { Origin } from '../../../config/origin.ts';
import type { RouteShaper, Shaper } from '../../../plan/feature.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { filterChainPlan, type ListenerPlan, listenerPlan } from '../../../plan/listener-plan.ts';
import { outboundCluster } from '../../../plan/names.ts';
import {
  anyPath,
  forwardTo,
  patient,
  type RouteConfigurationPlan,
  type RoutePlan,
  routeConfigurationPlan,
  routePlan,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import { findPort, isHttp, isSniffed, serviceOn } from '../../../plan/service-scope.ts';
import { outboundPolicy, unknownCluster } from '../../../plan/sidecar.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { broughtHost, groupOfKey, isNear, outboundHost, outboundHostRoutes } from '../outbound/schema.ts';
import { virtualServiceOn } from '../virtual-service/schema.ts';
import { boundTo, captureOf, captureOrigin, loopbacksOf, splitTarget } from './capture.ts';
import {
  askForwardProxy,
  forwardProxyHosts,
  forwardProxyRoutes,
  unknownAsked,
} from './forward-proxy-hosts.ts';

const forwardProxyNames = defineQuery('explicit.forward-proxy', (view): readonly Key[] =>
  (captureOf(view)?.httpProxy ?? 0) > 0 ? [forwardProxyRoutes] : [],
);

function resolveForwardProxy(view: View): readonly Key[] {
  return [String(captureOf(view)?.httpProxy ?? 0), loopbacksOf(view)];
}

function planForwardProxy(view: View, local: Key, loopbacks: Key): ListenerPlan {
  return listenerPlan({
    name: forwardProxyRoutes,
    ...boundTo(loopbacks),
    port: Number(local),
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    chains: [
      filterChainPlan({
        name: forwardProxyRoutes,
        match: {},
        network: {
          type: 'http',
          routes: { type: 'discovered', name: forwardProxyRoutes },
          statPrefix: 'outbound_http_proxy',
          role: 'forward-proxy',
          mutualTls: false,
          ...(view.call(isLazy) ? { onDemand: 'hosts' as const } : {}),
          // Some host may be found by its name only: entries of resolution NONE or DYNAMIC_DNS, and unknown hosts.
          dynamicForwardProxy: true,
        },
        direction: 'outbound',
        origin: captureOrigin,
      }),
    ],
    detectionTimeoutMs: 0,
    origin: captureOrigin,
  });
}

export const forwardProxyListener: Shaper<ListenerPlan> = {
  name: 'explicit-forward-proxy',
  keys: forwardProxyNames,
  resolve: resolveForwardProxy,
  plan: planForwardProxy,
};

/** host, port, service, virtual service, near, lazy */
function resolveForwardProxyHost(view: View, _name: Key, key: Key): readonly Key[] {
  const lazy = view.call(isLazy) ? '1' : '';
  if (groupOfKey(key) !== undefined) return [key, '', '', '', '', lazy];
  const { host, port } = splitTarget(key);
  return [
    host,
    port,
    serviceOn(view, host, port),
    virtualServiceOn(view, host, port),
    isNear(view, host),
    lazy,
  ];
}

function planForwardProxyHost(
  view: View,
  host: Key,
  port: Key,
  service: Key,
  virtualService: Key,
  near: Key,
  lazy: Key,
): VirtualHostPlan | undefined {
  const group = groupOfKey(host);
  if (group !== undefined) return patient(unknownHost(view, group, view.call(unknownAsked, group)));
  const target = { host, port, service, virtualService, near };
  const found = view.get(serviceKind, service);
  const protocol = found ? findPort(found, Number(port))?.protocol : 'HTTP';
  if (protocol === undefined) return undefined;
  const http = isHttp({ protocol }) || isSniffed({ protocol });
  const routes = http ? outboundHostRoutes(view, target) : [];
  // CONNECT host:port asks for the bytes themselves: TLS and other protocols that the proxy does not look into.
  if (found && !http) routes.push(connectRoute(outboundCluster(Number(port), '', host), found.origin));
  const plan = outboundHost(view, target, { withPort: true, routes });
  return plan && lazy !== '' ? broughtHost(view, plan) : plan;
}

function connectRoute(cluster: string, origin: Origin): RoutePlan {
  return routePlan({
    name: 'connect',
    match: { ...anyPath, path: { type: 'connect' } },
    action: { ...forwardTo(cluster, origin), connect: true },
    origin,
  });
}

/** What happens to requests for hosts that nobody configured. */
function unknownHost(view: View, group?: string, domains: readonly string[] = ['*']): VirtualHostPlan {
  const policy = view.call(outboundPolicy);
  const allow = policy.mode !== 'REGISTRY_ONLY';
  // Nobody knows an original destination here: unknown hosts are found by DNS whatever the policy calls it.
  const cluster = unknownCluster(policy);
  const { origin } = policy;
  const routes = allow
    ? [
        connectRoute(cluster, origin),
        routePlan({ name: 'allow_any', match: anyPath, action: forwardTo(cluster, origin), origin }),
      ]
    : [
        routePlan({
          name: 'block_all',
          match: anyPath,
          action: { type: 'direct-response', status: 502 },
          origin,
        }),
      ];
  const name = group ?? (allow ? 'allow_any' : 'block_all');
  return virtualHostPlan({ name, domains, routes, origin });
}

function planForwardProxyRoutes(view: View, name: Key): RouteConfigurationPlan {
  return routeConfigurationPlan({
    name,
    // With a `*` host Envoy would never ask for another.
    inlineHosts: view.call(isLazy) ? [] : [unknownHost(view)],
    allowVhds: true,
    ignorePort: false,
    origin: captureOrigin,
  });
}

export const forwardProxyRoutesShaper: RouteShaper = {
  name: 'explicit-forward-proxy',
  keys: forwardProxyNames,
  plan: planForwardProxyRoutes,
  hosts: forwardProxyHosts,
  resolveHost: resolveForwardProxyHost,
  planHost: planForwardProxyHost,
  ask: askForwardProxy,
};
