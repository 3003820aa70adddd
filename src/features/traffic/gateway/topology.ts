import type { EdgeTrust } from '../../../plan/listener-plan.ts';
import { defineAttribute } from '../../../snapshot/attribute.ts';
import { defineQuery } from '../../../snapshot/query.ts';

/** ProxyConfig.gatewayTopology: what stands in front of a gateway. */
export interface GatewayTopology {
  readonly trust: EdgeTrust;
  /** Connections begin with a PROXY protocol header. */
  readonly proxyProtocol: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** A proxy's own ProxyConfig, as Istio's agents report it; what it lacks the mesh's `defaultConfig` says. */
const ownConfig = defineAttribute('proxy-config.gateway', ({ metadata }) => {
  const config = inner(metadata.PROXY_CONFIG);
  const { gatewayTopology, proxyMetadata } = config ?? {};
  return gatewayTopology === undefined && proxyMetadata === undefined
    ? ''
    : JSON.stringify({ gatewayTopology, proxyMetadata });
});

const meshTopology = defineQuery('gateway.mesh-topology', (view): string => {
  const { gatewayTopology, proxyMetadata } = inner(view.mesh('extra').defaultConfig) ?? {};
  return JSON.stringify({ gatewayTopology, proxyMetadata });
});

export const gatewayTopology = defineQuery('gateway.topology', (view): GatewayTopology => {
  const settings = setting(view.attribute(ownConfig), view.call(meshTopology), 'gatewayTopology') ?? {};
  const { numTrustedProxies, forwardClientCertDetails, proxyProtocol } = settings;
  return {
    trust: {
      trustedHops: typeof numTrustedProxies === 'number' ? numTrustedProxies : 0,
      forwardClientCert:
        typeof forwardClientCertDetails === 'string' ? forwardClientCertDetails : 'SANITIZE_SET',
    },
    proxyProtocol: inner(proxyProtocol) !== undefined,
  };
});

/** Istio's switch for HTTP/3 at gateways; here a proxy's own `proxyMetadata` or that of the mesh turns it on. */
const quicSwitch = 'PILOT_ENABLE_QUIC_LISTENERS';

export const http3Everywhere = defineQuery('gateway.http3', (view): boolean => {
  const environment = setting(view.attribute(ownConfig), view.call(meshTopology), 'proxyMetadata');
  return String(environment?.[quicSwitch]) === 'true';
});

function setting(own: string, mesh: string, name: string): Json | undefined {
  const mine = own === '' ? undefined : inner((JSON.parse(own) as Json)[name]);
  return mine ?? inner((JSON.parse(mesh) as Json)[name]);
}

function inner(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null ? (value as Json) : undefined;
}
