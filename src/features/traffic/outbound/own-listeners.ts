import type { Origin } from '../../../config/origin.ts';
import { captureMode } from '../../../plan/attributes.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RouteShaper, Shaper } from '../../../plan/feature.ts';
import { isLazy } from '../../../plan/lazy.ts';
import {
  type FilterChainPlan,
  filterChainPlan,
  type ListenerPlan,
  listenerPlan,
} from '../../../plan/listener-plan.ts';
import { blackHoleCluster, dynamicDnsCluster, passthroughCluster } from '../../../plan/names.ts';
import {
  anyPath,
  forwardTo,
  type RouteConfigurationPlan,
  routeConfigurationPlan,
  routePlan,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import { findPort, isHttp, isSniffed, portsOf } from '../../../plan/service-scope.ts';
import {
  type EgressListener,
  egressListeners,
  outboundPolicy,
  scopeOf,
  sidecarOf,
  sidecarOrigin,
  unknownCluster,
} from '../../../plan/sidecar.ts';
import { importedService, scopedHosts } from '../../../plan/sidecar-scope.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { virtualServiceAt } from '../virtual-service/schema.ts';
import { withAbsentMarked } from './absent-clusters.ts';
import { isNear } from './domains.ts';
import { targetChains } from './listeners.ts';
import { outboundHost } from './outbound-host.ts';
import { type OwnPlace, ownPlaces } from './own-places.ts';

/*
 * Egress listeners of a Sidecar that have an address or a socket of their own. The application calls them on purpose; nobody knows where
 * else a connection might have been meant to go.
 */

const placeNames = defineQuery('outbound.own-listeners', (view): readonly Key[] =>
  view.call(ownPlaces).map(({ name }) => name),
);

interface Opened extends OwnPlace {
  readonly scope: Key;
  readonly listener: EgressListener;
  readonly origin: Origin;
}

function open(view: View, name: Key): Opened | undefined {
  const place = view.call(ownPlaces).find((one) => one.name === name);
  const scope = view.call(scopeOf);
  const sidecar = sidecarOf(view, scope);
  const listener = place && view.call(egressListeners, scope)[place.position];
  if (!place || !sidecar || !listener) return undefined;
  return { ...place, scope, listener, origin: sidecarOrigin(sidecar, `spec.egress[${listener.index}]`) };
}

/** `host|port` of what the listener lets in. */
const targets = defineQuery('outbound.own-targets', (view, scope: Key, position: Key): readonly Key[] => {
  const listener = view.call(egressListeners, scope)[Number(position)];
  if (!listener) return [];
  return view.call(scopedHosts, scope).flatMap((host) =>
    view
      .call(portsOf, view.call(importedService, scope, position, host))
      .filter(({ port }) => listener.port === undefined || !listener.matchPort || port === listener.port)
      .map(({ port }) => `${host}|${port}`),
  );
});

function splitPair(key: Key): { readonly host: string; readonly port: number } {
  const bar = key.lastIndexOf('|');
  return { host: key.slice(0, bar), port: Number(key.slice(bar + 1)) };
}

/** The targets that speak HTTP, or may. */
function httpTargets(view: View, { scope, position }: Opened): Key[] {
  return view.call(targets, scope, String(position)).filter((key) => {
    const { host, port } = splitPair(key);
    const service = view.get(serviceKind, view.call(importedService, scope, String(position), host));
    const found = service && findPort(service, port);
    return found !== undefined && (isHttp(found) || isSniffed(found));
  });
}

/** As the listener says; where it says nothing, as what it lets in speaks. */
function speaksHttp(view: View, opened: Opened): boolean {
  const { protocol } = opened.listener;
  if (protocol === '') return httpTargets(view, opened).length > 0;
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC_WEB', 'HTTP_PROXY'].includes(protocol);
}

function planListener(view: View, name: Key): ListenerPlan | undefined {
  const opened = open(view, name);
  if (!opened) return undefined;
  const { address, port, bind, origin } = opened;
  const chain = speaksHttp(view, opened) ? httpChain(view, opened) : undefined;
  const tcp = chain ? [] : firstTarget(view, opened);
  return listenerPlan({
    name,
    address,
    port,
    direction: 'outbound',
    bind,
    originalDestination: false,
    chains: chain ? [chain] : tcp.length > 0 ? tcp : [nowhere(origin)],
    detectionTimeoutMs: parseDuration(view.mesh('protocolDetectionTimeout')) ?? 0,
    origin,
  });
}

function httpChain(view: View, { name, listener, origin }: Opened): FilterChainPlan {
  return filterChainPlan({
    name,
    match: {},
    network: {
      type: 'http',
      routes: { type: 'discovered', name },
      statPrefix: `outbound_${name}`,
      role: listener.protocol === 'HTTP_PROXY' ? 'forward-proxy' : 'outbound',
      mutualTls: false,
      ...(view.call(isLazy) ? { onDemand: 'clusters' as const } : {}),
      dynamicForwardProxy: true,
    },
    direction: 'outbound',
    origin,
  });
}

/** Connections say nothing to choose by: the first service that the listener lets in has them. */
function firstTarget(view: View, { scope, position }: Opened): FilterChainPlan[] {
  const [first] = view.call(targets, scope, String(position));
  if (first === undefined) return [];
  const { host, port } = splitPair(first);
  const service = view.get(serviceKind, view.call(importedService, scope, String(position), host));
  const found = service && findPort(service, port);
  return service && found ? targetChains(view, service, found, [{}]) : [];
}

function nowhere(origin: Origin): FilterChainPlan {
  return filterChainPlan({
    name: 'nowhere',
    match: {},
    network: {
      type: 'tcp',
      statPrefix: blackHoleCluster,
      destinations: [{ cluster: blackHoleCluster, weight: 1, origin }],
      idleTimeoutMs: 0,
    },
    direction: 'outbound',
    origin,
  });
}

export const ownListeners: Shaper<ListenerPlan> = {
  name: 'outbound-own',
  keys: placeNames,
  plan: planListener,
};

const tableNames = defineQuery('outbound.own-tables', (view): readonly Key[] =>
  view.call(placeNames).filter((name) => {
    const opened = open(view, name);
    return opened !== undefined && speaksHttp(view, opened);
  }),
);

function planTable(view: View, name: Key): RouteConfigurationPlan | undefined {
  const opened = open(view, name);
  return (
    opened &&
    routeConfigurationPlan({
      name,
      inlineHosts: [unknownHost(view)],
      allowVhds: true,
      // Where the port is not known beforehand, the Host says it.
      ignorePort: opened.listener.matchPort,
      origin: opened.origin,
    })
  );
}

/** Names are resolved where that is possible; an original destination would be the listener itself. */
function unknownHost(view: View): VirtualHostPlan {
  const policy = view.call(outboundPolicy);
  const { mode, origin, proxy } = policy;
  const explicit = view.attribute(captureMode) === 'explicit';
  const cluster =
    mode === 'ALLOW_ANY_DYNAMIC_DNS' && !explicit
      ? dynamicDnsCluster
      : mode !== 'REGISTRY_ONLY' && (proxy || explicit)
        ? proxy
          ? unknownCluster(policy)
          : passthroughCluster
        : '';
  const name = cluster === '' ? 'block_all' : 'allow_any';
  const action =
    cluster === '' ? ({ type: 'direct-response', status: 502 } as const) : forwardTo(cluster, origin);
  return virtualHostPlan({
    name,
    domains: ['*'],
    routes: [routePlan({ name, match: anyPath, action, origin })],
    origin,
  });
}

const tableHosts = defineQuery('outbound.own-table-hosts', (view, name: Key): readonly Key[] => {
  const opened = open(view, name);
  return opened ? httpTargets(view, opened).sort() : [];
});

/** host, port, service, virtual service, near, `1` where the Host must name the port, lazy */
function resolveHost(view: View, name: Key, key: Key): readonly Key[] | undefined {
  const opened = open(view, name);
  if (!opened) return undefined;
  const { scope, position, listener } = opened;
  const { host, port } = splitPair(key);
  return [
    host,
    String(port),
    view.call(importedService, scope, String(position), host),
    virtualServiceAt(view, scope, position, host),
    isNear(view, host),
    listener.matchPort ? '' : '1',
    view.call(isLazy) ? '1' : '',
  ];
}

function planHost(
  view: View,
  host: Key,
  port: Key,
  service: Key,
  virtualService: Key,
  near: Key,
  withPort: Key,
  lazy: Key,
): VirtualHostPlan | undefined {
  const target = { host, port, service, virtualService, near };
  const plan = outboundHost(view, target, { withPort: withPort !== '' });
  return plan && lazy !== '' ? { ...plan, routes: withAbsentMarked(view, plan.routes) } : plan;
}

export const ownTables: RouteShaper = {
  name: 'outbound-own',
  keys: tableNames,
  plan: planTable,
  hosts: tableHosts,
  resolveHost,
  planHost,
};
