import { create, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { VirtualHostSchema } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { Origin } from '../config/origin.ts';
import { buildCluster } from '../envoy/cluster.ts';
import { buildEndpoints } from '../envoy/endpoints.ts';
import { buildConnectionManager } from '../envoy/http-connection-manager.ts';
import {
  buildFilterChain,
  buildListener,
  buildTcpProxy,
  networkFilter,
  offerOnly,
} from '../envoy/listener.ts';
import { distinctOrigins, encodedResource, encodeResource } from '../envoy/pack.ts';
import { buildRoute } from '../envoy/route.ts';
import { buildSecret } from '../envoy/secret.ts';
import { buildVirtualHost, encodeRouteConfiguration, namedVirtualHost } from '../envoy/virtual-host.ts';
import { usesVhds } from '../plan/attributes.ts';
import { type ClusterPlan, type EndpointsPlan, slowWarmingSlot } from '../plan/cluster-plan.ts';
import { parseDuration } from '../plan/duration.ts';
import type { Feature, RouteShaper, Shaper } from '../plan/feature.ts';
import type { FilterChainPlan, ListenerPlan, SecretPlan } from '../plan/listener-plan.ts';
import {
  clustersOf,
  type RouteConfigurationPlan,
  usedClustersSlot,
  type VirtualHostPlan,
} from '../plan/route-plan.ts';
import { read, type Slotted } from '../plan/slot.ts';
import { type Collection, defineCollection, defineQuery, type Key, type Query } from '../snapshot/query.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';

/** A plan node of any type, as goldens and explanations show it. */
export interface Planned {
  readonly type: 'cluster' | 'endpoints' | 'listener' | 'route-configuration' | 'virtual-host' | 'secret';
  readonly node: Slotted & { readonly origin: Origin };
}

/** What the features make of the mesh. */
export interface Roots {
  /** Every resource of every type, for the engine. Names are unique per type over all collections. */
  readonly collections: readonly Collection<Resource>[];
  /** The plan nodes behind them, made on demand: nothing subscribes to these. */
  readonly plans: readonly { readonly name: string; readonly list: (view: View) => Planned[] }[];
}

/** Joins the features into root collections. Defines queries: call it once in a process. */
export function createRoots(features: readonly Feature[]): Roots {
  const decorate = decorators(features);
  const emit = emitters(features);
  const collections: Collection<Resource>[] = [];
  const plans: { name: string; list: (view: View) => Planned[] }[] = [];

  const add = <P extends Slotted & { readonly origin: Origin }>(
    type: Planned['type'],
    shaper: Shaper<P>,
    decorateNode: (view: View, plan: P) => void,
    emitNode: (view: View, plan: P) => Resource,
  ): void => {
    const name = `${type}/${shaper.name}`;
    const decorated = (view: View, ids: readonly Key[]): P | undefined => {
      const plan = shaper.plan(view, ...ids);
      if (plan) decorateNode(view, plan);
      return plan;
    };
    const built = defineQuery(
      `${name}.built`,
      (view, ...ids: Key[]): Resource | undefined => {
        const plan = decorated(view, ids);
        return plan && emitNode(view, plan);
      },
      { equal: sameResource },
    );
    collections.push(defineCollection(name, shaper.keys, resolved(`${name}.item`, shaper.resolve, built)));
    plans.push({
      name,
      list: (view) =>
        view.call(shaper.keys).flatMap((key) => {
          const ids = shaper.resolve ? shaper.resolve(view, key) : [key];
          const node = ids && decorated(view, ids);
          return node ? [{ type, node }] : [];
        }),
    });
  };

  for (const feature of features) {
    for (const shaper of feature.clusters ?? [])
      add<ClusterPlan>('cluster', shaper, decorate.cluster, (view, plan) => {
        const message = buildCluster(plan, parseDuration(view.mesh('dnsRefreshRate')) ?? 60_000);
        emit.cluster(plan, message);
        return encodeResource(typeUrls.cluster, plan.name, ClusterSchema, message, originsOf(plan), {
          ...(plan.discovery.type === 'eds' ? { eds: true } : {}),
          ...(read(plan, slowWarmingSlot) ? { slowWarming: true } : {}),
        });
      });
    for (const shaper of feature.endpoints ?? [])
      add<EndpointsPlan>(
        'endpoints',
        shaper,
        () => {},
        (_, plan) =>
          encodeResource(
            typeUrls.endpoints,
            plan.cluster,
            ClusterLoadAssignmentSchema,
            buildEndpoints(plan),
            originsOf(plan),
          ),
      );
    for (const shaper of feature.listeners ?? [])
      add<ListenerPlan>('listener', shaper, decorate.listener, (view, plan) =>
        encodeResource(
          typeUrls.listener,
          plan.name,
          ListenerSchema,
          emit.listener(view, plan),
          originsOf(plan, ...plan.chains),
        ),
      );
    for (const shaper of feature.secrets ?? [])
      add<SecretPlan>(
        'secret',
        shaper,
        () => {},
        (_, plan) =>
          encodeResource(typeUrls.secret, plan.name, SecretSchema, buildSecret(plan), originsOf(plan)),
      );
    for (const shaper of feature.routes ?? []) addRoutes(shaper, decorate, emit, collections, plans);
  }
  return { collections, plans };
}

/** Bytes decide: equal content has an equal version. */
function sameResource(a: Resource | undefined, b: Resource | undefined): boolean {
  return a?.version === b?.version && a?.name === b?.name;
}

function resolved(
  name: string,
  resolve: ((view: View, key: Key) => readonly Key[] | undefined) | undefined,
  built: Query<Key[], Resource | undefined>,
): Query<[Key], Resource | undefined> {
  return defineQuery(
    name,
    (view, key: Key): Resource | undefined => {
      const ids = resolve ? resolve(view, key) : [key];
      return ids && view.call(built, ...ids);
    },
    { equal: sameResource },
  );
}

interface HostBody {
  readonly name: string;
  readonly body: Uint8Array;
  readonly version: string;
  readonly clusters: readonly string[];
  readonly origins: readonly Origin[];
}

function addRoutes(
  shaper: RouteShaper,
  decorate: ReturnType<typeof decorators>,
  emit: ReturnType<typeof emitters>,
  collections: Collection<Resource>[],
  plans: { name: string; list: (view: View) => Planned[] }[],
): void {
  const label = `route/${shaper.name}`;
  const encodeHost = (view: View, plan: VirtualHostPlan): HostBody => {
    decorate.virtualHost(view, plan);
    const body = toBinary(VirtualHostSchema, emit.virtualHost(plan));
    return {
      name: plan.name,
      body,
      version: encodedResource('', '', body, []).version,
      clusters: [...new Set([...clustersOf(plan), ...(read(plan, usedClustersSlot) ?? [])])].sort(),
      origins: originsOf(plan, ...plan.routes),
    };
  };
  const hostBuilt = defineQuery(
    `${label}.host-built`,
    (view, ...ids: Key[]): HostBody | undefined => {
      const plan = shaper.planHost(view, ...ids);
      return plan && encodeHost(view, plan);
    },
    { equal: (a, b) => a?.version === b?.version && a?.name === b?.name },
  );
  const host = (view: View, name: Key, key: Key): HostBody | undefined => {
    const ids = shaper.resolveHost(view, name, key);
    return ids && view.call(hostBuilt, ...ids);
  };

  const routeKeys = shaper.keys;
  const item = defineQuery(
    `${label}.item`,
    (view, name: Key): Resource | undefined => {
      const ids = shaper.resolve ? shaper.resolve(view, name) : [name];
      const plan = ids && shaper.plan(view, ...ids);
      if (!plan) return undefined;
      const vhds = plan.allowVhds && view.attribute(usesVhds);
      const hosts = plan.inlineHosts.map((inline) => encodeHost(view, inline));
      if (!vhds)
        for (const key of view.call(shaper.hosts, name)) {
          const found = host(view, name, key);
          if (found) hosts.push(found);
        }
      const bytes = encodeRouteConfiguration(
        plan,
        hosts.map(({ name: hostName, body }) => namedVirtualHost(hostName, body)),
        vhds,
      );
      return encodedResource(
        typeUrls.route,
        plan.name,
        bytes,
        distinctOrigins([plan.origin, ...hosts.flatMap((h) => h.origins)]),
        {
          clusters: [...new Set(hosts.flatMap((h) => h.clusters))].sort(),
          ...(vhds ? { vhds: true } : {}),
        },
      );
    },
    { equal: sameResource },
  );
  collections.push(defineCollection(label, routeKeys, item));

  const vhdsKeys = defineQuery(`${label}.vhds-keys`, (view): readonly Key[] => {
    if (!view.attribute(usesVhds)) return [];
    return view
      .call(routeKeys)
      .flatMap((name) => view.call(shaper.hosts, name).map((key) => `${name}/${key}`));
  });
  const vhdsItem = defineQuery(
    `${label}.vhds-item`,
    (view, key: Key): Resource | undefined => {
      const slash = key.indexOf('/');
      const found = host(view, key.slice(0, slash), key.slice(slash + 1));
      if (!found) return undefined;
      const name = `${key.slice(0, slash)}/${found.name}`;
      return encodedResource(typeUrls.virtualHost, name, namedVirtualHost(name, found.body), found.origins, {
        clusters: found.clusters,
      });
    },
    { equal: sameResource },
  );
  collections.push(defineCollection(`${label}.vhds`, vhdsKeys, vhdsItem));

  plans.push({
    name: label,
    list: (view) =>
      view.call(routeKeys).flatMap((name): Planned[] => {
        const ids = shaper.resolve ? shaper.resolve(view, name) : [name];
        const plan: RouteConfigurationPlan | undefined = ids && shaper.plan(view, ...ids);
        if (!plan) return [];
        for (const inline of plan.inlineHosts) decorate.virtualHost(view, inline);
        const hosts = view.call(shaper.hosts, name).flatMap((key): Planned[] => {
          const hostIds = shaper.resolveHost(view, name, key);
          const node = hostIds && shaper.planHost(view, ...hostIds);
          if (!node) return [];
          decorate.virtualHost(view, node);
          return [{ type: 'virtual-host', node }];
        });
        return [{ type: 'route-configuration', node: plan }, ...hosts];
      }),
  });
}

function originsOf(...nodes: readonly (Slotted & { readonly origin: Origin })[]): Origin[] {
  return distinctOrigins(eachOrigin(nodes));
}

function* eachOrigin(nodes: readonly (Slotted & { readonly origin: Origin })[]): Iterable<Origin> {
  for (const { origin, slots } of nodes) {
    yield origin;
    for (const filled of slots.values()) yield filled.origin;
  }
}

/** One function per node type that runs the features' decorators in order, on inner nodes too. */
function decorators(features: readonly Feature[]) {
  const all = features.map((feature) => feature.decorate ?? {});
  const virtualHost = (view: View, plan: VirtualHostPlan): void => {
    for (const route of plan.routes) for (const decorator of all) decorator.route?.(view, route);
    for (const decorator of all) decorator.virtualHost?.(view, plan);
  };
  const chain = (view: View, plan: FilterChainPlan): void => {
    if (plan.network.type === 'http' && plan.network.routes.type === 'inline')
      for (const host of plan.network.routes.hosts) virtualHost(view, host);
    for (const decorator of all) decorator.chain?.(view, plan);
  };
  return {
    virtualHost,
    cluster: (view: View, plan: ClusterPlan): void => {
      for (const decorator of all) decorator.cluster?.(view, plan);
    },
    listener: (view: View, plan: ListenerPlan): void => {
      for (const inner of plan.chains) chain(view, inner);
      if (plan.defaultChain) chain(view, plan.defaultChain);
      for (const decorator of all) decorator.listener?.(view, plan);
    },
  };
}

/** Plan nodes to messages: the node's own part first, then each feature's fragment. */
function emitters(features: readonly Feature[]) {
  const all = features.map((feature) => feature.emit ?? {});
  const virtualHost = (plan: VirtualHostPlan) => {
    const routes = plan.routes.map((routePlan) => {
      const route = buildRoute(routePlan);
      for (const emitter of all) emitter.route?.(routePlan, route);
      return route;
    });
    const message = buildVirtualHost(plan, routes);
    for (const emitter of all) emitter.virtualHost?.(plan, message);
    return message;
  };
  const filterChain = (plan: FilterChainPlan): FilterChain => {
    const accessLogs = all.flatMap((emitter) => emitter.accessLogs?.(plan) ?? []);
    const { network } = plan;
    if (network.type === 'tcp')
      return buildFilterChain(plan, [
        ...(network.offerOnly ? [offerOnly(network.offerOnly)] : []),
        buildTcpProxy(network, accessLogs),
      ]);
    const filters = all.flatMap((emitter) => emitter.httpFilters?.(plan) ?? []);
    const { routes } = network;
    const inlineRoutes =
      routes.type === 'inline'
        ? create(RouteConfigurationSchema, {
            name: routes.name,
            validateClusters: false,
            virtualHosts: routes.hosts.map((host) => Object.assign(virtualHost(host), { name: host.name })),
          })
        : undefined;
    const manager = buildConnectionManager(network, {
      filters,
      accessLogs,
      ...(inlineRoutes ? { inlineRoutes } : {}),
    });
    return buildFilterChain(plan, [networkFilter('envoy.filters.network.http_connection_manager', manager)]);
  };
  return {
    virtualHost,
    cluster: (plan: ClusterPlan, message: ReturnType<typeof buildCluster>): void => {
      for (const emitter of all) emitter.cluster?.(plan, message);
    },
    listener: (_: View, plan: ListenerPlan) =>
      buildListener(
        plan,
        plan.chains.map(filterChain),
        plan.defaultChain ? filterChain(plan.defaultChain) : undefined,
      ),
  };
}
