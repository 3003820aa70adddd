/**
 * What a port of a mesh file may say of its protocol (Istio's protocol selection). `auto` says nothing: each connection's first
 * bytes tell.
 */
export const portProtocols = [
  'http',
  'http2',
  'https',
  'grpc',
  'grpc-web',
  'tcp',
  'tls',
  'mongo',
  'redis',
  'thrift',
  'dubbo',
  'zookeeper',
  'mysql',
  'postgres',
  'kafka',
  'auto',
] as const;

export type PortProtocol = (typeof portProtocols)[number];

const web: readonly string[] = ['http', 'http2', 'grpc', 'grpc-web', 'auto'] satisfies PortProtocol[];

/**
 * How an application writes the address of a port that its sidecar listens on: plaintext, which the sidecar makes mutual TLS, but
 * for a server that brings TLS of its own.
 */
export function urlScheme(protocol: string): 'http' | 'https' | 'tcp' {
  if (protocol === 'https') return 'https';
  return web.includes(protocol) ? 'http' : 'tcp';
}

/** What to do instead of a word that is not among them. */
export function unknownProtocol(word: string): string {
  if (word === 'udp')
    return 'sidecars carry no UDP; let callers reach the program directly, or through a Gateway with a UDPRoute';
  return `the protocol ${word} is unknown; known are ${portProtocols.join(', ')}`;
}
