import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import {
  BootstrapConfigDumpSchema,
  ConfigDumpSchema,
  SecretsConfigDumpSchema,
} from '../../../gen/proto/envoy/admin/v3/config_dump_pb.js';
import {
  ClustersConfigDumpSchema,
  EcdsConfigDumpSchema,
  EndpointsConfigDumpSchema,
  ListenersConfigDumpSchema,
  RoutesConfigDumpSchema,
  ScopedRoutesConfigDumpSchema,
} from '../../../gen/proto/envoy/admin/v3/config_dump_shared_pb.js';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { VirtualHostSchema } from '../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../../gen/proto/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '../../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { envoyTypes } from '../../config/envoy-value/envoy-types.ts';
import { type Resource, typeUrls } from '../../snapshot/resource.ts';
import { addToCluster, addToRoute, ruleOf } from './istio-metadata.ts';

/** One proxy's resources of a type: what the compile has for it at present. */
export type ResourcesOf = (typeUrl: string) => ReadonlyMap<string, Resource>;

export interface DumpOptions {
  /** Endpoints too: as with Envoy's own page, they are left out unless asked for. */
  readonly endpoints?: boolean;
  /** The configuration's version. */
  readonly version: string;
  /** With the objects behind clusters and routes in Istio's form too: for its tools, which compare it with what they are shown of Envoy. */
  readonly istio?: boolean;
}

/**
 * What a proxy should hold, in the form of Envoy's own config dump: the sections in Envoy's order, private keys replaced. Virtual
 * hosts that travel one by one are put into their route configuration, as Envoy shows them.
 */
export function configDump(
  resources: ResourcesOf,
  { endpoints = false, version, istio = false }: DumpOptions,
): Any[] {
  const versionInfo = version;
  const all = (typeUrl: string): Any[] => [...resources(typeUrl).values()].map(asAny);
  return [
    anyPack(BootstrapConfigDumpSchema, create(BootstrapConfigDumpSchema)),
    pack(ClustersConfigDumpSchema, {
      versionInfo,
      dynamicActiveClusters: clusters(resources, istio).map((cluster) => ({ versionInfo, cluster })),
    }),
    ...(endpoints
      ? [
          pack(EndpointsConfigDumpSchema, {
            dynamicEndpointConfigs: all(typeUrls.endpoints).map((endpointConfig) => ({
              versionInfo,
              endpointConfig,
            })),
          }),
        ]
      : []),
    pack(ListenersConfigDumpSchema, {
      versionInfo,
      dynamicListeners: [...resources(typeUrls.listener).values()].map((resource) => ({
        name: resource.name,
        activeState: { versionInfo, listener: asAny(resource) },
      })),
    }),
    anyPack(ScopedRoutesConfigDumpSchema, create(ScopedRoutesConfigDumpSchema)),
    pack(RoutesConfigDumpSchema, {
      dynamicRouteConfigs: routeConfigurations(resources, istio).map((routeConfig) => ({
        versionInfo,
        routeConfig,
      })),
    }),
    pack(SecretsConfigDumpSchema, {
      dynamicActiveSecrets: [...resources(typeUrls.secret).values()].map((resource) => ({
        name: resource.name,
        versionInfo,
        secret: redacted(resource),
      })),
    }),
    pack(EcdsConfigDumpSchema, {
      ecdsFilters: all(typeUrls.extension).map((ecdsFilter) => ({ versionInfo, ecdsFilter })),
    }),
  ];
}

/** Names of types in queries, Istio's and the usual ones. */
const shortNames: Readonly<Record<string, string>> = {
  cds: typeUrls.cluster,
  eds: typeUrls.endpoints,
  lds: typeUrls.listener,
  rds: typeUrls.route,
  sds: typeUrls.secret,
  ecds: typeUrls.extension,
  vhds: typeUrls.virtualHost,
};

/** The resources of some types as they are: `?types=eds,cds`. Types that are not known give nothing. */
export function resourcesOfTypes(resources: ResourcesOf, types: readonly string[]): Any[] {
  return types.flatMap((type) => {
    const typeUrl = shortNames[type.toLowerCase()] ?? type;
    return [...resources(typeUrl).values()].map((resource) =>
      typeUrl === typeUrls.secret ? redacted(resource) : asAny(resource),
    );
  });
}

/** As JSON, the types of all that is within resolved. */
export function dumpJson(configs: readonly Any[]): unknown {
  return toJson(ConfigDumpSchema, create(ConfigDumpSchema, { configs: [...configs] }), {
    registry: envoyTypes,
  });
}

function clusters(resources: ResourcesOf, istio: boolean): Any[] {
  const all = [...resources(typeUrls.cluster).values()];
  if (!istio) return all.map(asAny);
  const rule = ruleOf(resources);
  return all.map((resource) => {
    const cluster = fromBinary(ClusterSchema, resource.bytes);
    addToCluster(cluster.metadata?.filterMetadata, cluster.name, rule(cluster.name));
    return { ...asAny(resource), value: toBinary(ClusterSchema, cluster) };
  });
}

function routeConfigurations(resources: ResourcesOf, istio: boolean): Any[] {
  const virtualHosts = Map.groupBy(resources(typeUrls.virtualHost).values(), ({ name }) =>
    name.slice(0, name.lastIndexOf('/')),
  );
  return [...resources(typeUrls.route).values()].map((resource) => {
    const own = virtualHosts.get(resource.name) ?? [];
    if (own.length === 0 && !istio) return asAny(resource);
    const config = fromBinary(RouteConfigurationSchema, resource.bytes);
    config.virtualHosts.push(...own.map(({ bytes }) => fromBinary(VirtualHostSchema, bytes)));
    if (istio)
      for (const { routes } of config.virtualHosts)
        for (const { metadata } of routes) addToRoute(metadata?.filterMetadata);
    return { ...asAny(resource), value: toBinary(RouteConfigurationSchema, config) };
  });
}

function redacted(resource: Resource): Any {
  const secret = fromBinary(SecretSchema, resource.bytes);
  const hidden = { specifier: { case: 'inlineBytes' as const, value: Buffer.from('[redacted]') } };
  if (secret.type.case === 'tlsCertificate') {
    const { privateKey, password } = secret.type.value;
    if (privateKey) Object.assign(privateKey, hidden);
    if (password) Object.assign(password, hidden);
    secret.type.value.privateKeyProvider = undefined;
  } else if (secret.type.case === 'genericSecret') {
    if (secret.type.value.secret) Object.assign(secret.type.value.secret, hidden);
    for (const one of Object.values(secret.type.value.secrets)) Object.assign(one, hidden);
  } else if (secret.type.case === 'sessionTicketKeys')
    for (const key of secret.type.value.keys) Object.assign(key, hidden);
  return { ...asAny(resource), value: toBinary(SecretSchema, secret) };
}

function asAny({ typeUrl, bytes }: Resource): Any {
  return { $typeName: 'google.protobuf.Any', typeUrl, value: bytes };
}

function pack<T extends { $typeName: string }>(
  schema: GenMessage<T & import('@bufbuild/protobuf').Message>,
  value: object,
): Any {
  return anyPack(schema as GenMessage<never>, create(schema, value as never) as never);
}
