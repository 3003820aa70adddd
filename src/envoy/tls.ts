import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { type TransportSocket, TransportSocketSchema } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import { ProxyProtocolConfig_Version as ProxyProtocolVersion } from '../../gen/proto/envoy/config/core/v3/proxy_protocol_pb.js';
import { ProxyProtocolUpstreamTransportSchema } from '../../gen/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js';
import { QuicDownstreamTransportSchema } from '../../gen/proto/envoy/extensions/transport_sockets/quic/v3/quic_transport_pb.js';
import { RawBufferSchema } from '../../gen/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js';
import {
  type CertificateValidationContext,
  CertificateValidationContext_SystemRootCertsSchema,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type SubjectAltNameMatcher,
  SubjectAltNameMatcherSchema,
  type TlsParameters,
  TlsParametersSchema,
  TlsParameters_TlsProtocol as TlsProtocol,
  CertificateValidationContext_TrustChainVerification as TrustChainVerification,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  type CommonTlsContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  CommonTlsContextSchema,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import {
  ecdhCurves as knownCurves,
  cipherSuites as knownSuites,
} from '../config/kinds/istio/cipher-suites.ts';
import type { CertificateSource, TrustSource, UpstreamTls } from '../plan/cluster-plan.ts';
import type { DownstreamTls } from '../plan/listener-plan.ts';
import { agentSecret, deliveredSecret } from './config-source.ts';
import { pack } from './pack.ts';

/** ALPN that marks a connection between sidecars, as Istio's do. */
export const meshAlpn = 'istio';
/** Besides it, where the port's protocol is not declared: HTTP was recognised. */
export const httpAlpn = 'istio-http';

export function rawBuffer(): TransportSocket {
  return transportSocket('envoy.transport_sockets.raw_buffer', pack(RawBufferSchema, {}));
}

/** A PROXY protocol header goes before whatever the inner socket sends. */
export function withProxyProtocol(inner: TransportSocket, version: 'V1' | 'V2'): TransportSocket {
  return transportSocket(
    'envoy.transport_sockets.upstream_proxy_protocol',
    pack(ProxyProtocolUpstreamTransportSchema, {
      config: { version: version === 'V2' ? ProxyProtocolVersion.V2 : ProxyProtocolVersion.V1 },
      transportSocket: inner,
    }),
  );
}

function transportSocket(name: string, config: Any): TransportSocket {
  return create(TransportSocketSchema, { name, configType: { case: 'typedConfig', value: config } });
}

function exactSan(value: string): SubjectAltNameMatcher[] {
  const types = value.includes('://') ? [SanType.URI] : [SanType.DNS, SanType.URI, SanType.IP_ADDRESS];
  return types.map((sanType) =>
    create(SubjectAltNameMatcherSchema, {
      sanType,
      matcher: { matchPattern: { case: 'exact', value } },
    }),
  );
}

function trustDomainSan(trustDomain: string): SubjectAltNameMatcher {
  return create(SubjectAltNameMatcherSchema, {
    sanType: SanType.URI,
    matcher: { matchPattern: { case: 'prefix', value: `spiffe://${trustDomain}/` } },
  });
}

function addCertificate(context: CommonTlsContext, source: CertificateSource): void {
  context.tlsCertificateSdsSecretConfigs.push(
    source.type === 'mesh' ? agentSecret('default') : deliveredSecret(source.name),
  );
}

function setTrust(
  context: CommonTlsContext,
  trust: TrustSource,
  validation: CertificateValidationContext,
): void {
  if (trust.type === 'system') {
    validation.systemRootCerts = create(CertificateValidationContext_SystemRootCertsSchema);
    context.validationContextType = { case: 'validationContext', value: validation };
  } else {
    context.validationContextType = {
      case: 'combinedValidationContext',
      value: create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
        defaultValidationContext: validation,
        validationContextSdsSecretConfig:
          trust.type === 'mesh' ? agentSecret('ROOTCA') : deliveredSecret(trust.name),
      }),
    };
  }
}

const upstreamSocketName = 'envoy.transport_sockets.tls';

/** The TLS of connections to a cluster. `alpn` is what is offered besides. */
export function upstreamTls(tls: UpstreamTls, alpn: readonly string[]): TransportSocket {
  if (tls.type === 'mesh') return meshUpstreamTls(tls, alpn);
  const context = create(CommonTlsContextSchema, {
    alpnProtocols: [...alpn],
    tlsParams: tlsParameters({
      minimum: 'TLSV1_2',
      // By itself Envoy stops at 1.2 as a client, and servers that have 1.3 alone could not be called.
      maximum: 'TLSV1_3',
      cipherSuites: tls.cipherSuites,
      ecdhCurves: tls.ecdhCurves,
    }),
  });
  if (tls.client) addCertificate(context, tls.client);
  if (tls.trust)
    setTrust(
      context,
      tls.trust,
      create(CertificateValidationContextSchema, {
        matchTypedSubjectAltNames: tls.subjectAltNames.flatMap(exactSan),
      }),
    );
  return transportSocket(
    upstreamSocketName,
    pack(UpstreamTlsContextSchema, { commonTlsContext: context, sni: tls.sni }),
  );
}

/** What every cluster's mesh TLS has in common, encoded once per protocol: TLS between sidecars never needs less than 1.2. */
function meshContextHead(alpn: string | undefined, newest = false): Uint8Array {
  return toBinary(
    CommonTlsContextSchema,
    create(CommonTlsContextSchema, {
      tlsParams: tlsParameters({ minimum: 'TLSV1_2', ...(newest ? { maximum: 'TLSV1_3' } : {}) }),
      // Envoy takes the first offer that a filter chain of the server names: recognised HTTP must come before the mesh's own.
      alpnProtocols:
        alpn === undefined ? [meshAlpn] : alpn === httpAlpn ? [alpn, meshAlpn] : [meshAlpn, alpn],
      tlsCertificateSdsSecretConfigs: [agentSecret('default')],
    }),
  );
}

const meshContextHeads: Readonly<Record<string, Uint8Array>> = Object.freeze({
  '': meshContextHead(undefined),
  h2: meshContextHead('h2'),
  [httpAlpn]: meshContextHead(httpAlpn),
});
const trustBundle = toBinary(
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  create(CommonTlsContext_CombinedCertificateValidationContextSchema, {
    validationContextSdsSecretConfig: agentSecret('ROOTCA'),
  }),
);

/**
 * Nearly every cluster has one, and only names differ: the rest is put together from encoded parts, which halves the work of a
 * cluster. The field numbers are UpstreamTlsContext's and CommonTlsContext's (tls.proto); tls.test.ts compares with the long way.
 */
function meshUpstreamTls(tls: UpstreamTls & { type: 'mesh' }, alpn: readonly string[]): TransportSocket {
  const names =
    tls.identities.length > 0 ? tls.identities.flatMap(exactSan) : tls.trustDomains.map(trustDomainSan);
  const validation = toBinary(
    CertificateValidationContextSchema,
    create(CertificateValidationContextSchema, { matchTypedSubjectAltNames: names }),
  );
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).fork();
  const usual = tls.newest ? undefined : meshContextHeads[alpn[0] ?? ''];
  writer.raw(usual ?? meshContextHead(alpn[0], tls.newest));
  writer.tag(8, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).bytes(validation).raw(trustBundle);
  writer.join().join();
  writer.tag(2, WireType.LengthDelimited).string(tls.sni);
  return transportSocket(
    upstreamSocketName,
    create(AnySchema, {
      typeUrl: `type.googleapis.com/${UpstreamTlsContextSchema.typeName}`,
      value: writer.finish() as Uint8Array<ArrayBuffer>,
    }),
  );
}

interface TlsLimits {
  readonly minimum?: string | undefined;
  readonly maximum?: string | undefined;
  readonly cipherSuites?: readonly string[] | undefined;
  readonly ecdhCurves?: readonly string[] | undefined;
}

function tlsParameters({ minimum, maximum, cipherSuites = [], ecdhCurves = [] }: TlsLimits): TlsParameters {
  return create(TlsParametersSchema, {
    tlsMinimumProtocolVersion: protocolVersion(minimum),
    tlsMaximumProtocolVersion: protocolVersion(maximum),
    cipherSuites: cipherSuites.filter((name) => knownSuites.has(name)),
    ecdhCurves: ecdhCurves.filter((name) => knownCurves.has(name)),
  });
}

/** TLS 1.2 unless the user asks for less: outright, or by a limit below it. */
function leastVersion({ minVersion, maxVersion }: DownstreamTls): string {
  if (minVersion && minVersion !== 'TLS_AUTO') return minVersion;
  return maxVersion === 'TLSV1_0' || maxVersion === 'TLSV1_1' ? maxVersion : 'TLSV1_2';
}

function protocolVersion(name: string | undefined): TlsProtocol {
  switch (name) {
    case 'TLSV1_0':
      return TlsProtocol.TLSv1_0;
    case 'TLSV1_1':
      return TlsProtocol.TLSv1_1;
    case 'TLSV1_2':
      return TlsProtocol.TLSv1_2;
    case 'TLSV1_3':
      return TlsProtocol.TLSv1_3;
    default:
      return TlsProtocol.TLS_AUTO;
  }
}

/** The TLS of connections from clients. */
export function downstreamTls(tls: DownstreamTls): TransportSocket {
  return transportSocket(
    'envoy.transport_sockets.tls',
    pack(DownstreamTlsContextSchema, downstreamContext(tls)),
  );
}

/** The same for QUIC, which brings its own record layer. */
export function quicTransport(tls: DownstreamTls): TransportSocket {
  return transportSocket(
    'envoy.transport_sockets.quic',
    pack(QuicDownstreamTransportSchema, { downstreamTlsContext: downstreamContext(tls) }),
  );
}

function downstreamContext(tls: DownstreamTls): DownstreamTlsContext {
  const context = create(CommonTlsContextSchema, { alpnProtocols: [...tls.alpn] });
  for (const certificate of tls.certificates) addCertificate(context, certificate);
  const validation = create(CertificateValidationContextSchema, {
    matchTypedSubjectAltNames: [
      ...tls.subjectAltNames.flatMap(exactSan),
      ...(tls.trustDomains ?? []).map(trustDomainSan),
    ],
    verifyCertificateHash: [...(tls.verifyHash ?? [])],
    verifyCertificateSpki: [...(tls.verifySpki ?? [])],
    ...(tls.acceptUntrusted ? { trustChainVerification: TrustChainVerification.ACCEPT_UNTRUSTED } : {}),
  });
  if (tls.trust) setTrust(context, tls.trust, validation);
  else if (validation.verifyCertificateHash.length + validation.verifyCertificateSpki.length > 0)
    context.validationContextType = { case: 'validationContext', value: validation };
  context.tlsParams = tlsParameters({
    minimum: leastVersion(tls),
    maximum: tls.maxVersion,
    cipherSuites: tls.cipherSuites,
    ecdhCurves: tls.ecdhCurves,
  });
  return create(DownstreamTlsContextSchema, {
    commonTlsContext: context,
    requireClientCertificate: tls.requireClientCertificate,
  });
}
