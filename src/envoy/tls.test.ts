import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { UpstreamTlsContextSchema } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { agentSecret } from './config-source.ts';
import { upstreamTls } from './tls.ts';

test.each([['h2'], ['istio-http'], [undefined]])(
  'mesh TLS put together from parts is the message (%s)',
  (alpn) => {
    const socket = upstreamTls(
      {
        type: 'mesh',
        everyEndpoint: true,
        sni: 'outbound_.9080_._.reviews',
        identities: ['spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/d'],
        trustDomains: ['a'],
      },
      alpn === undefined ? [] : [alpn],
    );
    const expected = create(UpstreamTlsContextSchema, {
      sni: 'outbound_.9080_._.reviews',
      commonTlsContext: {
        tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2 },
        alpnProtocols:
          alpn === 'istio-http' ? [alpn, 'istio'] : ['istio', ...(alpn === undefined ? [] : [alpn])],
        tlsCertificateSdsSecretConfigs: [agentSecret('default')],
        validationContextType: {
          case: 'combinedValidationContext',
          value: {
            defaultValidationContext: {
              matchTypedSubjectAltNames: ['c', 'd'].map((account) => ({
                sanType: SubjectAltNameMatcher_SanType.URI,
                matcher: { matchPattern: { case: 'exact' as const, value: `spiffe://a/ns/b/sa/${account}` } },
              })),
            },
            validationContextSdsSecretConfig: agentSecret('ROOTCA'),
          },
        },
      },
    });
    const bytes = socket.configType.case === 'typedConfig' ? socket.configType.value.value : new Uint8Array();
    expect(toBinary(UpstreamTlsContextSchema, fromBinary(UpstreamTlsContextSchema, bytes))).toEqual(
      toBinary(UpstreamTlsContextSchema, expected),
    );
  },
);
