import { splitKey } from '../../../config/object.ts';
import { type ClusterPlan, clusterPlan } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { NetworkFilterFragment, Shaper } from '../../../plan/feature.ts';
import { hostCovers } from '../../../plan/hosts.ts';
import { type FilterChainPlan, filterChainPlan, sniRoutedSlot } from '../../../plan/listener-plan.ts';
import { blackHoleCluster, clusterSni, outboundCluster, parseClusterName } from '../../../plan/names.ts';
import { isCarried, portsOf, serviceFor, visibleHosts } from '../../../plan/service-scope.ts';
import { fill, read } from '../../../plan/slot.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointSet } from '../../security/mutual-tls/schema.ts';
import { destinationRuleFor, subsetsOf } from '../destination-rule/schema.ts';
import { passBySni } from './envoy.ts';
import { gatewayKind } from './kinds.ts';
import { type BoundServer, boundServers, splitServerHost } from './servers.ts';

/** By which sidecars, ours and Istio's, mark mesh TLS: only that is passed on. */
const meshProtocols = ['istio', 'istio-peer-exchange', 'istio-h2', 'istio-http/1.1', 'istio-http/1.0'];

/** One chain per server, whatever there is behind it: the server name itself is the cluster's name. */
export function autoPassthroughChain(
  server: BoundServer,
  names: readonly string[],
  origin: FilterChainPlan['origin'],
): FilterChainPlan {
  const chain = filterChainPlan({
    name: `auto-passthrough.${server.port}.${server.index}`,
    match: {
      transport: 'tls',
      applicationProtocols: meshProtocols,
      ...(names.includes('*') ? {} : { serverNames: names }),
    },
    network: {
      type: 'tcp',
      statPrefix: 'sni',
      destinations: [{ cluster: blackHoleCluster, weight: 1, origin }],
      idleTimeoutMs: 0,
    },
    direction: 'gateway',
    origin,
  });
  fill(chain, sniRoutedSlot, true, origin);
  return chain;
}

export function sniRouting(chain: FilterChainPlan): readonly NetworkFilterFragment[] {
  return read(chain, sniRoutedSlot) ? passBySni : [];
}

/** The hosts that the asking proxy's AUTO_PASSTHROUGH servers open, as patterns. */
const openedHosts = defineQuery('gateway.auto-passthrough-hosts', (view): readonly string[] => {
  const hosts = new Set<string>();
  for (const { kind, gateway, index } of view.call(boundServers)) {
    if (kind !== 'auto-passthrough') continue;
    const object = view.get(gatewayKind, gateway);
    for (const host of object?.spec?.servers?.[index]?.hosts ?? [])
      hosts.add(splitServerHost(host, object?.metadata.namespace ?? 'default').host);
  }
  return [...hosts].sort();
});

/** Clusters of a host's ports and subsets, by the names that server names spell. What is outside the mesh takes no mesh TLS. */
const clustersOfHost = defineQuery('gateway.sni-clusters-of-host', (view, host: Key): readonly Key[] => {
  const key = view.call(serviceFor, host);
  const service = key === '' ? undefined : view.get(serviceKind, key);
  if (
    !service ||
    service.external ||
    (service.resolution !== 'static' && service.resolution !== 'passthrough')
  )
    return [];
  const rules = view.call(destinationRuleFor, host, splitKey(key).namespace);
  const subsets = rules === '' ? [] : view.call(subsetsOf, rules).map(({ name }) => name);
  return view
    .call(portsOf, key)
    .filter(isCarried)
    .flatMap(({ port }) => ['', ...subsets].map((subset) => outboundCluster(port, subset, host)));
});

const clusterKeys = defineQuery('gateway.sni-clusters', (view): readonly Key[] => {
  const opened = view.call(openedHosts);
  if (opened.length === 0) return [];
  return view
    .call(visibleHosts)
    .filter((host) => opened.some((pattern) => hostCovers(pattern, host)))
    .flatMap((host) => view.call(clustersOfHost, host));
});

/** The cluster that it shares its endpoints with, service key */
function resolveCluster(view: View, key: Key): readonly Key[] | undefined {
  const host = parseClusterName(key)?.host;
  const service = host === undefined ? '' : view.call(serviceFor, host);
  return service === '' ? undefined : [key, service];
}

function planCluster(view: View, key: Key, serviceKey: Key): ClusterPlan | undefined {
  const name = parseClusterName(key);
  const service = view.get(serviceKind, serviceKey);
  if (!name || !service) return undefined;
  return clusterPlan({
    name: clusterSni(name.port, name.subset, name.host),
    direction: 'outbound',
    discovery: { type: 'eds', serviceName: endpointSet(view, serviceKey, name.port, key) },
    protocol: 'tcp',
    connectTimeoutMs: parseDuration(view.mesh('connectTimeout')) ?? 10_000,
    origin: service.origin,
  });
}

/** TLS goes on as it came, from client to server: these clusters add none. */
export const sniClusters: Shaper<ClusterPlan> = {
  name: 'sni',
  keys: clusterKeys,
  resolve: resolveCluster,
  plan: planCluster,
};
