/** A connected data-plane instance, as its xDS node describes it. Immutable. */
export interface MeshProxy {
  /** Unique per connected workload: the node id. */
  readonly id: string;
  readonly type: 'sidecar' | 'router' | 'waypoint' | 'grpc';
  /** IP addresses; the first is the primary. */
  readonly addresses: readonly string[];
  /** Workload (pod) name and namespace. */
  readonly name: string;
  readonly namespace: string;
  readonly dnsDomain: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly network: string;
  readonly clusterId: string;
  /** How traffic reaches the proxy: redirected by the kernel, or through explicit loopback listeners (section 4 of the design). */
  readonly capture: 'redirect' | 'tproxy' | 'explicit' | 'none';
  /** Explicit capture: what the supervisor allocated for this workload. */
  readonly explicit?: ExplicitCapture;
  /** True on delta streams, where virtual hosts travel one by one (VHDS). */
  readonly vhds: boolean;
  /** Everything of the node metadata that has no field of its own. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type IpFamily = 'IPv4' | 'IPv6';

/** Node metadata key `OSTRIA_CAPTURE`. All listeners bind loopback addresses. */
export interface ExplicitCapture {
  /** IP families of the loopback addresses; absent: IPv4 alone. */
  readonly families?: readonly IpFamily[];
  /** Outbound loopback listeners: `host:servicePort` (FQDN) → local port. */
  readonly outbound: Readonly<Record<string, number>>;
  /** Inbound: service port → { listen: the sidecar's port that peers call (mTLS), app: the application's own port }. */
  readonly inbound: readonly {
    readonly servicePort: number;
    /** What policies call the port. Default: the service's. */
    readonly workloadPort?: number;
    readonly listen: number;
    readonly app: number;
    readonly protocol?: string;
  }[];
  /** Gateways (`router`): port of a Gateway server → the local port that stands for it. A server whose port is not here is not served. */
  readonly gateway?: Readonly<Record<string, number>>;
  /** HTTP_PROXY listener for every other host; 0: none. */
  readonly httpProxy: number;
}

/** The node message's parts that identify a proxy. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly locality?: { readonly region?: string; readonly zone?: string; readonly subZone?: string };
}

/** Parses `type~ip~name.namespace~namespace.svc.domain` and the metadata. Returns a message for what is wrong. */
export function parseProxy(
  node: NodeInfo,
  options: { vhds: boolean },
): { ok: true; proxy: MeshProxy } | { ok: false; error: string } {
  const parts = node.id.split('~');
  const [type, address, workload, domain] = parts;
  if (parts.length !== 4 || !workload || domain === undefined)
    return {
      ok: false,
      error: `node id ${JSON.stringify(node.id)} is not of the form type~ip~name.namespace~domain`,
    };
  if (type !== 'sidecar' && type !== 'router' && type !== 'waypoint' && type !== 'grpc')
    return {
      ok: false,
      error: `node id ${JSON.stringify(node.id)}: type must be sidecar, router, waypoint or grpc`,
    };
  const metadata = node.metadata;
  const dot = workload.lastIndexOf('.');
  const name = dot < 0 ? workload : workload.slice(0, dot);
  const namespace = text(metadata.NAMESPACE) ?? (dot < 0 ? 'default' : workload.slice(dot + 1));
  const addresses = (text(metadata.INSTANCE_IPS) ?? address ?? '').split(',').filter((ip) => ip !== '');
  const labels = stringMap(metadata.LABELS);
  const capture = captureOf(metadata);
  const proxy: MeshProxy = {
    id: node.id,
    type,
    addresses,
    name,
    namespace,
    dnsDomain: domain,
    labels,
    serviceAccount: text(metadata.SERVICE_ACCOUNT) ?? 'default',
    locality: {
      region: node.locality?.region ?? '',
      zone: node.locality?.zone ?? '',
      subZone: node.locality?.subZone ?? '',
    },
    network: text(metadata.NETWORK) ?? labels['topology.istio.io/network'] ?? '',
    clusterId: text(metadata.CLUSTER_ID) ?? 'Kubernetes',
    capture,
    ...(capture === 'explicit' ? { explicit: metadata.OSTRIA_CAPTURE as ExplicitCapture } : {}),
    vhds: options.vhds,
    metadata,
  };
  return { ok: true, proxy: Object.freeze(proxy) };
}

function captureOf(metadata: Readonly<Record<string, unknown>>): MeshProxy['capture'] {
  if (metadata.OSTRIA_CAPTURE !== undefined && isExplicitCapture(metadata.OSTRIA_CAPTURE)) return 'explicit';
  const mode = text(metadata.INTERCEPTION_MODE)?.toUpperCase();
  if (mode === 'TPROXY') return 'tproxy';
  return mode === 'NONE' ? 'none' : 'redirect';
}

function isExplicitCapture(value: unknown): value is ExplicitCapture {
  if (typeof value !== 'object' || value === null) return false;
  const capture = value as Partial<ExplicitCapture>;
  return (
    typeof capture.outbound === 'object' &&
    Array.isArray(capture.inbound) &&
    typeof capture.httpProxy === 'number'
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function stringMap(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
