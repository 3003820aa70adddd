import { isIP } from 'node:net';
import { registeredGroup } from '../kit/registration.ts';
import { type AgentConfig, splitHostPort } from './agent-config.ts';
import { statsTags } from './stats-tags.ts';

/*
 * Envoy's bootstrap as JSON (envoy.config.bootstrap.v3.Bootstrap). Cluster names are Istio's, as resources from the control plane
 * and people's EnvoyFilters refer to them.
 */

export interface BootstrapPaths {
  adminSocket: string;
  sdsSocket: string;
}

/** Secret with the roots of the control plane's own certificate: where others sign for workloads, it has an authority of its own. */
export const controlPlaneTrust = 'CONTROLPLANE';

type Json = Record<string, unknown>;

const TLS_CONTEXT = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
const HTTP_OPTIONS = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const CONNECTION_MONITOR =
  'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig';

/** The release of Istio whose API we speak: EnvoyFilters choose proxies by it. */
export const istioVersion = '1.31.1';

/** Statistics flush. Histograms read zero until one has passed, so scrapes lag by at most this. */
const STATS_FLUSH = '5s';
/** Idle series of the request metrics go after this; must be a multiple of the flush. */
const STATS_EVICTION = '600s';

/**
 * The mesh's own metrics, made on each request. Envoy looks for prefixes that end with a dot before it remembers what it decided, each
 * time that a metric is named: so this is the only one.
 */
const METRICS_PREFIX = 'ostria.';
/** Kept by default: what readiness, draining, proxy-status and the mesh's own metrics read. Every further one costs memory per cluster. */
const STATS_PREFIXES = [
  'cluster_manager',
  'listener_manager',
  'server',
  'cluster.xds-grpc',
  'sds',
  'control_plane',
  // Filters of single protocols: they exist only where somebody speaks them.
  'mongo',
  'redis',
  'thrift',
  'dubbo',
];
const STATS_SUFFIXES = [
  'downstream_rq_active',
  'downstream_cx_active',
  'update_rejected',
  'update_success',
  'rbac.allowed',
  'rbac.denied',
  'shadow_allowed',
  'shadow_denied',
];

export function buildBootstrap(config: AgentConfig, paths: BootstrapPaths): Json {
  return {
    node: buildNode(config),
    admin: { address: { pipe: { path: paths.adminSocket, mode: 0o600 } } },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [grpcService('xds-grpc', '0.5s', '5s')],
      },
      cds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
      lds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
    },
    static_resources: {
      clusters: [
        controlPlaneCluster(config),
        sdsCluster(paths),
        ...(discoversItself(config) ? [localCluster] : []),
      ],
    },
    ...(discoversItself(config) ? { cluster_manager: { local_cluster_name: localCluster.name } } : {}),
    stats_config: statsConfig(config),
    stats_flush_interval: STATS_FLUSH,
    stats_eviction_interval: STATS_EVICTION,
    deferred_stat_options: { enable_deferred_creation_stats: true },
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type': CONNECTION_MONITOR,
            max_active_downstream_connections: String(config.envoy.maxConnections),
          },
        },
      ],
    },
    layered_runtime: {
      layers: [
        {
          name: 'static',
          static_layer: {
            // Envoy warns of regular expressions above 100; Istio's users write larger ones.
            're2.max_program_size.error_level': 32_768,
            're2.max_program_size.warn_level': 1_024,
          },
        },
        { name: 'admin', admin_layer: {} },
      ],
    },
  };
}

/** Istio's switch for zone-aware routing (`ISTIO_META_ENABLE_SELF_DISCOVERY`). */
function discoversItself(config: AgentConfig): boolean {
  return String(config.metadata.ENABLE_SELF_DISCOVERY) === 'true';
}

/** The endpoints of the workload's own service, with their zones: Envoy knows only from here which zones call. */
export const localCluster: Json = {
  name: 'local_cluster',
  type: 'EDS',
  connect_timeout: '1s',
  eds_cluster_config: { eds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '1s' } },
};

/** `type~ip~name.namespace~domain`, and the metadata that the control plane reads. */
export function buildNode(config: AgentConfig): Json {
  const app = config.labels['service.istio.io/canonical-name'] ?? config.labels.app ?? config.workload;
  return {
    id: `${config.proxyType}~${config.addresses[0]}~${config.workload}.${config.namespace}~${config.dnsDomain}`,
    cluster: `${app}.${config.namespace}`,
    locality: {
      region: config.locality.region ?? '',
      zone: config.locality.zone ?? '',
      sub_zone: config.locality.subZone ?? '',
    },
    metadata: {
      ISTIO_VERSION: istioVersion,
      ...config.metadata,
      NAME: config.workload,
      NAMESPACE: config.namespace,
      SERVICE_ACCOUNT: config.serviceAccount,
      LABELS: config.labels,
      INSTANCE_IPS: config.addresses.join(','),
      CLUSTER_ID: config.clusterId,
      NETWORK: config.network,
      ...(config.capture
        ? { INTERCEPTION_MODE: 'NONE', OSTRIA_CAPTURE: config.capture }
        : { INTERCEPTION_MODE: config.metadata.INTERCEPTION_MODE ?? 'REDIRECT' }),
      ...(config.group === undefined ? {} : { [registeredGroup]: config.group }),
      ...(keepsCodeStats(config) ? {} : { OSTRIA_CODE_STATS: 'none' }),
      ...(config.ports.dns > 0 ? { DNS_CAPTURE: 'true' } : {}),
    },
  };
}

/** Statistics beyond our own may be those that Envoy's router makes of each response; which is not guessed from patterns. */
function keepsCodeStats({ envoy: { stats, bootstrapPatches } }: AgentConfig): boolean {
  return bootstrapPatches.length > 0 || Object.values(stats).some((patterns) => patterns.length > 0);
}

function controlPlaneCluster(config: AgentConfig): Json {
  const { host, port } = splitHostPort(config.controlPlane.address) ?? { host: '127.0.0.1', port: 15012 };
  return {
    name: 'xds-grpc',
    type: isIP(host) ? 'STATIC' : 'STRICT_DNS',
    connect_timeout: '5s',
    respect_dns_ttl: true,
    ...assignment('xds-grpc', { socket_address: { address: host, port_value: port } }),
    typed_extension_protocol_options: http2({ interval: '30s', timeout: '10s' }),
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': TLS_CONTEXT,
        sni: config.controlPlane.serverName,
        common_tls_context: {
          alpn_protocols: ['h2'],
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
          tls_certificate_sds_secret_configs: [sdsSecret('default')],
          ...controlPlaneValidation(config),
        },
      },
    },
  };
}

/** Somebody else's SDS server knows nothing of the control plane: its roots are then those of the file. */
function controlPlaneValidation({ controlPlane, identitySocket }: AgentConfig): Json {
  const names = {
    match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: controlPlane.serverName } }],
  };
  if (identitySocket !== undefined)
    return { validation_context: { ...names, trusted_ca: { filename: controlPlane.rootFile } } };
  return {
    combined_validation_context: {
      default_validation_context: names,
      validation_context_sds_secret_config: sdsSecret(controlPlaneTrust),
    },
  };
}

function sdsCluster(paths: BootstrapPaths): Json {
  return {
    name: 'sds-grpc',
    type: 'STATIC',
    connect_timeout: '1s',
    ...assignment('sds-grpc', { pipe: { path: paths.sdsSocket } }),
    typed_extension_protocol_options: http2(),
  };
}

function sdsSecret(name: string): Json {
  return {
    name,
    sds_config: {
      resource_api_version: 'V3',
      initial_fetch_timeout: '0s',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [grpcService('sds-grpc', '0.1s', '1s')],
      },
    },
  };
}

/** Envoy's own pause before it comes back to a server grows to 30 s: too long where a renewed certificate waits. */
function grpcService(cluster: string, base: string, max: string): Json {
  const retry_back_off = { base_interval: base, max_interval: max };
  return { envoy_grpc: { cluster_name: cluster, retry_policy: { retry_back_off } } };
}

function assignment(name: string, address: Json): Json {
  return {
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

function http2(keepalive?: { interval: string; timeout: string }): Json {
  return {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': HTTP_OPTIONS,
      explicit_http_config: {
        http2_protocol_options: keepalive ? { connection_keepalive: keepalive } : {},
      },
    },
  };
}

function statsConfig(config: AgentConfig): Json {
  const { prefixes, suffixes, regexps } = config.envoy.stats;
  return {
    use_all_default_tags: false,
    stats_tags: statsTags,
    stats_matcher: {
      inclusion_list: {
        patterns: [
          ...[METRICS_PREFIX, ...STATS_PREFIXES, ...prefixes].map((prefix) => ({ prefix })),
          ...[...STATS_SUFFIXES, ...suffixes].map((suffix) => ({ suffix })),
          { contains: 'istio_' },
          // ZooKeeper's have the chain's name in front.
          { contains: '.zookeeper.' },
          ...regexps.map((regex) => ({ safe_regex: { regex } })),
        ],
      },
    },
  };
}
