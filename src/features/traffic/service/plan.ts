import { splitKey } from '../../../config/object.ts';
import { captureMode, proxyLocality, proxyType } from '../../../plan/attributes.ts';
import {
  type ClusterPlan,
  clusterPlan,
  type Discovery,
  type EndpointsPlan,
  endpointsPlan,
  singleEndpoint,
} from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { Shaper } from '../../../plan/feature.ts';
import { lookupFamily } from '../../../plan/ip-families.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { loadedHosts } from '../../../plan/loaded-hosts.ts';
import { outboundCluster, parseClusterName } from '../../../plan/names.ts';
import {
  findPort,
  isHttp,
  portsOf,
  serviceFor,
  spokenTo,
  visibleHosts,
} from '../../../plan/service-scope.ts';
import { fill } from '../../../plan/slot.ts';
import type { Endpoint, MeshService, ServicePort } from '../../../registry/service.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key, type Query } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointSet } from '../../security/mutual-tls/schema.ts';
import { appliedRulesSlot, destinationRuleFor, subsetsOf } from '../destination-rule/schema.ts';
import { clustersOfHost } from './clusters-of-host.ts';
import { anyCaller, localities } from './localities.ts';
import { localityPolicy } from './locality-policy.ts';
import { priorityValues } from './topology.ts';

/** What a query names for the hosts that the asking proxy has, but for the HTTP ports of hosts that it did not use. */
function loaded(view: View, namesOf: Query<[Key], readonly Key[]>): Key[] {
  if (!view.call(isLazy)) return view.call(visibleHosts).flatMap((host) => view.call(namesOf, host));
  return view.call(loadedHosts).flatMap(({ host, whole }) => {
    const names = view.call(namesOf, host);
    return whole ? names : names.filter((name) => !isHttpCluster(view, name));
  });
}

function isHttpCluster(view: View, name: Key): boolean {
  const { host = '', port } = parseClusterName(name) ?? {};
  const found = view.call(portsOf, view.call(serviceFor, host)).find((candidate) => candidate.port === port);
  return found !== undefined && isHttp(found);
}

const clusterKeys = defineQuery('service.clusters', (view): readonly Key[] => loaded(view, clustersOfHost));

/** service key, port, subset, rules, how passthrough services are reached, which addresses of a name are called. */
function resolveCluster(view: View, name: Key): readonly Key[] | undefined {
  const parsed = parseClusterName(name);
  if (!parsed) return undefined;
  const service = view.call(serviceFor, parsed.host);
  if (service === '') return undefined;
  const rules = view.call(destinationRuleFor, parsed.host, splitKey(service).namespace);
  return [service, String(parsed.port), parsed.subset, rules, reach(view, service), lookup(view, service)];
}

/** Which addresses of a name are called; only services that DNS finds ask. */
function lookup(view: View, service: Key): Key {
  const resolution = view.call(resolutionOf, service) ?? '';
  return ['dns', 'dns-round-robin', 'alias'].includes(resolution) ? view.attribute(lookupFamily) : '';
}

const resolutionOf = defineQuery(
  'service.resolution',
  (view, key: Key) => view.get(serviceKind, key)?.resolution,
);

/**
 * `original` where the proxy knows which address the application called (transparent capture), else `balanced` over the endpoints, or
 * by the `named` host. Only headless services and entries of resolution NONE ask.
 */
function reach(view: View, service: Key): Key {
  if (view.call(resolutionOf, service) !== 'passthrough') return '';
  const captured = view.attribute(captureMode);
  const sidecar = view.attribute(proxyType) !== 'router';
  if (sidecar && captured !== 'explicit' && captured !== 'none') return 'original';
  // Nobody knows the address that was called, and an entry of resolution NONE has no endpoints: the name must do.
  return sidecar && view.call(isNamedOnly, service) ? 'named' : 'balanced';
}

const isNamedOnly = defineQuery('service.named-only', (view, key: Key): boolean => {
  const service = view.get(serviceKind, key);
  return service?.source === 'service-entry' && service.resolution === 'passthrough';
});

function planCluster(
  view: View,
  key: Key,
  portText: Key,
  subset: Key,
  rules: Key,
  reached: Key,
  families: Key,
): ClusterPlan | undefined {
  const service = view.get(serviceKind, key);
  const port = service && findPort(service, Number(portText));
  if (!service || !port) return undefined;
  const found = subset === '' ? undefined : view.call(subsetsOf, rules).find((s) => s.name === subset);
  const name = outboundCluster(port.port, subset, service.hostname);
  const discovery = discoveryOf(view, service, key, port, found?.labels ?? {}, reached);
  const plan = clusterPlan({
    name,
    direction: 'outbound',
    discovery: namedSet(view, discovery, key, port.port, name),
    ...(families === '' ? {} : { lookup: families as NonNullable<ClusterPlan['lookup']> }),
    protocol: spokenTo(port),
    service: {
      hostname: service.hostname,
      name: service.name,
      namespace: service.namespace,
      port: port.port,
      subset,
    },
    connectTimeoutMs: parseDuration(view.mesh('connectTimeout')) ?? 10_000,
    origin: found?.origin ?? service.origin,
  });
  fill(plan, appliedRulesSlot, rules, service.origin);
  return plan;
}

/** Endpoints that Envoy asks for by another name than the cluster's. */
function namedSet(view: View, discovery: Discovery, service: Key, port: number, cluster: string): Discovery {
  if (discovery.type !== 'eds' || discovery.serviceName !== undefined) return discovery;
  const set = endpointSet(view, service, port, cluster);
  return set === cluster ? discovery : { type: 'eds', serviceName: set };
}

function discoveryOf(
  view: View,
  service: MeshService,
  key: Key,
  port: ServicePort,
  labels: Readonly<Record<string, string>>,
  reached: Key,
): Discovery {
  switch (service.resolution) {
    case 'passthrough':
      if (reached === 'named') return { type: 'dynamic-dns' };
      return reached === 'original' ? { type: 'original-destination' } : { type: 'eds' };
    case 'dns':
    case 'dns-round-robin': {
      const endpoints = select(view, key, port.port, labels);
      if (endpoints.length === 0) return { type: 'nothing' };
      // Envoy resolves exactly one name for a logical DNS cluster.
      return service.resolution === 'dns'
        ? {
            type: 'strict-dns',
            localities: localities(view, key, port.port, endpoints, anyCaller, undefined),
          }
        : {
            type: 'logical-dns',
            localities: localities(view, key, port.port, endpoints.slice(0, 1), anyCaller, undefined),
          };
    }
    case 'dynamic-dns':
      return { type: 'dynamic-dns' };
    case 'alias':
      return aliasOf(view, service, port, reached);
    default:
      return { type: 'eds' };
  }
}

/** An ExternalName service: found as the service that it names is found (one step, so that no circle is walked), or that name in DNS. */
function aliasOf(view: View, service: MeshService, port: ServicePort, reached: Key): Discovery {
  const target = service.externalName ?? '';
  if (target === '') return { type: 'nothing' };
  const key = view.call(serviceFor, target);
  const known = key === '' ? undefined : view.get(serviceKind, key);
  if (!known || !findPort(known, port.port) || known.resolution === 'alias')
    return { type: 'strict-dns', localities: singleEndpoint(target, port.port) };
  const found = discoveryOf(view, known, key, port, {}, reached);
  if (found.type !== 'eds') return found;
  const cluster = outboundCluster(port.port, '', target);
  return { type: 'eds', serviceName: endpointSet(view, key, port.port, cluster) };
}

/** The healthy endpoints of a port whose labels the subset asks for. */
function select(
  view: View,
  service: Key,
  port: number,
  labels: Readonly<Record<string, string>>,
): readonly Endpoint[] {
  const wanted = Object.entries(labels);
  return (view.get(endpointsKind, service)?.endpoints ?? []).filter(
    (endpoint) =>
      endpoint.servicePort === port &&
      endpoint.healthy &&
      wanted.every(([name, value]) => endpoint.labels[name] === value),
  );
}

export const outboundClusters: Shaper<ClusterPlan> = {
  name: 'outbound',
  keys: clusterKeys,
  resolve: resolveCluster,
  plan: planCluster,
};

/** The clusters of one host if their endpoints are delivered. */
const endpointSetsOfHost = defineQuery('service.endpoint-sets-of-host', (view, host: Key): readonly Key[] => {
  const service = view.call(serviceFor, host);
  const resolution = service === '' ? undefined : view.call(resolutionOf, service);
  const delivered =
    resolution === 'static' || (resolution === 'passthrough' && reach(view, service) === 'balanced');
  return delivered ? view.call(clustersOfHost, host) : [];
});

const endpointKeys = defineQuery('service.endpoint-sets', (view): readonly Key[] =>
  loaded(view, endpointSetsOfHost),
);

/** service key, port, subset, rules, the proxy's locality and its values of label priorities where they matter. */
function resolveEndpoints(view: View, name: Key): readonly Key[] | undefined {
  const parsed = parseClusterName(name);
  if (!parsed) return undefined;
  const service = view.call(serviceFor, parsed.host);
  if (service === '') return undefined;
  const port = String(parsed.port);
  const rules = view.call(destinationRuleFor, parsed.host, splitKey(service).namespace);
  const policy = view.call(localityPolicy, service, port, parsed.subset, rules);
  const placed = policy && (policy.near !== 'none' || policy.distribute.length > 0);
  return [
    service,
    port,
    parsed.subset,
    rules,
    placed ? view.attribute(proxyLocality) : '',
    policy?.priorities.length ? view.attribute(priorityValues(policy.priorities)) : '[]',
  ];
}

function planEndpoints(
  view: View,
  key: Key,
  portText: Key,
  subset: Key,
  rules: Key,
  place: Key,
  values: Key,
): EndpointsPlan | undefined {
  const service = view.get(serviceKind, key);
  if (!service) return undefined;
  const found = subset === '' ? undefined : view.call(subsetsOf, rules).find((s) => s.name === subset);
  const port = Number(portText);
  const policy = view.call(localityPolicy, key, portText, subset, rules);
  return endpointsPlan({
    cluster: endpointSet(view, key, port, outboundCluster(port, subset, service.hostname)),
    localities: localities(
      view,
      key,
      port,
      select(view, key, port, found?.labels ?? {}),
      { place, values: JSON.parse(values) as string[] },
      policy,
    ),
    origin: found?.origin ?? service.origin,
  });
}

export const outboundEndpoints: Shaper<EndpointsPlan> = {
  name: 'outbound',
  keys: endpointKeys,
  resolve: resolveEndpoints,
  plan: planEndpoints,
};
