/** The parts of Envoy's config dump (envoy.admin.v3) that are shown. Field names as its JSON has them. */
export interface ConfigDump {
  readonly configs: readonly ({ readonly '@type': string } & Record<string, unknown>)[];
}

export interface EnvoyMetadata {
  readonly filter_metadata?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface EnvoyCluster {
  readonly name: string;
  readonly type?: string;
  readonly cluster_type?: { readonly name?: string };
  readonly metadata?: EnvoyMetadata;
}

export interface SocketAddress {
  readonly socket_address?: { readonly address?: string; readonly port_value?: number };
  readonly pipe?: { readonly path?: string };
}

export interface EnvoyFilter {
  readonly name?: string;
  readonly typed_config?: Readonly<Record<string, unknown>>;
}

export interface EnvoyFilterChain {
  readonly name?: string;
  readonly filter_chain_match?: {
    readonly destination_port?: number;
    readonly server_names?: readonly string[];
    readonly transport_protocol?: string;
    readonly application_protocols?: readonly string[];
    readonly prefix_ranges?: readonly { readonly address_prefix?: string; readonly prefix_len?: number }[];
  };
  readonly filters?: readonly EnvoyFilter[];
}

export interface EnvoyListener {
  readonly name?: string;
  readonly address?: SocketAddress;
  readonly additional_addresses?: readonly { readonly address?: SocketAddress }[];
  readonly filter_chains?: readonly EnvoyFilterChain[];
  readonly default_filter_chain?: EnvoyFilterChain;
}

export interface EnvoyRoute {
  readonly match?: Readonly<Record<string, unknown>> & {
    readonly prefix?: string;
    readonly path?: string;
    readonly path_separated_prefix?: string;
    readonly safe_regex?: { readonly regex?: string };
    readonly headers?: readonly { readonly name?: string }[];
    readonly query_parameters?: readonly unknown[];
  };
  readonly name?: string;
  readonly metadata?: EnvoyMetadata;
}

export interface EnvoyVirtualHost {
  readonly name?: string;
  readonly domains?: readonly string[];
  readonly routes?: readonly EnvoyRoute[];
  readonly metadata?: EnvoyMetadata;
}

export interface EnvoyRouteConfig {
  readonly name?: string;
  readonly virtual_hosts?: readonly EnvoyVirtualHost[];
}

export interface EnvoySecret {
  readonly name?: string;
  readonly last_updated?: string;
  readonly active: boolean;
  readonly secret?: {
    readonly tls_certificate?: { readonly certificate_chain?: { readonly inline_bytes?: string } };
    readonly validation_context?: { readonly trusted_ca?: { readonly inline_bytes?: string } };
  };
}

function section(dump: ConfigDump, type: string): readonly Record<string, unknown>[] {
  return dump.configs.filter((config) => config['@type'].endsWith(`.${type}`));
}

function list(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value : [];
}

/** Clusters, static and dynamic, as the summary of istioctl counts them. */
export function clustersOf(dump: ConfigDump): EnvoyCluster[] {
  return section(dump, 'ClustersConfigDump').flatMap((config) =>
    [
      ...list(config.static_clusters),
      ...list(config.dynamic_active_clusters),
      ...list(config.dynamic_warming_clusters),
    ].map(({ cluster }) => cluster as EnvoyCluster),
  );
}

export function listenersOf(dump: ConfigDump): EnvoyListener[] {
  return section(dump, 'ListenersConfigDump').flatMap((config) => [
    ...list(config.dynamic_listeners).flatMap((listener) => {
      const state = listener.active_state ?? listener.warming_state;
      return state ? [(state as { listener: EnvoyListener }).listener] : [];
    }),
    ...list(config.static_listeners).map(({ listener }) => listener as EnvoyListener),
  ]);
}

export function routesOf(dump: ConfigDump): EnvoyRouteConfig[] {
  return section(dump, 'RoutesConfigDump').flatMap((config) =>
    [...list(config.dynamic_route_configs), ...list(config.static_route_configs)].map(
      ({ route_config }) => route_config as EnvoyRouteConfig,
    ),
  );
}

export function secretsOf(dump: ConfigDump): EnvoySecret[] {
  return section(dump, 'SecretsConfigDump').flatMap((config) => [
    ...list(config.dynamic_active_secrets).map((secret) => ({ ...secret, active: true }) as EnvoySecret),
    ...list(config.dynamic_warming_secrets).map((secret) => ({ ...secret, active: false }) as EnvoySecret),
    ...list(config.static_secrets).map((secret) => ({ ...secret, active: true }) as EnvoySecret),
  ]);
}

export interface EnvoyExtension {
  readonly name?: string;
  readonly typed_config?: Readonly<Record<string, unknown>>;
}

/** Extension configurations that are delivered by themselves (ECDS). */
export function extensionsOf(dump: ConfigDump): EnvoyExtension[] {
  return section(dump, 'EcdsConfigDump').flatMap((config) =>
    list(config.ecds_filters).map(({ ecds_filter }) => ecds_filter as EnvoyExtension),
  );
}

export function bootstrapOf(dump: ConfigDump): unknown {
  return section(dump, 'BootstrapConfigDump')[0]?.bootstrap;
}

/** The object behind a resource, as `reviews.default`, when it is of that kind; '' otherwise. */
export function originOf(metadata: EnvoyMetadata | undefined, kind: string): string {
  const ours = metadata?.filter_metadata?.ostria?.origin;
  const match = typeof ours === 'string' ? /^([^/#]+)\/([^/#]*)\/([^#]+)/.exec(ours) : null;
  if (match) return match[1] === kind ? `${match[3]}.${match[2]}` : '';
  // An Istio control plane names `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews`.
  const theirs = metadata?.filter_metadata?.istio?.config;
  const parts = typeof theirs === 'string' ? theirs.split('/') : [];
  const [name, type, namespace] = parts.reverse();
  return type?.replaceAll('-', '') === kind.toLowerCase() ? `${name}.${namespace}` : '';
}
