/**
 * The mesh-wide settings that the compile reads, with Istio's names and defaults (istio.mesh.v1alpha1.MeshConfig).
 * Grows with the features; durations are protobuf JSON strings (`10s`).
 */
export interface MeshConfig {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string;
  readonly enableAutoMtls: boolean;
  /** Mesh-wide peer authentication in the absence of a PeerAuthentication: STRICT in standalone, PERMISSIVE on Kubernetes. */
  readonly defaultMtlsMode: 'STRICT' | 'PERMISSIVE' | 'DISABLE';
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  readonly connectTimeout: string;
  readonly accessLogFile: string;
  readonly accessLogFormat: string;
  readonly accessLogEncoding: 'TEXT' | 'JSON';
  readonly defaultServiceExportTo: readonly string[];
  readonly defaultVirtualServiceExportTo: readonly string[];
  readonly defaultDestinationRuleExportTo: readonly string[];
  readonly h2UpgradePolicy: 'DO_NOT_UPGRADE' | 'UPGRADE';
  readonly protocolDetectionTimeout: string;
  readonly dnsRefreshRate: string;
  /** null: Istio's default policy (2 attempts, safe conditions); see features/traffic. */
  readonly defaultHttpRetryPolicy: Readonly<Record<string, unknown>> | null;
  readonly proxyListenPort: number;
  readonly proxyInboundListenPort: number;
  readonly localityLbEnabled: boolean;
  readonly domainSuffix: string;
  /** Everything else of MeshConfig as given, for features that read it whole. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export const defaultMeshConfig: MeshConfig = Object.freeze({
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  enableAutoMtls: true,
  defaultMtlsMode: 'PERMISSIVE',
  outboundTrafficPolicy: 'ALLOW_ANY',
  connectTimeout: '10s',
  accessLogFile: '',
  accessLogFormat: '',
  accessLogEncoding: 'TEXT',
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
  h2UpgradePolicy: 'DO_NOT_UPGRADE',
  protocolDetectionTimeout: '0s',
  dnsRefreshRate: '60s',
  defaultHttpRetryPolicy: null,
  proxyListenPort: 15001,
  proxyInboundListenPort: 15006,
  localityLbEnabled: true,
  domainSuffix: 'cluster.local',
  extra: {},
});
