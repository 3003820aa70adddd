export interface AdsBootstrapOptions {
  /** Envoy's `Node`, as JSON. */
  readonly node: object;
  /** Where xDS is spoken, in plaintext: a port of the loopback address, or the path of a unix socket. */
  readonly xds: number | string;
  /** The unix socket where the workload's secrets come from. */
  readonly sdsSocket: string;
  /** Bearer token that the xDS server asks for. */
  readonly token?: string;
  /** Unix socket of the admin interface, made with mode 0600. */
  readonly adminSocket?: string;
  /** False: state of the world. */
  readonly delta?: boolean;
}

/**
 * The bootstrap of an Envoy that runs for a moment: it takes everything over ADS from a control plane of this machine. Workloads of a mesh
 * have that of their agent.
 */
export function adsBootstrap({
  node,
  xds,
  sdsSocket,
  token,
  adminSocket,
  delta = true,
}: AdsBootstrapOptions): Record<string, unknown> {
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  const xdsAddress =
    typeof xds === 'string'
      ? { pipe: { path: xds } }
      : { socket_address: { address: '127.0.0.1', port_value: xds } };
  return {
    node,
    ...(adminSocket === undefined
      ? {}
      : { admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } } }),
    dynamic_resources: {
      ads_config: {
        api_type: delta ? 'DELTA_GRPC' : 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: { cluster_name: 'xds-grpc' },
            ...(token === undefined
              ? {}
              : { initial_metadata: [{ key: 'authorization', value: `Bearer ${token}` }] }),
          },
        ],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [grpcCluster('xds-grpc', xdsAddress), grpcCluster('sds-grpc', { pipe: { path: sdsSocket } })],
    },
    // What is set at the admin socket needs a layer to go to.
    layered_runtime: { layers: [{ name: 'admin', admin_layer: {} }] },
  };
}

function grpcCluster(name: string, address: object): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
