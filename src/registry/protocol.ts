import type { Protocol } from './service.ts';

const byPrefix: ReadonlyMap<string, Protocol> = new Map(
  Object.entries({
    http: 'HTTP',
    'http-proxy': 'HTTP',
    http2: 'HTTP2',
    grpc: 'GRPC',
    'grpc-web': 'GRPCWeb',
    https: 'HTTPS',
    tls: 'TLS',
    tcp: 'TCP',
    udp: 'UDP',
    mongo: 'Mongo',
    redis: 'Redis',
    mysql: 'MySQL',
    thrift: 'Thrift',
    dubbo: 'Dubbo',
    zookeeper: 'ZooKeeper',
    postgres: 'Postgres',
    postgresql: 'Postgres',
    kafka: 'Kafka',
    hbone: 'HBONE',
  } satisfies Record<string, Protocol>),
);

const byAppProtocol: ReadonlyMap<string, Protocol> = new Map(
  Object.entries({
    'kubernetes.io/h2c': 'HTTP2',
    'kubernetes.io/ws': 'HTTP',
    'kubernetes.io/wss': 'HTTPS',
  } satisfies Record<string, Protocol>),
);

/** Ports that are plain TCP whatever their name says, as long as it says nothing: server-speaks-first protocols. */
const serverFirstPorts: ReadonlySet<number> = new Set([25, 53, 853, 3306, 27017]);

/** A protocol by its written name in a ServiceEntry or Gateway (`HTTP`, `grpc-web`, …); unknown names are `Unsupported`. */
export function parseProtocol(name: string): Protocol {
  return byPrefix.get(name.toLowerCase().replaceAll('_', '-')) ?? 'Unsupported';
}

/**
 * The protocol of a Kubernetes service port: UDP as such, then appProtocol, then the name or its prefix before `-`
 * (`http2-admin`), then well-known server-first ports, else `Unsupported` (to be sniffed).
 * @see https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/
 */
export function servicePortProtocol(port: {
  name?: string | undefined;
  port: number;
  protocol?: string | undefined;
  appProtocol?: string | undefined;
}): Protocol {
  if (port.protocol === 'UDP') return 'UDP';
  // One that means nothing here hides the name all the same: what it says is not what the name says.
  const word = port.appProtocol || (port.name ?? '');
  const known = byAppProtocol.get(word) ?? byNameOrPrefix(word);
  return known ?? (serverFirstPorts.has(port.port) ? 'TCP' : 'Unsupported');
}

function byNameOrPrefix(name: string): Protocol | undefined {
  const lower = name.toLowerCase();
  if (lower === 'grpc-web' || lower.startsWith('grpc-web-')) return 'GRPCWeb';
  const dash = lower.indexOf('-');
  return byPrefix.get(dash < 0 ? lower : lower.slice(0, dash));
}
