import type { Origin } from '../config/origin.ts';

/** One xDS resource, encoded once and shared by every proxy whose content is equal. */
export interface Resource {
  readonly typeUrl: string;
  readonly name: string;
  /** Hash of `bytes`: equal content has an equal version, across restarts too. */
  readonly version: string;
  /** The encoded protobuf message (not wrapped in Any). Never mutated. */
  readonly bytes: Uint8Array;
  /** The objects that made it; share arrays where possible. */
  readonly origins: readonly Origin[];
  /** Facts the delivery needs without decoding: a cluster that warms slowly delays its users (safe order). */
  readonly hints?: ResourceHints;
}

export interface ResourceHints {
  /** CDS: the cluster has active health checks or needs a secret: wait for its ACK before routes use it. */
  readonly slowWarming?: boolean;
  /** CDS: clusters of type EDS need their endpoints sent unasked in the same burst. */
  readonly eds?: boolean;
  /** CDS: the name of the cluster's endpoints where it is not the cluster's own. */
  readonly endpointSet?: string;
  /** VHDS/RDS: names of the clusters that are used, for make-before-break. */
  readonly clusters?: readonly string[];
  /** RDS: the virtual hosts travel one by one (VHDS); absent: the route configuration is complete as it is. */
  readonly vhds?: boolean;
  /** What people know the resource by, where its bytes say something else (allocated ports, shared names). */
  readonly known?: KnownAs;
  /** EnvoyFilter patches that had a part in it, `namespace/name#index` each. */
  readonly patches?: readonly string[];
}

/** The name under which a cluster asks for its endpoints; undefined: it does not ask. */
export function endpointSetOf({ name, hints }: Resource): string | undefined {
  return hints?.eds ? (hints.endpointSet ?? name) : undefined;
}

export interface KnownAs {
  /** Listeners: they take connections to the application behind the proxy. */
  readonly inbound?: boolean;
  /** Further names, those of Istio for the same thing. */
  readonly names?: readonly string[];
  /** The port that users write. */
  readonly port?: number;
  /** Inbound clusters: the service's host. */
  readonly host?: string;
}

export const typeUrls = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  virtualHost: 'type.googleapis.com/envoy.config.route.v3.VirtualHost',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  extension: 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
} as const;

/** The type of what stands in for a resource that a patch removed: no proxy asks for it, but it says which patch did. */
export const removedType = 'ostria/removed';
