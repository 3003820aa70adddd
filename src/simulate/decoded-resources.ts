import type { Message } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import type { Any } from '@bufbuild/protobuf/wkt';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import { type Listener, ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import {
  type VirtualHost,
  VirtualHostSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  type RouteConfiguration,
  RouteConfigurationSchema,
} from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import { canonicalAddress } from '../kit/ip.ts';
import { getOrMake } from '../kit/maps.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';

/** One proxy's resources by type and name, as the compile or the engine gives them. */
export type ResourceSet = ReadonlyMap<string, ReadonlyMap<string, Resource>>;

/** Messages of resources, which never change: whoever walks them next finds them decoded. */
const messages = new WeakMap<Resource, Message>();

const noResources: ReadonlyMap<string, Resource> = new Map();
/** Virtual hosts of route configurations, by the resources that they are among: proxies of a class share these. */
const hostsOf = new WeakMap<ReadonlyMap<string, Resource>, Map<RouteConfiguration, readonly VirtualHost[]>>();

/** Decodes what walks need, once per resource. The set and its maps must never change: an engine's own maps do, copy them. */
export class DecodedResources {
  readonly set: ResourceSet;
  #listeners: Listener[] | undefined;
  #bySocket: ReadonlyMap<string, Listener> | undefined;

  constructor(set: ResourceSet) {
    this.set = set;
  }

  listeners(): Listener[] {
    this.#listeners ??= this.#all(typeUrls.listener, ListenerSchema);
    return this.#listeners;
  }

  /** The first listener that is bound to an address and port of TCP: QUIC's are others. */
  listenerAt(address: string, port: number): Listener | undefined {
    this.#bySocket ??= listenersBySocket(this.listeners());
    return this.#bySocket.get(socketKey(address, port));
  }

  clusters(): Cluster[] {
    return this.#all(typeUrls.cluster, ClusterSchema);
  }

  cluster(name: string): Cluster | undefined {
    const resource = this.set.get(typeUrls.cluster)?.get(name);
    return resource ? this.#decode(resource, ClusterSchema) : undefined;
  }

  /** The endpoints of a cluster, delivered or its own; undefined: found by name or by the call. */
  endpoints(cluster: Cluster): ClusterLoadAssignment | undefined {
    if (cluster.edsClusterConfig === undefined) return cluster.loadAssignment;
    const name = cluster.edsClusterConfig.serviceName || cluster.name;
    const resource = this.set.get(typeUrls.endpoints)?.get(name);
    return resource ? this.#decode(resource, ClusterLoadAssignmentSchema) : undefined;
  }

  /** Whether the control plane delivers a secret of this name. */
  hasSecret(name: string): boolean {
    return this.set.get(typeUrls.secret)?.has(name) ?? false;
  }

  routeConfiguration(name: string): RouteConfiguration | undefined {
    const resource = this.set.get(typeUrls.route)?.get(name);
    return resource ? this.#decode(resource, RouteConfigurationSchema) : undefined;
  }

  /** The virtual hosts of a route configuration: its own, and those that are delivered one by one (VHDS). */
  virtualHosts(config: RouteConfiguration): readonly VirtualHost[] {
    if (!config.vhds) return config.virtualHosts;
    const own = this.set.get(typeUrls.virtualHost) ?? noResources;
    const known = hostsOf.get(own) ?? new Map<RouteConfiguration, readonly VirtualHost[]>();
    hostsOf.set(own, known);
    return getOrMake(known, config, () => this.#hosts(config, own));
  }

  #hosts(config: RouteConfiguration, own: ReadonlyMap<string, Resource>): readonly VirtualHost[] {
    const prefix = `${config.name}/`;
    const hosts = [...config.virtualHosts];
    for (const [name, resource] of own)
      if (name.startsWith(prefix)) hosts.push(this.#decode(resource, VirtualHostSchema));
    return hosts;
  }

  #all<T extends Message>(typeUrl: string, schema: GenMessage<T>): T[] {
    return [...(this.set.get(typeUrl)?.values() ?? [])].map((resource) => this.#decode(resource, schema));
  }

  #decode<T extends Message>(resource: Resource, schema: GenMessage<T>): T {
    let message = messages.get(resource);
    if (!message) {
      message = fromBinary(schema, resource.bytes) as Message;
      messages.set(resource, message);
    }
    return message as T;
  }
}

function listenersBySocket(listeners: readonly Listener[]): ReadonlyMap<string, Listener> {
  const found = new Map<string, Listener>();
  for (const listener of listeners) {
    if (listener.udpListenerConfig !== undefined) continue;
    for (const one of [listener.address, ...listener.additionalAddresses.map((extra) => extra.address)]) {
      const socket = one?.address.case === 'socketAddress' ? one.address.value : undefined;
      if (socket?.portSpecifier.case !== 'portValue') continue;
      const key = socketKey(socket.address, socket.portSpecifier.value);
      if (!found.has(key)) found.set(key, listener);
    }
  }
  return found;
}

function socketKey(address: string, port: number): string {
  return `${canonicalAddress(address)} ${port}`;
}

const unpacked = new WeakMap<Any, Message>();

/** The message in an Any, where it is of the type: decoded once. */
export function unpack<T extends Message>(any: Any | undefined, schema: GenMessage<T>): T | undefined {
  if (!any) return undefined;
  const known = unpacked.get(any);
  if (known) return known.$typeName === schema.typeName ? (known as T) : undefined;
  const message = anyUnpack(any, schema) as T | undefined;
  if (message) unpacked.set(any, message);
  return message;
}
