import { isSwitchedOn } from '../kit/switched-on.ts';
/** What happens to traffic for hosts that nobody configured. */
export type OutboundMode = 'ALLOW_ANY' | 'REGISTRY_ONLY' | 'ALLOW_ANY_DYNAMIC_DNS';

const outboundModes: readonly string[] = ['ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS'];

/**
 * The mesh-wide settings that the compile reads, with Istio's names and defaults (istio.mesh.v1alpha1.MeshConfig).
 * Grows with the features; durations are protobuf JSON strings (`10s`).
 */
export interface MeshConfig {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /** Other trust domains whose workloads may connect, as `caCertificates` name them. */
  readonly federatedTrustDomains: readonly string[];
  readonly rootNamespace: string;
  readonly enableAutoMtls: boolean;
  /** Mesh-wide peer authentication in the absence of a PeerAuthentication: STRICT in standalone, PERMISSIVE on Kubernetes. */
  readonly defaultMtlsMode: 'STRICT' | 'PERMISSIVE' | 'DISABLE';
  readonly outboundTrafficPolicy: OutboundMode;
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
  /** `localityLbSetting` as given: for services whose rules say nothing of it. null: none. */
  readonly localityLbSetting: Readonly<Record<string, unknown>> | null;
  /** `zoneAwareLbSetting` as given. */
  readonly zoneAwareLbSetting: Readonly<Record<string, unknown>> | null;
  /** `defaultTrafficPolicy` as given: `connectionPool` and `outlierDetection` for what no rule sets. */
  readonly defaultTrafficPolicy: Readonly<Record<string, unknown>> | null;
  /** `tcpKeepalive` as given. */
  readonly tcpKeepalive: Readonly<Record<string, unknown>> | null;
  /** `meshMTLS` as given: `minProtocolVersion` and `cipherSuites` of what workloads accept from each other. */
  readonly meshMTLS: Readonly<Record<string, unknown>> | null;
  /** `tlsDefaults` as given: `ecdhCurves` and `cipherSuites` of all other TLS. */
  readonly tlsDefaults: Readonly<Record<string, unknown>> | null;
  /** Patterns of the names under which Envoys count clusters; '': the clusters' own. */
  readonly outboundClusterStatName: string;
  readonly inboundClusterStatName: string;
  /** LOCALHOST: what comes for the workload goes to its loopback address. */
  readonly inboundTrafficPolicy: 'PASSTHROUGH' | 'LOCALHOST';
  /** Namespaces that the mesh is made of, by label selectors; empty: all. */
  readonly discoverySelectors: readonly Readonly<Record<string, unknown>>[];
  readonly domainSuffix: string;
  /** Every proxy takes HTTP/1.0: `defaultConfig.proxyMetadata.ISTIO_META_HTTP10`. */
  readonly http10: boolean;
  readonly extensionProviders: readonly ExtensionProvider[];
  /** Sidecars load clusters and virtual hosts on the first request: `defaultConfig.proxyMetadata.OSTRIA_LAZY`. */
  readonly lazy: boolean;
  /** Refusals tell callers inside the mesh who decided: `defaultConfig.proxyMetadata.OSTRIA_EXPLAIN_REFUSALS`. */
  readonly explainRefusals: boolean;
  /** Everything else of MeshConfig as given, for features that read it whole. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The settings that services depend on: a thousand take 60 ms to make, which what is for others must not cost. */
export const serviceSettings = ['domainSuffix', 'defaultServiceExportTo'] as const;

export type ServiceSettings = Pick<MeshConfig, (typeof serviceSettings)[number]>;

/** A service that features may be told to use, by its name: `envoyExtAuthzGrpc`, `zipkin`, … hold its settings. */
export interface ExtensionProvider {
  readonly name: string;
  readonly [settings: string]: unknown;
}

export const defaultMeshConfig: MeshConfig = Object.freeze({
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  federatedTrustDomains: [],
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
  localityLbSetting: null,
  zoneAwareLbSetting: null,
  defaultTrafficPolicy: null,
  tcpKeepalive: null,
  meshMTLS: null,
  tlsDefaults: null,
  outboundClusterStatName: '',
  inboundClusterStatName: '',
  inboundTrafficPolicy: 'PASSTHROUGH',
  discoverySelectors: [],
  domainSuffix: 'cluster.local',
  http10: false,
  extensionProviders: [],
  lazy: false,
  explainRefusals: false,
  extra: {},
});

type Json = Readonly<Record<string, unknown>>;

/**
 * Overlays Istio's MeshConfig (JSON names, as in the `istio` ConfigMap's `mesh` or `meshConfig` of an install) on settings.
 * Fields that the compile does not read by name stay in `extra`. Values of a wrong type are ignored: admission refuses them earlier.
 */
export function overlayMeshConfig(base: MeshConfig, overlay: Json): MeshConfig {
  const text = <T extends string>(name: string, fallback: T): T =>
    typeof overlay[name] === 'string' && overlay[name] !== '' ? (overlay[name] as T) : fallback;
  const texts = (name: string, fallback: readonly string[]): readonly string[] =>
    Array.isArray(overlay[name]) ? overlay[name].filter((item) => typeof item === 'string') : fallback;
  const number = (name: string, fallback: number): number =>
    typeof overlay[name] === 'number' ? overlay[name] : fallback;
  const inner = (name: string): Json | undefined =>
    typeof overlay[name] === 'object' && overlay[name] !== null ? (overlay[name] as Json) : undefined;
  const flag = (value: unknown, fallback: boolean): boolean =>
    typeof value === 'boolean' ? value : fallback;
  const outbound = inner('outboundTrafficPolicy')?.mode;
  const extra = Object.freeze({ ...base.extra, ...overlay });
  const home = {
    trustDomain: text('trustDomain', base.trustDomain),
    trustDomainAliases: texts('trustDomainAliases', base.trustDomainAliases),
  };
  return Object.freeze({
    ...home,
    federatedTrustDomains: federatedTrustDomains(extra, homeTrustDomains(home)),
    rootNamespace: text('rootNamespace', base.rootNamespace),
    enableAutoMtls: flag(overlay.enableAutoMtls, base.enableAutoMtls),
    defaultMtlsMode: base.defaultMtlsMode,
    outboundTrafficPolicy: outboundModes.includes(String(outbound))
      ? (outbound as OutboundMode)
      : base.outboundTrafficPolicy,
    connectTimeout: text('connectTimeout', base.connectTimeout),
    accessLogFile: text('accessLogFile', base.accessLogFile),
    accessLogFormat: text('accessLogFormat', base.accessLogFormat),
    accessLogEncoding: text('accessLogEncoding', base.accessLogEncoding),
    defaultServiceExportTo: texts('defaultServiceExportTo', base.defaultServiceExportTo),
    defaultVirtualServiceExportTo: texts('defaultVirtualServiceExportTo', base.defaultVirtualServiceExportTo),
    defaultDestinationRuleExportTo: texts(
      'defaultDestinationRuleExportTo',
      base.defaultDestinationRuleExportTo,
    ),
    h2UpgradePolicy: text('h2UpgradePolicy', base.h2UpgradePolicy),
    protocolDetectionTimeout: text('protocolDetectionTimeout', base.protocolDetectionTimeout),
    dnsRefreshRate: text('dnsRefreshRate', base.dnsRefreshRate),
    defaultHttpRetryPolicy: inner('defaultHttpRetryPolicy') ?? base.defaultHttpRetryPolicy,
    proxyListenPort: number('proxyListenPort', base.proxyListenPort),
    proxyInboundListenPort: number('proxyInboundListenPort', base.proxyInboundListenPort),
    localityLbEnabled: flag(inner('localityLbSetting')?.enabled, base.localityLbEnabled),
    localityLbSetting: inner('localityLbSetting') ?? base.localityLbSetting,
    zoneAwareLbSetting: inner('zoneAwareLbSetting') ?? base.zoneAwareLbSetting,
    defaultTrafficPolicy: inner('defaultTrafficPolicy') ?? base.defaultTrafficPolicy,
    tcpKeepalive: inner('tcpKeepalive') ?? base.tcpKeepalive,
    meshMTLS: inner('meshMTLS') ?? base.meshMTLS,
    tlsDefaults: inner('tlsDefaults') ?? base.tlsDefaults,
    outboundClusterStatName: text('outboundClusterStatName', base.outboundClusterStatName),
    inboundClusterStatName: text('inboundClusterStatName', base.inboundClusterStatName),
    inboundTrafficPolicy:
      inner('inboundTrafficPolicy')?.mode === 'LOCALHOST' ? 'LOCALHOST' : base.inboundTrafficPolicy,
    discoverySelectors: Array.isArray(overlay.discoverySelectors)
      ? (overlay.discoverySelectors as Json[])
      : base.discoverySelectors,
    domainSuffix: base.domainSuffix,
    http10: base.http10 || isSwitchedOn(proxyMetadata(overlay, 'ISTIO_META_HTTP10')),
    extensionProviders: Array.isArray(overlay.extensionProviders)
      ? overlay.extensionProviders.filter(isProvider)
      : base.extensionProviders,
    lazy: isOn(proxyMetadata(overlay, 'OSTRIA_LAZY'), base.lazy),
    explainRefusals: isOn(proxyMetadata(overlay, 'OSTRIA_EXPLAIN_REFUSALS'), base.explainRefusals),
    extra,
  });
}

function isOn(text: string, fallback: boolean): boolean {
  return text === '' ? fallback : /^(true|1)$/i.test(text);
}

/** What `defaultConfig.proxyMetadata` says under a name, '' for nothing. */
function proxyMetadata(overlay: Json, name: string): string {
  const config = overlay.defaultConfig as { proxyMetadata?: Record<string, unknown> } | undefined;
  return String(config?.proxyMetadata?.[name] ?? '');
}

function isProvider(value: unknown): value is ExtensionProvider {
  return (
    typeof value === 'object' && value !== null && typeof (value as { name?: unknown }).name === 'string'
  );
}

/** An entry of `caCertificates`: roots, and the trust domains that they speak for (none: the mesh's own and its aliases). */
export interface TrustedAuthority {
  readonly pem: string;
  readonly spiffeBundleUrl?: string;
  readonly trustDomains: readonly string[];
}

export function trustedAuthorities({ extra }: Pick<MeshConfig, 'extra'>): readonly TrustedAuthority[] {
  const entries = Array.isArray(extra.caCertificates) ? (extra.caCertificates as Json[]) : [];
  return entries.map(({ pem, spiffeBundleUrl, trustDomains }) => ({
    pem: typeof pem === 'string' ? pem : '',
    ...(typeof spiffeBundleUrl === 'string' && spiffeBundleUrl !== '' ? { spiffeBundleUrl } : {}),
    trustDomains: Array.isArray(trustDomains) ? trustDomains.filter((one) => typeof one === 'string') : [],
  }));
}

/** The mesh's own trust domain, and what else it goes by. */
export function homeTrustDomains({
  trustDomain,
  trustDomainAliases,
}: Pick<MeshConfig, 'trustDomain' | 'trustDomainAliases'>): readonly string[] {
  return [...new Set([trustDomain, ...trustDomainAliases])];
}

function federatedTrustDomains(extra: Json, home: readonly string[]): readonly string[] {
  const named = trustedAuthorities({ extra }).flatMap(({ trustDomains }) => trustDomains);
  return [...new Set(named)].filter((domain) => !home.includes(domain)).sort();
}
