import { X509Certificate } from 'node:crypto';
import { textTable } from '../output/text-table.ts';
import {
  type EnvoyCluster,
  type EnvoyExtension,
  type EnvoyFilterChain,
  type EnvoyListener,
  type EnvoyRoute,
  type EnvoyRouteConfig,
  type EnvoySecret,
  originOf,
  type SocketAddress,
} from './config-dump.ts';

/** `outbound|9080|v1|reviews.default.svc.cluster.local`, taken apart. */
export interface ClusterName {
  readonly direction: string;
  readonly port: string;
  readonly subset: string;
  readonly fqdn: string;
}

export function parseClusterName(name: string): ClusterName | undefined {
  const parts = name.split('|');
  const [direction = '', port = '', subset = '', fqdn = ''] = parts;
  return parts.length === 4 ? { direction, port, subset, fqdn } : undefined;
}

export interface ClusterFilter {
  readonly fqdn?: string;
  readonly port?: number;
  readonly subset?: string;
  readonly direction?: string;
}

export function filterClusters(clusters: readonly EnvoyCluster[], filter: ClusterFilter): EnvoyCluster[] {
  return clusters.filter(({ name }) => {
    const parsed = parseClusterName(name);
    return (
      (filter.fqdn === undefined || (parsed?.fqdn || name).includes(filter.fqdn)) &&
      (filter.port === undefined || parsed?.port === String(filter.port)) &&
      (filter.subset === undefined || parsed?.subset === filter.subset) &&
      (filter.direction === undefined || parsed?.direction === filter.direction)
    );
  });
}

export function clusterTable(clusters: readonly EnvoyCluster[]): string {
  const rows = clusters.map((cluster) => {
    const parsed = parseClusterName(cluster.name);
    const type = cluster.type ?? cluster.cluster_type?.name ?? 'STATIC';
    const rule = originOf(cluster.metadata, 'DestinationRule');
    return parsed
      ? [parsed.fqdn, dash(parsed.port), dash(parsed.subset), parsed.direction, type, rule]
      : [cluster.name, '-', '-', '-', type, rule];
  });
  rows.sort(byColumns(0, 1, 2, 3));
  return textTable(['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'], rows);
}

export function addressText(address: SocketAddress | undefined): string {
  return address?.socket_address?.address ?? address?.pipe?.path ?? '';
}

export function portOf(address: SocketAddress | undefined): number {
  return address?.socket_address?.port_value ?? 0;
}

export interface ListenerFilter {
  readonly address?: string;
  readonly port?: number;
  readonly type?: string;
}

export function filterListeners(
  listeners: readonly EnvoyListener[],
  filter: ListenerFilter,
): EnvoyListener[] {
  return listeners.filter(
    (listener) =>
      (filter.address === undefined || addressText(listener.address) === filter.address) &&
      (filter.port === undefined || portOf(listener.address) === filter.port) &&
      (filter.type === undefined || listenerType(listener) === filter.type.toUpperCase()),
  );
}

function chainsOf(listener: EnvoyListener): EnvoyFilterChain[] {
  return [
    ...(listener.filter_chains ?? []),
    ...(listener.default_filter_chain ? [listener.default_filter_chain] : []),
  ];
}

function isHttp(chain: EnvoyFilterChain): boolean {
  return (chain.filters ?? []).some(({ typed_config }) =>
    String(typed_config?.['@type']).endsWith('HttpConnectionManager'),
  );
}

function listenerType(listener: EnvoyListener): string {
  const kinds = new Set(chainsOf(listener).map((chain) => (isHttp(chain) ? 'HTTP' : 'TCP')));
  return kinds.size === 2 ? 'HTTP+TCP' : ([...kinds][0] ?? 'UNKNOWN');
}

export function listenerTable(listeners: readonly EnvoyListener[]): string {
  const rows = listeners.flatMap((listener) =>
    chainsOf(listener).map((chain) => [
      addressText(listener.address),
      String(portOf(listener.address)),
      matchText(chain, chain === listener.default_filter_chain),
      destinationText(chain),
    ]),
  );
  rows.sort((a, b) => Number(a[1]) - Number(b[1]) || byColumns(0)(a, b));
  return textTable(['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'], rows);
}

function matchText(chain: EnvoyFilterChain, isDefault: boolean): string {
  const match = chain.filter_chain_match;
  const parts: string[] = [];
  if (match?.server_names?.length) parts.push(`SNI: ${match.server_names.join(',')}`);
  if (match?.transport_protocol && match.transport_protocol !== 'raw_buffer')
    parts.push(`Trans: ${match.transport_protocol}`);
  if (match?.transport_protocol === 'raw_buffer') parts.push('Trans: raw_buffer');
  if (match?.application_protocols?.length) parts.push(`App: ${match.application_protocols.join(',')}`);
  if (match?.prefix_ranges?.length)
    parts.push(
      `Addr: ${match.prefix_ranges.map(({ address_prefix, prefix_len }) => `${address_prefix}/${prefix_len}`).join(',')}`,
    );
  if (match?.destination_port !== undefined) parts.push(`Port: ${match.destination_port}`);
  if (parts.length > 0) return parts.join('; ');
  return isDefault ? 'ALL (default)' : 'ALL';
}

function destinationText(chain: EnvoyFilterChain): string {
  for (const { typed_config: config } of chain.filters ?? []) {
    const type = String(config?.['@type']);
    if (type.endsWith('HttpConnectionManager')) {
      const rds = (config?.rds as { route_config_name?: string } | undefined)?.route_config_name;
      if (rds !== undefined) return `Route: ${rds}`;
      const inline = config?.route_config as EnvoyRouteConfig | undefined;
      const cluster = clusterOfRoutes(inline);
      return cluster === undefined ? `Inline Route: ${inline?.name ?? ''}` : `Cluster: ${cluster}`;
    }
    if (type.endsWith('TcpProxy')) {
      const weighted = config?.weighted_clusters as { clusters?: { name?: string }[] } | undefined;
      const names = weighted?.clusters?.map(({ name }) => name) ?? [config?.cluster];
      return `Cluster: ${names.join(',')}`;
    }
  }
  return 'Non-HTTP/Non-TCP';
}

/** The one cluster that every inline route leads to. */
function clusterOfRoutes(config: EnvoyRouteConfig | undefined): string | undefined {
  const clusters = new Set(
    (config?.virtual_hosts ?? []).flatMap(({ routes = [] }) =>
      routes.map((route) => (route as { route?: { cluster?: string } }).route?.cluster),
    ),
  );
  return clusters.size === 1 ? [...clusters][0] : undefined;
}

export function routeTable(configs: readonly EnvoyRouteConfig[]): string {
  const rows = configs.flatMap(({ name = '', virtual_hosts = [] }) =>
    virtual_hosts.flatMap((host) =>
      (host.routes ?? []).map((route) => [
        name,
        host.name ?? '',
        domainsText(host.domains ?? []),
        routeMatchText(route),
        originOf(route.metadata, 'VirtualService') || originOf(host.metadata, 'VirtualService'),
      ]),
    ),
  );
  // Routes of a virtual host keep their order: the first that matches wins.
  rows.sort(byColumns(0, 1));
  return textTable(['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'], rows);
}

/** The shortest domain, and how many there are besides. */
function domainsText(domains: readonly string[]): string {
  const [first = '', ...rest] = [...domains].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return rest.length > 0
    ? `${first}, ${rest[0]}${rest.length > 1 ? ` + ${rest.length - 1} more...` : ''}`
    : first;
}

function routeMatchText({ match }: EnvoyRoute): string {
  if (!match) return '/*';
  const path =
    match.path ??
    (match.prefix !== undefined
      ? `${match.prefix}*`
      : match.path_separated_prefix !== undefined
        ? `PathPrefix:${match.path_separated_prefix}`
        : match.safe_regex?.regex !== undefined
          ? `regex ${match.safe_regex.regex}`
          : '/*');
  const headers = (match.headers ?? []).flatMap(({ name }) => (name === undefined ? [] : [name]));
  return headers.length > 0 ? `${path} [${headers.join(', ')}]` : path;
}

/** `/clusters?format=json` of Envoy (envoy.admin.v3.Clusters). */
export interface ClusterStatuses {
  readonly cluster_statuses?: readonly {
    readonly name?: string;
    readonly host_statuses?: readonly {
      readonly address?: SocketAddress;
      readonly health_status?: Readonly<Record<string, unknown>>;
    }[];
  }[];
}

export interface EndpointFilter {
  readonly address?: string;
  readonly port?: number;
  readonly cluster?: string;
  readonly status?: string;
}

export interface EndpointRow {
  readonly endpoint: string;
  readonly status: string;
  readonly outlierCheck: string;
  readonly cluster: string;
}

export function endpointRows(statuses: ClusterStatuses, filter: EndpointFilter): EndpointRow[] {
  return (statuses.cluster_statuses ?? []).flatMap(({ name = '', host_statuses = [] }) =>
    host_statuses.flatMap(({ address, health_status = {} }) => {
      const failed =
        health_status.failed_active_health_check === true || health_status.eds_health_status === 'UNHEALTHY';
      const port = portOf(address);
      const row = {
        endpoint: port > 0 ? `${addressText(address)}:${port}` : addressText(address),
        status: failed ? 'UNHEALTHY' : String(health_status.eds_health_status ?? 'HEALTHY'),
        outlierCheck: health_status.failed_outlier_check === true ? 'FAILED' : 'OK',
        cluster: name,
      };
      const shown =
        (filter.address === undefined || addressText(address) === filter.address) &&
        (filter.port === undefined || port === filter.port) &&
        (filter.cluster === undefined || name === filter.cluster) &&
        (filter.status === undefined || row.status === filter.status.toUpperCase());
      return shown ? [row] : [];
    }),
  );
}

export function endpointTable(rows: readonly EndpointRow[]): string {
  const cells = rows.map(({ endpoint, status, outlierCheck, cluster }) => [
    endpoint,
    status,
    outlierCheck,
    cluster,
  ]);
  cells.sort(byColumns(3, 0));
  return textTable(['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'CLUSTER'], cells);
}

export function secretTable(secrets: readonly EnvoySecret[], now = Date.now()): string {
  const rows = secrets.map(({ name = '', active, secret }) => {
    const chain = secret?.tls_certificate?.certificate_chain?.inline_bytes;
    const trusted = secret?.validation_context?.trusted_ca?.inline_bytes;
    const certificate = certificateOf(chain ?? trusted);
    const type = chain !== undefined ? 'Cert Chain' : trusted !== undefined ? 'CA' : 'Unknown';
    const valid = certificate
      ? certificate.validFromDate.getTime() <= now && now < certificate.validToDate.getTime()
      : false;
    return [
      name,
      type,
      active ? 'ACTIVE' : 'WARMING',
      String(valid),
      certificate?.serialNumber.toLowerCase() ?? '',
      certificate ? time(certificate.validToDate) : '',
      certificate ? time(certificate.validFromDate) : '',
    ];
  });
  return textTable(
    ['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'],
    rows,
  );
}

export function extensionTable(extensions: readonly EnvoyExtension[]): string {
  const rows = extensions.map(({ name = '', typed_config = {} }) => [
    name,
    String(typed_config['@type'] ?? '').replace(/^.*\//, ''),
  ]);
  return textTable(['ECDS NAME', 'TYPE'], rows.sort(byColumns(0)));
}

function certificateOf(base64: string | undefined): X509Certificate | undefined {
  if (base64 === undefined) return undefined;
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}

function time(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

function dash(text: string): string {
  return text === '' ? '-' : text;
}

function byColumns(...columns: readonly number[]) {
  return (a: readonly string[], b: readonly string[]): number => {
    for (const column of columns) {
      const [x = '', y = ''] = [a[column], b[column]];
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  };
}
