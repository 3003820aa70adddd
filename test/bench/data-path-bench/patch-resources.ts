import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { type Listener, ListenerSchema } from '../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import {
  type RouteConfiguration,
  RouteConfigurationSchema,
} from '../../../gen/proto/envoy/config/route/v3/route_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { encodedResource } from '../../../src/envoy/pack.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../../../src/snapshot/query.ts';
import { type Resource, typeUrls } from '../../../src/snapshot/resource.ts';

type Cluster = MessageShape<typeof ClusterSchema>;

/** What a variant changes in the resources that we compile: nothing else differs between the variants. */
export interface ResourcePatch {
  readonly listener?: (listener: Listener) => void;
  readonly cluster?: (cluster: Cluster) => void;
  /** Routes that come by RDS: those of callers. */
  readonly routes?: (routes: RouteConfiguration) => void;
}

/** The same collections with every listener, cluster and route configuration edited. `variant` makes the queries' names unique. */
export function patchedCollections(
  variant: string,
  collections: readonly Collection<Resource>[],
  patch: ResourcePatch,
): Collection<Resource>[] {
  return collections.map((collection) => {
    const name = `bench.${variant}.${collection.name}`;
    const item = defineQuery(`${name}.patched`, (view, key: Key): Resource | undefined => {
      const resource = view.call(collection.item, key);
      return resource && patched(resource, patch);
    });
    return defineCollection(name, collection.keys, item);
  });
}

function patched(resource: Resource, patch: ResourcePatch): Resource {
  if (resource.typeUrl === typeUrls.listener) return edited(resource, ListenerSchema, patch.listener);
  if (resource.typeUrl === typeUrls.cluster) return edited(resource, ClusterSchema, patch.cluster);
  if (resource.typeUrl === typeUrls.route) return edited(resource, RouteConfigurationSchema, patch.routes);
  return resource;
}

function edited<D extends DescMessage>(
  resource: Resource,
  schema: D,
  edit: ((message: MessageShape<D>) => void) | undefined,
): Resource {
  if (!edit) return resource;
  const message = fromBinary(schema, resource.bytes);
  edit(message);
  const { typeUrl, name, origins, hints } = resource;
  return encodedResource(typeUrl, name, toBinary(schema, message), origins, hints);
}

/** Edits the message inside an Any; throws where it holds another type. */
export function repacked<D extends DescMessage>(
  any: Any,
  schema: D,
  edit: (message: MessageShape<D>) => void,
): Any {
  const message = anyUnpack(any, schema);
  if (!message) throw new Error(`expected ${schema.typeName}, found ${any.typeUrl}`);
  edit(message);
  return anyPack(schema, message);
}

/** Edits every HTTP connection manager of a listener. */
export function editManagers(listener: Listener, edit: (manager: HttpConnectionManager) => void): void {
  const chains = [
    ...listener.filterChains,
    ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : []),
  ];
  for (const { filters } of chains)
    for (const filter of filters)
      if (
        filter.name === 'envoy.filters.network.http_connection_manager' &&
        filter.configType.case === 'typedConfig'
      )
        filter.configType.value = repacked(filter.configType.value, HttpConnectionManagerSchema, edit);
}
