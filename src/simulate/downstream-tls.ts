import type { FilterChain } from '../../gen/proto/envoy/config/listener/v3/listener_components_pb.js';
import type { SdsSecretConfig } from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  type CommonTlsContext,
  DownstreamTlsContextSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import type { Call, SimulationError, SimulationOptions } from './call.ts';
import { type DecodedResources, unpack } from './decoded-resources.ts';
import { stringMatches } from './match-text.ts';

/** Why a connection comes to nothing in the TLS of a filter chain; undefined: it does not. */
export function checkTls(
  resources: DecodedResources,
  chain: FilterChain,
  call: Call,
  { withoutSecrets = false }: SimulationOptions,
): SimulationError | undefined {
  const socket = chain.transportSocket;
  const config = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined;
  const context = unpack(config, DownstreamTlsContextSchema);
  if (!context) return undefined;
  if (call.tls === 'plaintext') return 'invalid TLS';
  const { commonTlsContext: common } = context;
  if (!withoutSecrets && secretsOf(common).some((secret) => isMissing(resources, secret)))
    return 'no certificate';
  // A client that proves who it is expects to be asked: a server that does not ask is not the peer that it means.
  const asks = context.requireClientCertificate || common?.validationContextType.case !== undefined;
  if (call.tls !== 'mtls') return context.requireClientCertificate ? 'invalid mTLS' : undefined;
  return asks && isAccepted(common, call) ? undefined : 'invalid mTLS';
}

function secretsOf(context: CommonTlsContext | undefined): SdsSecretConfig[] {
  const trust = context?.validationContextType;
  const anchors =
    trust?.case === 'combinedValidationContext' ? trust.value.validationContextSdsSecretConfig : undefined;
  return [...(context?.tlsCertificateSdsSecretConfigs ?? []), ...(anchors ? [anchors] : [])];
}

/** What the control plane was to deliver and did not: Envoy closes connections until it is there. */
function isMissing(resources: DecodedResources, { name, sdsConfig }: SdsSecretConfig): boolean {
  return sdsConfig?.configSourceSpecifier.case === 'ads' && !resources.hasSecret(name);
}

/** Certificates name whom they are for; a call that does not say counts as right. */
function isAccepted(context: CommonTlsContext | undefined, { identity }: Call): boolean {
  const trust = context?.validationContextType;
  const validation =
    trust?.case === 'validationContext'
      ? trust.value
      : trust?.case === 'combinedValidationContext'
        ? trust.value.defaultValidationContext
        : undefined;
  const names = (validation?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) => matcher ?? []);
  return (
    identity === undefined || names.length === 0 || names.some((matcher) => stringMatches(matcher, identity))
  );
}
