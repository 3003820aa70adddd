import type { JsonObject } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { TransportSocket } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import { ProxyProtocolConfig_Version } from '../../gen/proto/envoy/config/core/v3/proxy_protocol_pb.js';
import type { LbEndpoint } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../../gen/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import type { CertificateValidationContext } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  type CommonTlsContext,
  UpstreamTlsContextSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import type { Call, SimulationResult } from './call.ts';
import { type DecodedResources, unpack } from './decoded-resources.ts';
import { addressOf } from './endpoints.ts';
import { stringMatches } from './match-text.ts';

/** The connection that a proxy opens to an endpoint. */
export interface UpstreamConnection {
  readonly tls: Call['tls'];
  /** Of a TLS connection. */
  readonly sni?: string;
  /** What is offered, best first. */
  readonly alpn: readonly string[];
  /** What the server's certificate must name: one of them. Empty: any name will do. */
  readonly expectedNames: readonly StringMatcher[];
  /** Whether the server's certificate is checked against anybody's trust. */
  readonly verified: boolean;
  /** The secret that is presented with mTLS: `default` is the workload's own identity. */
  readonly certificate?: string;
  /** What is spoken on it. */
  readonly protocol: Call['protocol'];
  readonly proxyProtocol?: 'V1' | 'V2';
  /** Of clusters that choose the transport per endpoint: the name of the match. */
  readonly socketMatch?: string;
}

/**
 * How a proxy connects to one endpoint (`address:port`) of the cluster that a call was sent to. Undefined: there is no such cluster.
 * `call` and `result` are those of the walk that led there.
 */
export function upstream(
  resources: DecodedResources,
  call: Call,
  result: Pick<SimulationResult, 'cluster' | 'offers'>,
  endpoint: string,
): UpstreamConnection | undefined {
  const cluster = resources.cluster(result.cluster ?? '');
  if (!cluster) return undefined;
  const { socket, name } = socketFor(cluster, endpointAt(resources, cluster, endpoint));
  const transport = readTransport(socket);
  const http = httpSettings(cluster);
  const protocol = call.protocol === 'tcp' ? 'tcp' : spoken(http, call);
  const { context, proxyProtocol } = transport;
  const common = {
    protocol,
    ...(proxyProtocol ? { proxyProtocol } : {}),
    ...(name === undefined ? {} : { socketMatch: name }),
  };
  if (!context) return { ...common, tls: 'plaintext', alpn: [], expectedNames: [], verified: false };
  const { commonTlsContext: tls } = context;
  const certificate = certificateOf(tls);
  const validation = validationOf(tls);
  const sni = context.sni || (http?.upstreamHttpProtocolOptions?.autoSni ? withoutPort(call.host ?? '') : '');
  return {
    ...common,
    tls: certificate === undefined ? 'tls' : 'mtls',
    ...(sni === '' ? {} : { sni }),
    alpn: result.offers ?? offered(tls, protocol),
    expectedNames: (validation?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) => matcher ?? []),
    verified: tls?.validationContextType.case !== undefined,
    ...(certificate === undefined ? {} : { certificate }),
  };
}

/** Requests of HTTP/1.1 that a TLS server knows by their first bytes. */
const recognized: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT']);

/**
 * What a client gets whose proxy speaks plaintext to a server that waits for a TLS handshake. BoringSSL hangs up on most requests of
 * HTTP/1.1, and answers anything else with a TLS alert, which is no HTTP: a protocol error.
 */
export function statusOfPlaintext(
  { protocol }: Pick<UpstreamConnection, 'protocol'>,
  { method = 'GET' }: Call,
): 502 | 503 {
  return protocol === 'http' && recognized.has(method) ? 503 : 502;
}

/** Whether a certificate with this URI is one that the client expects. */
export function isExpected({ expectedNames }: UpstreamConnection, uri: string): boolean {
  return expectedNames.length === 0 || expectedNames.some((matcher) => stringMatches(matcher, uri));
}

/** What reaches the endpoint's own proxy, where it has one. `identity`: the caller's, `sourceAddress`: its proxy's. */
export function serverCall(
  call: Call,
  result: SimulationResult,
  connection: UpstreamConnection,
  endpoint: string,
  client: { readonly identity?: string; readonly sourceAddress?: string },
  mode: 'inbound' | 'direct' = 'inbound',
): Call {
  const colon = endpoint.lastIndexOf(':');
  const { forwarded } = result;
  const { tls, sni, alpn, protocol } = connection;
  // TLS that nobody took apart goes on inside.
  const passes = tls === 'plaintext' && forwarded === undefined;
  return {
    address: endpoint.slice(0, colon),
    port: Number(endpoint.slice(colon + 1)),
    mode,
    protocol: forwarded ? protocol : tls === 'plaintext' ? call.protocol : innerProtocol(call),
    tls: passes ? call.tls : tls,
    ...(passes ? tlsOf(call) : { ...(sni === undefined ? {} : { sni }), alpn }),
    ...(client.sourceAddress === undefined ? {} : { sourceAddress: client.sourceAddress }),
    ...(tls === 'mtls' && client.identity !== undefined ? { identity: client.identity } : {}),
    ...(forwarded
      ? { host: forwarded.authority, path: forwarded.path, headers: forwarded.headers }
      : requestOf(call)),
    ...(call.method === undefined ? {} : { method: call.method }),
    ...(call.claims === undefined ? {} : { claims: call.claims }),
  };
}

function tlsOf({ sni, alpn, identity }: Call): Partial<Call> {
  return {
    ...(sni === undefined ? {} : { sni }),
    ...(alpn === undefined ? {} : { alpn }),
    ...(identity === undefined ? {} : { identity }),
  };
}

function innerProtocol(call: Call): Call['protocol'] {
  return call.tls === 'plaintext' ? call.protocol : 'tcp';
}

function requestOf({ host, path, headers }: Call): Partial<Call> {
  return {
    ...(host === undefined ? {} : { host }),
    ...(path === undefined ? {} : { path }),
    ...(headers === undefined ? {} : { headers }),
  };
}

function endpointAt(resources: DecodedResources, cluster: Cluster, endpoint: string): LbEndpoint | undefined {
  for (const { lbEndpoints } of resources.endpoints(cluster)?.endpoints ?? []) {
    const found = lbEndpoints.find((candidate) => addressOf(candidate) === endpoint);
    if (found) return found;
  }
  return undefined;
}

/** The first match that the endpoint's metadata fulfils. */
function socketFor(
  cluster: Cluster,
  endpoint: LbEndpoint | undefined,
): { socket: TransportSocket | undefined; name?: string } {
  const fields = endpoint?.metadata?.filterMetadata['envoy.transport_socket_match'] as JsonObject | undefined;
  const found = cluster.transportSocketMatches.find(({ match }) =>
    Object.entries(match ?? {}).every(([key, value]) => fields?.[key] === value),
  );
  return found ? { socket: found.transportSocket, name: found.name } : { socket: cluster.transportSocket };
}

interface Transport {
  readonly context?: NonNullable<ReturnType<typeof tlsContext>>;
  readonly proxyProtocol?: 'V1' | 'V2';
}

function tlsContext(config: Any | undefined) {
  return unpack(config, UpstreamTlsContextSchema);
}

function readTransport(socket: TransportSocket | undefined): Transport {
  const config = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined;
  const announced = unpack(config, ProxyProtocolUpstreamTransportSchema);
  if (announced) {
    const version = announced.config?.version === ProxyProtocolConfig_Version.V2 ? 'V2' : 'V1';
    return { ...readTransport(announced.transportSocket), proxyProtocol: version };
  }
  const context = tlsContext(config);
  return context ? { context } : {};
}

function certificateOf(tls: CommonTlsContext | undefined): string | undefined {
  const [secret] = tls?.tlsCertificateSdsSecretConfigs ?? [];
  if (secret) return secret.name;
  const [own] = tls?.tlsCertificates ?? [];
  const chain = own?.certificateChain?.specifier;
  return own ? (chain?.case === 'filename' ? chain.value : 'inline') : undefined;
}

function validationOf(tls: CommonTlsContext | undefined): CertificateValidationContext | undefined {
  const type = tls?.validationContextType;
  if (type?.case === 'validationContext') return type.value;
  return type?.case === 'combinedValidationContext' ? type.value.defaultValidationContext : undefined;
}

/** Where the context names nothing, the connection pool offers what it speaks. */
function offered(tls: CommonTlsContext | undefined, protocol: Call['protocol']): readonly string[] {
  if (tls && tls.alpnProtocols.length > 0) return tls.alpnProtocols;
  if (protocol === 'tcp') return [];
  return [protocol === 'http2' ? 'h2' : 'http/1.1'];
}

function httpSettings(cluster: Cluster) {
  return unpack(
    cluster.typedExtensionProtocolOptions['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'],
    HttpProtocolOptionsSchema,
  );
}

/** What the client spoke, where the cluster says so; the servers' choice by ALPN counts as HTTP/2. */
function spoken(settings: ReturnType<typeof httpSettings>, call: Call): Call['protocol'] {
  const options = settings?.upstreamProtocolOptions;
  switch (options?.case) {
    case 'explicitHttpConfig':
      return options.value.protocolConfig.case === 'http2ProtocolOptions' ? 'http2' : 'http';
    case 'autoConfig':
      return 'http2';
    case 'useDownstreamProtocolConfig':
      return call.protocol;
    default:
      return 'http';
  }
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d+$/, '');
}
