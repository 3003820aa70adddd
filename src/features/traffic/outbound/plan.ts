import type { Origin } from '../../../config/origin.ts';
import { captureMode, proxyType } from '../../../plan/attributes.ts';
import { type ClusterPlan, clusterPlan } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { RouteShaper, Shaper } from '../../../plan/feature.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { blackHoleCluster, dynamicDnsCluster, passthroughCluster } from '../../../plan/names.ts';
import {
  anyPath,
  forwardTo,
  patient,
  type RouteAction,
  type RouteConfigurationPlan,
  routeConfigurationPlan,
  routePlan,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import { serviceOn } from '../../../plan/service-scope.ts';
import { outboundPolicy, unknownCluster } from '../../../plan/sidecar.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { virtualServiceOn } from '../virtual-service/schema.ts';
import { broughtHost } from './absent-clusters.ts';
import { askOutbound } from './lazy-hosts.ts';
import { outboundHost } from './outbound-host.ts';
import { groupOfKey, httpHosts, httpPorts, isNear, unknownOnPort } from './schema.ts';

/** The mesh's own settings. */
export function meshOrigin(path: string): Origin {
  return { kind: 'MeshConfig', namespace: '', name: 'mesh', path };
}

/** A sidecar to which the kernel redirects traffic. */
export function isCaptured(view: View): boolean {
  return view.attribute(proxyType) === 'sidecar' && view.attribute(captureMode) !== 'explicit';
}

const routeNames = defineQuery('outbound.route-configurations', (view): readonly Key[] =>
  isCaptured(view) ? view.call(httpPorts) : [],
);

function planRouteConfiguration(view: View, port: Key): RouteConfigurationPlan {
  return routeConfigurationPlan({
    name: port,
    // With a `*` host Envoy would never ask for another.
    inlineHosts: view.call(isLazy) ? [] : [unknownHost(view)],
    allowVhds: true,
    ignorePort: true,
    origin: view.call(outboundPolicy).origin,
  });
}

/** What happens to requests for hosts that nobody configured. */
function unknownHost(view: View, group?: string, domains: readonly string[] = ['*']): VirtualHostPlan {
  const policy = view.call(outboundPolicy);
  const { mode, origin } = policy;
  const name = {
    ALLOW_ANY: 'allow_any',
    REGISTRY_ONLY: 'block_all',
    ALLOW_ANY_DYNAMIC_DNS: 'allow_any_dynamic_dns',
  }[mode];
  const cluster = mode === 'ALLOW_ANY_DYNAMIC_DNS' ? dynamicDnsCluster : unknownCluster(policy);
  const action: RouteAction =
    mode === 'REGISTRY_ONLY' ? { type: 'direct-response', status: 502 } : forwardTo(cluster, origin);
  return virtualHostPlan({
    name: group ?? name,
    domains,
    routes: [routePlan({ name, match: anyPath, action, origin })],
    origin,
  });
}

/** port, host, service, virtual service, near, lazy */
function resolveHost(view: View, port: Key, host: Key): readonly Key[] {
  const lazy = view.call(isLazy) ? '1' : '';
  if (groupOfKey(host) !== undefined) return [port, host, '', '', '', lazy];
  return [
    port,
    host,
    serviceOn(view, host, port),
    virtualServiceOn(view, host, port),
    isNear(view, host),
    lazy,
  ];
}

function planHost(
  view: View,
  port: Key,
  host: Key,
  service: Key,
  virtualService: Key,
  near: Key,
  lazy: Key,
): VirtualHostPlan | undefined {
  const group = groupOfKey(host);
  if (group !== undefined) return patient(unknownHost(view, group, view.call(unknownOnPort, port, group)));
  const plan = outboundHost(view, { host, port, service, virtualService, near }, { withPort: false });
  return plan && lazy !== '' ? broughtHost(view, plan) : plan;
}

export const outboundRoutes: RouteShaper = {
  name: 'outbound',
  keys: routeNames,
  plan: planRouteConfiguration,
  hosts: httpHosts,
  resolveHost,
  planHost,
  ask: askOutbound,
};

const catchAllNames = defineQuery('outbound.catch-all-clusters', (view): readonly Key[] => {
  if (view.attribute(proxyType) !== 'sidecar') return [blackHoleCluster];
  const dynamic = view.call(outboundPolicy).mode === 'ALLOW_ANY_DYNAMIC_DNS';
  return [...(dynamic ? [dynamicDnsCluster] : []), blackHoleCluster, passthroughCluster];
});

/** name, capture */
function resolveCatchAll(view: View, name: Key): readonly Key[] {
  return [name, name === passthroughCluster && view.attribute(captureMode) === 'explicit' ? 'explicit' : ''];
}

/** In explicit capture nobody knows an original destination: unknown hosts are found by DNS. */
function planCatchAll(view: View, name: Key, capture: Key): ClusterPlan {
  const byName = capture === 'explicit' || name === dynamicDnsCluster;
  return clusterPlan({
    name,
    direction: 'passthrough',
    discovery:
      name === blackHoleCluster
        ? { type: 'nothing' }
        : { type: byName ? 'dynamic-dns' : 'original-destination' },
    protocol: name === blackHoleCluster ? 'http1' : 'http-auto',
    connectTimeoutMs: parseDuration(view.mesh('connectTimeout')) ?? 10_000,
    origin: meshOrigin('outboundTrafficPolicy'),
  });
}

export const catchAllClusters: Shaper<ClusterPlan> = {
  name: 'catch-all',
  keys: catchAllNames,
  resolve: resolveCatchAll,
  plan: planCatchAll,
};
