import type { Any } from '@bufbuild/protobuf/wkt';
import type { AccessLog } from '../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { Route, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { HttpConnectionManager } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Issue } from '../config/kind.ts';
import type { ConfigObject } from '../config/object.ts';
import type { Origin } from '../config/origin.ts';
import type { Collection, Key, Query } from '../snapshot/query.ts';
import type { Resource } from '../snapshot/resource.ts';
import type { View } from '../snapshot/view.ts';
import type { Index } from '../snapshot/world.ts';
import type { ClusterPlan, EndpointsPlan } from './cluster-plan.ts';
import type { FilterChainPlan, ListenerPlan, SecretPlan } from './listener-plan.ts';
import type { ObjectStatusPlan } from './object-status.ts';
import type { RouteConfigurationPlan, RoutePlan, VirtualHostPlan } from './route-plan.ts';

/**
 * Makes plan nodes of one sort. `keys` names them for the asking proxy; `resolve` finds out, with few reads, what a node is made
 * from, and `plan` makes it from those arguments alone: proxies for which `resolve` says the same share the result.
 */
export interface Shaper<P> {
  /** Unique among the shapers of its type; part of query names. */
  readonly name: string;
  readonly keys: Query<[], readonly Key[]>;
  /** Default: the key itself. undefined: no such node for this proxy. */
  readonly resolve?: (view: View, key: Key) => readonly Key[] | undefined;
  readonly plan: (view: View, ...ids: Key[]) => P | undefined;
}

/** Route configurations with hosts that may be delivered one by one. Host keys hold no `/`. */
export interface RouteShaper extends Shaper<RouteConfigurationPlan> {
  /** The keys of the hosts in the route configuration of that name, sorted. */
  readonly hosts: Query<[name: Key], readonly Key[]>;
  readonly resolveHost: (view: View, name: Key, host: Key) => readonly Key[] | undefined;
  readonly planHost: (view: View, ...ids: Key[]) => VirtualHostPlan | undefined;
  /**
   * What the Host of a request means in a route configuration, for proxies that load hosts on the first request; undefined: the
   * name is no route configuration of this shaper, or its hosts are not loaded so.
   */
  readonly ask?: (view: View, name: Key, authority: string) => AskedHost | undefined;
}

/** What somebody asked for by name: a host to load, one that nobody configured, or (both absent) nothing that could be a host. */
export interface AskedHost {
  /** The host to be remembered, by its full name. */
  readonly host?: string;
  /** The domain to be remembered that nobody configured. */
  readonly unknown?: string;
  /** The virtual host that answers, if the outbound policy has one for unknown hosts, by its plan's name; absent: nothing ever does. */
  readonly name?: string;
}

/** What decorators may fill, in the order of the feature list. */
export interface Decorators {
  readonly cluster?: (view: View, plan: ClusterPlan) => void;
  readonly route?: (view: View, plan: RoutePlan) => void;
  readonly virtualHost?: (view: View, plan: VirtualHostPlan) => void;
  readonly listener?: (view: View, plan: ListenerPlan) => void;
  readonly chain?: (view: View, plan: FilterChainPlan) => void;
}

/** An HTTP filter that a feature wants in a chain; its place is decided by envoy/filter-order.ts alone. */
export interface HttpFilterFragment {
  readonly name: string;
  readonly config: Any;
  /** Off unless a route's own configuration turns it on: costs nothing on other routes. */
  readonly disabled?: boolean;
}

/** A network filter that a feature wants before a chain's terminal one; its place is decided by envoy/filter-order.ts alone. */
export interface NetworkFilterFragment {
  readonly name: string;
  readonly config: Any;
}

/** Where slots become Envoy messages. */
export interface Emitters {
  readonly cluster?: (plan: ClusterPlan, message: Cluster) => void;
  readonly route?: (plan: RoutePlan, message: Route) => void;
  readonly virtualHost?: (plan: VirtualHostPlan, message: VirtualHost) => void;
  readonly httpFilters?: (chain: FilterChainPlan) => readonly HttpFilterFragment[];
  /** What ends a TCP chain instead of the plain proxy. */
  readonly terminalFilter?: (chain: FilterChainPlan) => NetworkFilterFragment | undefined;
  readonly networkFilters?: (chain: FilterChainPlan) => readonly NetworkFilterFragment[];
  /** Fields of an HTTP chain's connection manager, routes, filters and loggers aside. */
  readonly connectionManager?: (chain: FilterChainPlan, message: HttpConnectionManager) => void;
  readonly accessLogs?: (chain: FilterChainPlan) => readonly AccessLog[];
  /** Fields of a filter chain, filters aside. */
  readonly chain?: (plan: FilterChainPlan, message: FilterChain) => void;
  /** Fields of a listener, chains and filters aside. */
  readonly listener?: (plan: ListenerPlan, message: Listener) => void;
}

/** The sorts of resources that output patches change. */
export type PatchedType = 'cluster' | 'listener' | 'route';

/** A virtual host without its name, as it is encoded for all route configurations that hold it. */
export interface HostTarget {
  /** The route configuration. */
  readonly routes: string;
  /** The port that users know the route configuration by, where its name says something else. */
  readonly port?: number;
  readonly name: string;
  /** It is a resource of its own (VHDS), not part of its route configuration. */
  readonly alone: boolean;
}

/** A route configuration likewise. */
export type RoutesTarget = Pick<HostTarget, 'routes' | 'port'>;

export interface PatchedHost {
  readonly body: Uint8Array;
  /** Clusters that the patched routes name. */
  readonly clusters: readonly string[];
}

/** What patches made of something; undefined content: they removed it. */
export interface PatchResult<T> {
  readonly content: T | undefined;
  /** The patches that had a part in it. */
  readonly applied: readonly Key[];
  readonly origins: readonly Origin[];
}

/**
 * Changes finished resources: the one feature that does so is envoy-filter. Sets of patches travel as one key, '' for none, so that
 * proxies to whom the same patches apply share what is made of them, and all share what no patch concerns.
 */
export interface OutputPatches {
  /** The patches that may concern the asking proxy's resources of a type. */
  readonly applicable: Query<[type: Key], Key>;
  /** Those of them that concern one resource. */
  readonly concerning: (view: View, applicable: Key, type: PatchedType, resource: Resource) => Key;
  readonly concerningHost: (view: View, applicable: Key, host: HostTarget) => Key;
  readonly concerningRoutes: (view: View, applicable: Key, routes: RoutesTarget) => Key;
  readonly cluster: (view: View, patches: Key, resource: Resource) => PatchResult<Resource>;
  readonly listener: (view: View, patches: Key, resource: Resource) => PatchResult<Resource>;
  readonly host: (view: View, patches: Key, host: HostTarget, body: Uint8Array) => PatchResult<PatchedHost>;
  /** `body`: a route configuration without the hosts that travel on their own. `taken`: the domains of all its hosts, made on demand. */
  readonly routes: (
    view: View,
    patches: Key,
    routes: RoutesTarget,
    body: Uint8Array,
    taken: () => ReadonlySet<string>,
  ) => PatchResult<Uint8Array>;
  /** Resources that patches add. */
  readonly collections: readonly Collection<Resource>[];
}

/** Something that an object asks for and that cannot be done: becomes a status condition. */
export interface Problem {
  readonly origin: Origin;
  /** Stable: `ReferencedHostNotFound`, `ReferencedSubsetNotFound`, `CredentialNotFound`, `NotActedOn`, … */
  readonly code: string;
  /** What, why, how to mend it. */
  readonly message: string;
  /** The object does what it can: worth knowing, and nothing to mend. */
  readonly note?: true;
  /** Milliseconds since the epoch: it holds from here, and up to there. The compile has no clock; who reports problems has one. */
  readonly from?: number;
  readonly until?: number;
}

/** Makes the status of one kind of object, where its API has more to say than conditions. Reads no attribute of the proxy. */
export interface StatusShaper {
  /** As the world knows it: `gateway.networking.k8s.io/HTTPRoute`. */
  readonly kind: string;
  /** Every object of the kind, under ''. */
  readonly all: Index;
  /** undefined: the object is not ours to judge. */
  readonly plan: (view: View, key: Key) => ObjectStatusPlan | undefined;
}

/** One capability: a folder under features/. */
export interface Feature {
  readonly name: string;
  /** Kinds that it acts upon. */
  readonly kinds: readonly string[];
  /** Rules beyond the schema, for the admission. */
  readonly validate?: (object: ConfigObject) => Issue[];
  readonly clusters?: readonly Shaper<ClusterPlan>[];
  readonly endpoints?: readonly Shaper<EndpointsPlan>[];
  readonly listeners?: readonly Shaper<ListenerPlan>[];
  readonly routes?: readonly RouteShaper[];
  readonly secrets?: readonly Shaper<SecretPlan>[];
  readonly decorate?: Decorators;
  readonly emit?: Emitters;
  /** One feature only. */
  readonly patches?: OutputPatches;
  /** What an object asks for and cannot have. Reads no attribute of the proxy. */
  readonly problems?: (view: View, object: ConfigObject) => Problem[];
  readonly statuses?: readonly StatusShaper[];
  /** Words for the decision that an origin path of its kinds stands for; undefined where it is not this feature's. */
  readonly explain?: (origin: Origin) => string | undefined;
}
