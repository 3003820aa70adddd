import type { Route, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { matchWords } from '../explain/match-words.ts';
import type { Model, ModelWorkload } from '../model/model.ts';
import { proxyOfWorkload } from '../model/workload-proxy.ts';
import { parseClusterName } from '../plan/names.ts';
import { type DecodedResources, unpack } from '../simulate/decoded-resources.ts';
import { originIn } from '../simulate/walk.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';

/** Proxies that are looked into: those of one kind have the same routes. */
const mostProxies = 4;
/** Endpoints that are named. */
const mostEndpoints = 4;

/** A rule of a VirtualService, by its place in `spec.http`. */
export interface RuleRef {
  readonly namespace: string;
  readonly name: string;
  readonly index: number;
}

/**
 * What a rule comes to in real proxies, as Markdown: which requests it takes, what stands before it, where they go. undefined: no
 * proxy of these files has the VirtualService at all.
 */
export function ruleHover(model: Model, rule: RuleRef): string | undefined {
  const candidates = [
    ...proxiesFor(model, rule.namespace).flatMap(({ key, proxy }) =>
      proxy ? [{ whose: `As the proxy of ${key} has it.`, proxy }] : [],
    ),
    // Many keep routes in one place and workloads in another.
    {
      whose: `As a sidecar of namespace ${rule.namespace} would have it: no workload of these files has it.`,
      proxy: anySidecar(model, rule.namespace),
    },
  ];
  const found = firstOf(candidates, ({ whose, proxy }) => {
    const resources = model.resources(proxy);
    const host = hostWith(resources, rule);
    return host && { whose, resources, host };
  });
  if (!found) return undefined;
  const { host, resources, whose } = found;
  const own = host.routes.filter((route) => isOf(route, rule));
  if (own.length === 0)
    return `No request comes to this rule: those before it take every one. (${whose.slice(0, -1)})`;
  const before = new Set(host.routes.slice(0, host.routes.indexOf(own[0] as Route)).map(ruleName));
  const lines = [
    `Takes requests to ${host.name.replace(/^.*\//, '')}${conditionsOf(own)}.`,
    ...(before.size > 0 ? [`Asked before it: ${[...before].join(', ')}.`] : []),
    ...own.slice(0, 1).flatMap((route) => destinationsOf(route, resources)),
    whose,
  ];
  return lines.join('\n\n');
}

function firstOf<T, R>(list: readonly T[], take: (one: T) => R | undefined): R | undefined {
  for (const one of list) {
    const result = take(one);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** One that is nobody's: no label, the namespace's default account. */
function anySidecar(model: Model, namespace: string): MeshProxy {
  const name = 'any';
  return proxyOfWorkload(
    {
      ...{ name, namespace, addresses: ['127.0.0.1'], labels: {}, serviceAccount: 'default' },
      ...{ network: '', locality: '', weight: 1, clusterId: 'Kubernetes', ports: {}, healthy: true },
      ...{ nodeName: '', tlsMode: 'istio', origin: { kind: 'Pod', namespace, name, path: '' } },
    },
    { type: 'sidecar', domainSuffix: model.mesh.domainSuffix },
  );
}

/** Sidecars of the namespace first, then gateways, then the others. */
function proxiesFor(model: Model, namespace: string): ModelWorkload[] {
  const all = [...model.workloads.values()].filter(({ proxy }) => proxy);
  const rank = ({ proxy }: ModelWorkload) =>
    proxy?.type === 'router' ? 1 : proxy?.namespace === namespace ? 0 : 2;
  const sorted = all.sort((a, b) => rank(a) - rank(b));
  const gateways = sorted.filter(({ proxy }) => proxy?.type === 'router').slice(0, mostProxies);
  return [...new Set([...sorted.slice(0, 1), ...gateways, ...sorted.slice(1, mostProxies)])];
}

function hostWith(resources: DecodedResources, rule: RuleRef): VirtualHost | undefined {
  const names = resources.listeners().flatMap(({ filterChains, defaultFilterChain }) =>
    [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])].flatMap(({ filters }) =>
      filters.flatMap(({ configType }) => {
        const config = configType.case === 'typedConfig' ? configType.value : undefined;
        const specifier = unpack(config, HttpConnectionManagerSchema)?.routeSpecifier;
        return specifier?.case === 'rds' ? [specifier.value.routeConfigName] : [];
      }),
    ),
  );
  for (const name of new Set(names)) {
    const config = resources.routeConfiguration(name);
    const hosts = config ? resources.virtualHosts(config) : [];
    const host = hosts.find(({ routes }) =>
      routes.some((route) => isOf(route, { ...rule, index: undefined })),
    );
    if (host) return host;
  }
  return undefined;
}

function isOf(
  route: Route,
  { namespace, name, index }: Omit<RuleRef, 'index'> & { index: number | undefined },
) {
  const origin = originIn(route.metadata);
  if (origin?.kind !== 'VirtualService' || origin.namespace !== namespace || origin.name !== name)
    return false;
  return (
    index === undefined ||
    origin.path === `spec.http[${index}]` ||
    origin.path.startsWith(`spec.http[${index}].`)
  );
}

function conditionsOf(routes: readonly Route[]): string {
  const words = [...new Set(routes.map(({ match }) => matchWords(match)))];
  if (words.includes('')) return ' that no rule before it takes';
  return ` whose ${words.join(', or whose ')}`;
}

function ruleName(route: Route): string {
  const conditions = matchWords(route.match);
  const index = /^spec\.http\[(\d+)\]/.exec(originIn(route.metadata)?.path ?? '')?.[1];
  return `${index === undefined ? 'a route' : `rule ${index}`}${conditions === '' ? '' : ` (${conditions})`}`;
}

function destinationsOf({ action }: Route, resources: DecodedResources): string[] {
  if (action.case !== 'route') return [];
  const { clusterSpecifier } = action.value;
  const clusters =
    clusterSpecifier.case === 'cluster'
      ? [{ name: clusterSpecifier.value, share: '' }]
      : clusterSpecifier.case === 'weightedClusters'
        ? shares(clusterSpecifier.value.clusters.map(({ name, weight }) => ({ name, weight: weight ?? 0 })))
        : [];
  return [clusters.map(({ name, share }) => `- ${share}${clusterWords(name, resources)}`).join('\n')];
}

function shares(clusters: readonly { name: string; weight: number }[]): { name: string; share: string }[] {
  const sum = clusters.reduce((total, { weight }) => total + weight, 0) || 1;
  return clusters.map(({ name, weight }) => ({ name, share: `${Math.round((weight * 100) / sum)} % to ` }));
}

function clusterWords(name: string, resources: DecodedResources): string {
  const parsed = parseClusterName(name);
  const cluster = resources.cluster(name);
  const words = parsed
    ? `${parsed.host}${parsed.subset ? ` subset ${parsed.subset}` : ''} port ${parsed.port}`
    : name;
  if (!cluster) return `${words}: **not there**, requests are answered with an error`;
  const endpoints = (resources.endpoints(cluster)?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints);
  if (cluster.edsClusterConfig === undefined && endpoints.length === 0) return `${words} (found by name)`;
  if (endpoints.length === 0) return `${words}: **no endpoint**, requests are answered 503`;
  const named = endpoints.slice(0, mostEndpoints).flatMap(({ hostIdentifier }) => {
    const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
    if (address?.case !== 'socketAddress') return [];
    const { portSpecifier } = address.value;
    return [`${address.value.address}:${portSpecifier.value}`];
  });
  const more = endpoints.length > named.length ? ', …' : '';
  return `${words}: ${endpoints.length} endpoint${endpoints.length === 1 ? '' : 's'} (${named.join(', ')}${more})`;
}
