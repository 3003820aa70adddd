import type { Origin } from '../../../config/origin.ts';
import { sniffedHttp } from '../../../envoy/listener.ts';
import { meshAlpn } from '../../../envoy/tls.ts';
import { explicitCapture, proxyType } from '../../../plan/attributes.ts';
import {
  type ClusterPlan,
  clusterPlan,
  singleEndpoint,
  type UpstreamProtocol,
} from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RouteShaper, Shaper } from '../../../plan/feature.ts';
import { filterChainPlan, type ListenerPlan, listenerPlan } from '../../../plan/listener-plan.ts';
import { inboundCluster, outboundCluster, passthroughCluster } from '../../../plan/names.ts';
import { ownEndpoints, splitOwnEndpoint } from '../../../plan/own-endpoints.ts';
import {
  anyPath,
  type ForwardAction,
  forwardTo,
  type RouteConfigurationPlan,
  type RoutePlan,
  routeConfigurationPlan,
  routePlan,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import {
  findPort,
  isCarried,
  isHttp,
  isSniffed,
  isTlsPort,
  portsOf,
  serviceFor,
  speaksHttp2,
  usesDynamicDns,
  visibleHosts,
} from '../../../plan/service-scope.ts';
import { parseProtocol } from '../../../registry/protocol.ts';
import type { Protocol } from '../../../registry/service.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { ExplicitCapture } from '../../../snapshot/proxy.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { ownDemand, parseDemand } from '../../security/peer-authentication/schema.ts';
import { inboundChains } from '../inbound/schema.ts';
import { extraHosts, hostDomains, isNear } from '../outbound/schema.ts';
import {
  connectionDestinations,
  hostRoutes,
  originIn,
  virtualServiceFor,
  virtualServiceKind,
} from '../virtual-service/schema.ts';

const loopback = '127.0.0.1';
export const forwardProxyRoutes = 'http_proxy';
const captureOrigin: Origin = { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'explicitCapture' };

interface Inbound {
  readonly servicePort: number;
  readonly listen: number;
  readonly app: number;
  readonly protocol: Protocol;
  /** The service, '' where unknown. */
  readonly service: Key;
}

/** The supervisor's allocation for a sidecar. Per workload: everything made from it is small. */
function captureOf(view: View): ExplicitCapture | undefined {
  if (view.attribute(proxyType) !== 'sidecar') return undefined;
  const text = view.attribute(explicitCapture);
  return text === '' ? undefined : (JSON.parse(text) as ExplicitCapture);
}

/** `host:port@local` of each outbound mapping. */
const outboundMappings = defineQuery('explicit.outbound', (view): readonly Key[] =>
  Object.entries(captureOf(view)?.outbound ?? {})
    .filter(([, local]) => local > 0)
    .map(([target, local]) => `${target}@${local}`)
    .sort(),
);

/** Each inbound mapping as canonical JSON, with what the registry knows of the port. */
const inboundMappings = defineQuery('explicit.inbound', (view): readonly Key[] => {
  const mappings = captureOf(view)?.inbound ?? [];
  if (mappings.length === 0) return [];
  const own = view.call(ownEndpoints).map(splitOwnEndpoint);
  const seen = new Set<number>();
  return mappings.flatMap(({ servicePort, listen, app, protocol }) => {
    if (seen.has(servicePort)) return [];
    seen.add(servicePort);
    const service = own.find((candidate) => candidate.servicePort === servicePort)?.service ?? '';
    const declared = view.call(portsOf, service).find((port) => port.port === servicePort)?.protocol;
    const entry: Inbound = {
      servicePort,
      listen,
      app,
      protocol: declared ?? parseProtocol(protocol ?? ''),
      service,
    };
    return [JSON.stringify(entry)];
  });
});

function splitTarget(target: string): { host: string; port: string; local: number } {
  const at = target.lastIndexOf('@');
  const address = at < 0 ? target : target.slice(0, at);
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon),
    port: address.slice(colon + 1),
    local: at < 0 ? 0 : Number(target.slice(at + 1)),
  };
}

function explicitRoutes(host: string, port: string): string {
  return `explicit.${host}:${port}`;
}

/** host, service port, local port, service */
function resolveOutbound(view: View, key: Key): readonly Key[] {
  const { host, port, local } = splitTarget(key);
  return [host, port, String(local), view.call(serviceFor, host)];
}

/** One loopback listener per service port: the application needs no Host and no DNS to be understood. */
function planOutbound(view: View, host: Key, portText: Key, local: Key, key: Key): ListenerPlan | undefined {
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
    },
    direction: 'outbound',
    origin,
  });
  const tcp = tcpTo(view, host, Number(portText), protocol, origin);
  const listener = {
    name: `explicit_${host}:${portText}`,
    address: loopback,
    port: Number(local),
    direction: 'outbound',
    bind: true,
    originalDestination: false,
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin,
  } as const;
  if (isHttp({ protocol })) return listenerPlan({ ...listener, chains: [http] });
  if (isSniffed({ protocol })) return listenerPlan({ ...listener, chains: [http], defaultChain: tcp });
  return isCarried({ protocol }) ? listenerPlan({ ...listener, chains: [tcp] }) : undefined;
}

function tcpTo(view: View, host: string, port: number, protocol: Protocol, origin: Origin) {
  const cluster = outboundCluster(port, '', host);
  const routed = connectionDestinations(view, host, port, isTlsPort({ protocol }) ? 'tls' : 'tcp');
  return filterChainPlan({
    name: cluster,
    match: {},
    network: {
      type: 'tcp',
      statPrefix: cluster,
      destinations: routed.length > 0 ? routed : [{ cluster, weight: 1, origin }],
      ...(isSniffed({ protocol }) ? { offerOnly: meshAlpn } : {}),
      idleTimeoutMs: 0,
    },
    direction: 'outbound',
    origin,
  });
}

export const explicitListeners: Shaper<ListenerPlan> = {
  name: 'explicit-outbound',
  keys: outboundMappings,
  resolve: resolveOutbound,
  plan: planOutbound,
};

function resolveInboundListener(view: View, text: Key): readonly Key[] {
  return [text, view.call(ownDemand)];
}

function planInboundListener(view: View, text: Key, demand: Key): ListenerPlan {
  const entry = JSON.parse(text) as Inbound;
  const origin = view.get(serviceKind, entry.service)?.origin ?? captureOrigin;
  return listenerPlan({
    name: `inbound_${loopback}_${entry.listen}`,
    address: loopback,
    port: entry.listen,
    direction: 'inbound',
    bind: true,
    originalDestination: false,
    chains: inboundChains(
      view,
      { port: entry.servicePort, protocol: entry.protocol, origin },
      {},
      parseDemand(demand),
    ),
    detectionTimeoutMs: 0,
    origin,
  });
}

export const explicitInboundListeners: Shaper<ListenerPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  resolve: resolveInboundListener,
  plan: planInboundListener,
};

function inboundProtocol(protocol: Protocol): UpstreamProtocol {
  if (speaksHttp2({ protocol })) return 'http2';
  if (protocol === 'HTTP') return 'http1';
  return isSniffed({ protocol }) ? 'http-auto' : 'tcp';
}

function planInboundCluster(view: View, text: Key): ClusterPlan {
  const entry = JSON.parse(text) as Inbound;
  const service = view.get(serviceKind, entry.service);
  return clusterPlan({
    name: inboundCluster(entry.servicePort),
    direction: 'inbound',
    discovery: { type: 'static', localities: singleEndpoint(loopback, entry.app) },
    protocol: inboundProtocol(entry.protocol),
    connectTimeoutMs: 10_000,
    ...(service
      ? {
          service: {
            hostname: service.hostname,
            name: service.name,
            namespace: service.namespace,
            port: entry.servicePort,
            subset: '',
          },
        }
      : {}),
    origin: service?.origin ?? captureOrigin,
  });
}

export const explicitInboundClusters: Shaper<ClusterPlan> = {
  name: 'explicit-inbound',
  keys: inboundMappings,
  plan: planInboundCluster,
};

const explicitRouteNames = defineQuery('explicit.route-configurations', (view): readonly Key[] =>
  view.call(outboundMappings).map((key) => {
    const { host, port } = splitTarget(key);
    return explicitRoutes(host, port);
  }),
);

const noHosts = defineQuery('explicit.no-hosts', (_, _name: Key): readonly Key[] => []);

/** host, port, service, virtual service */
function resolveExplicit(view: View, name: Key): readonly Key[] {
  const { host, port } = splitTarget(name.slice('explicit.'.length));
  return [host, port, view.call(serviceFor, host), view.call(virtualServiceFor, host)];
}

/** One host that takes whatever Host the application sends, and gives the destination its full name instead. */
function planExplicit(
  view: View,
  host: Key,
  portText: Key,
  service: Key,
  virtualService: Key,
): RouteConfigurationPlan {
  const port = Number(portText);
  const origin = view.get(serviceKind, service)?.origin ?? captureOrigin;
  const routes = hostRoutes(view, {
    host,
    service,
    virtualService,
    port,
    gateways: ['mesh'],
    tls: false,
    knownHost: host,
  }).map((route) => withAuthority(route, host));
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
  return { ...route, action };
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

const forwardProxyNames = defineQuery('explicit.forward-proxy', (view): readonly Key[] =>
  (captureOf(view)?.httpProxy ?? 0) > 0 ? [forwardProxyRoutes] : [],
);

function resolveForwardProxy(view: View): readonly Key[] {
  return [String(captureOf(view)?.httpProxy ?? 0)];
}

function planForwardProxy(view: View, local: Key): ListenerPlan {
  return listenerPlan({
    name: forwardProxyRoutes,
    address: loopback,
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
          dynamicForwardProxy:
            view.mesh('outboundTrafficPolicy') === 'ALLOW_ANY' || view.call(usesDynamicDns),
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

/** `host:port` of everything that can be asked for by name. */
const forwardProxyHosts = defineQuery('explicit.forward-proxy-hosts', (view, _name: Key): readonly Key[] => {
  const services = view
    .call(visibleHosts)
    .flatMap((host) => view.call(carriedPorts, view.call(serviceFor, host)).map((port) => `${host}:${port}`));
  const extra = view.call(extraHosts).map((entry) => {
    const [port, host] = entry.split('|');
    return `${host}:${port}`;
  });
  return [...new Set([...services, ...extra])].sort();
});

const carriedPorts = defineQuery('explicit.carried-ports', (view, service: Key): readonly string[] =>
  view
    .call(portsOf, service)
    .filter(isCarried)
    .map((port) => String(port.port)),
);

/** host, port, service, virtual service, near */
function resolveForwardProxyHost(view: View, _name: Key, key: Key): readonly Key[] {
  const { host, port } = splitTarget(key);
  return [host, port, view.call(serviceFor, host), view.call(virtualServiceFor, host), isNear(view, host)];
}

function planForwardProxyHost(
  view: View,
  host: Key,
  portText: Key,
  service: Key,
  virtualService: Key,
  near: Key,
): VirtualHostPlan | undefined {
  const port = Number(portText);
  const found = view.get(serviceKind, service);
  const protocol = found ? findPort(found, port)?.protocol : 'HTTP';
  const object = view.get(virtualServiceKind, virtualService);
  const origin = found?.origin ?? (object && originIn(object, 'spec.hosts'));
  if (!origin || protocol === undefined) return undefined;
  const http = isHttp({ protocol }) || isSniffed({ protocol });
  const routes = http
    ? hostRoutes(view, { host, service, virtualService, port, gateways: ['mesh'], tls: false })
    : [];
  // CONNECT host:port asks for the bytes themselves: TLS and other protocols that the proxy does not look into.
  if (found && !http) routes.push(connectRoute(outboundCluster(port, '', host), origin));
  if (routes.length === 0) return undefined;
  const domains = hostDomains(view, host, service, near).flatMap((name) =>
    portText === '80' ? [name, `${name}:80`] : [`${name}:${portText}`],
  );
  return virtualHostPlan({ name: `${host}:${portText}`, domains, routes, origin });
}

function connectRoute(cluster: string, origin: Origin): RoutePlan {
  return routePlan({
    name: 'connect',
    match: { ...anyPath, path: { type: 'connect' } },
    action: { ...forwardTo(cluster, origin), connect: true },
    origin,
  });
}

function planForwardProxyRoutes(view: View, name: Key): RouteConfigurationPlan {
  const allow = view.mesh('outboundTrafficPolicy') === 'ALLOW_ANY';
  const routes = allow
    ? [
        connectRoute(passthroughCluster, captureOrigin),
        routePlan({
          name: 'allow_any',
          match: anyPath,
          action: forwardTo(passthroughCluster, captureOrigin),
          origin: captureOrigin,
        }),
      ]
    : [
        routePlan({
          name: 'block_all',
          match: anyPath,
          action: { type: 'direct-response', status: 502 },
          origin: captureOrigin,
        }),
      ];
  return routeConfigurationPlan({
    name,
    inlineHosts: [
      virtualHostPlan({
        name: allow ? 'allow_any' : 'block_all',
        domains: ['*'],
        routes,
        origin: captureOrigin,
      }),
    ],
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
};
