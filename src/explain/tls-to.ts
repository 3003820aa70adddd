import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { TransportSocket } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { LbEndpoint } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import {
  type UpstreamTlsContext,
  UpstreamTlsContextSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { unpack } from '../simulate/decoded-resources.ts';

/** What a proxy wraps a connection to an endpoint in. */
export type UpstreamTls =
  | { readonly mode: 'plaintext' }
  | {
      /** `mtls`: it shows a certificate. */
      readonly mode: 'tls' | 'mtls';
      readonly sni?: string;
      readonly alpn: readonly string[];
      /** The certificate is the workload's own, of the mesh. */
      readonly meshCertificate: boolean;
      /** Names of which the server must prove one; empty: any that is trusted. */
      readonly expects: readonly string[];
    };

const matchNamespace = 'envoy.transport_socket_match';
/** Of the workload's own certificate (SDS). */
const workloadSecret = 'default';

export function tlsTo(cluster: Cluster, endpoint: LbEndpoint | undefined): UpstreamTls {
  const context = contextOf(socketFor(cluster, endpoint));
  if (!context) return { mode: 'plaintext' };
  const { commonTlsContext: common, sni } = context;
  const secrets = common?.tlsCertificateSdsSecretConfigs ?? [];
  const shows = secrets.length > 0 || (common?.tlsCertificates.length ?? 0) > 0;
  return {
    mode: shows ? 'mtls' : 'tls',
    ...(sni === '' ? {} : { sni }),
    alpn: common?.alpnProtocols ?? [],
    meshCertificate: secrets.some(({ name }) => name === workloadSecret),
    expects: expectedNames(context),
  };
}

function socketFor(cluster: Cluster, endpoint: LbEndpoint | undefined): TransportSocket | undefined {
  const labels = (endpoint?.metadata?.filterMetadata[matchNamespace] ?? {}) as Record<string, unknown>;
  for (const { match, transportSocket } of cluster.transportSocketMatches)
    if (Object.entries(match ?? {}).every(([name, value]) => labels[name] === value)) return transportSocket;
  return cluster.transportSocket;
}

function contextOf(socket: TransportSocket | undefined): UpstreamTlsContext | undefined {
  return unpack(
    socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined,
    UpstreamTlsContextSchema,
  );
}

function expectedNames({ commonTlsContext }: UpstreamTlsContext): string[] {
  const type = commonTlsContext?.validationContextType;
  const context =
    type?.case === 'combinedValidationContext'
      ? type.value.defaultValidationContext
      : type?.case === 'validationContext'
        ? type.value
        : undefined;
  return (context?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) =>
    matcher?.matchPattern.case === 'exact' ? matcher.matchPattern.value : [],
  );
}
