import type { DescMessage } from '@bufbuild/protobuf';
import type { EnvoyFilterConfigPatches } from '../../../gen/crd/types/istio/envoy-filter.ts';
import { BootstrapSchema } from '../../../gen/proto/envoy/config/bootstrap/v3/bootstrap_pb.js';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { TypedExtensionConfigSchema } from '../../../gen/proto/envoy/config/core/v3/extension_pb.js';
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '../../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import {
  RouteSchema,
  VirtualHostSchema,
} from '../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../../gen/proto/envoy/config/route/v3/route_pb.js';
import { HttpFilterSchema } from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';

export type ApplyTo = Exclude<NonNullable<EnvoyFilterConfigPatches['applyTo']>, 'INVALID'>;

/** The message that a patch's value is a part of. */
export const patchTypes: Readonly<Record<ApplyTo, DescMessage>> = {
  LISTENER: ListenerSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
  EXTENSION_CONFIG: TypedExtensionConfigSchema,
  BOOTSTRAP: BootstrapSchema,
  LISTENER_FILTER: ListenerFilterSchema,
};
