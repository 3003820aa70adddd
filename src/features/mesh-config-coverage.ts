/** What happens instead where a field of MeshConfig is set and nothing acts on it; `true`: it is acted on. */
type Coverage = true | string;

/** Every field of MeshConfig. A field that is built loses its sentence here. */
export const meshConfigCoverage: Readonly<Record<string, Coverage>> = {
  proxyListenPort: true,
  proxyInboundListenPort: true,
  proxyHttpPort:
    'sidecars with captured traffic have no HTTP proxy port; in explicit capture everyone has one',
  connectTimeout: true,
  hboneIdleTimeout: 'there is no ambient mode',
  protocolDetectionTimeout: true,
  tcpKeepalive: true,
  ingressClass: true,
  ingressService: true,
  ingressControllerMode: true,
  ingressSelector: true,
  enableTracing: 'no spans are made',
  accessLogFile: true,
  accessLogFormat: true,
  accessLogEncoding: true,
  enableEnvoyAccessLogService: 'access logs go to files only',
  disableEnvoyListenerLog: 'connections that no chain takes are not logged in any case',
  defaultConfig: true,
  outboundTrafficPolicy: true,
  inboundTrafficPolicy: true,
  configSources: 'sources are those of the control plane’s own settings (--config, --store)',
  enableAutoMtls: true,
  trustDomain: true,
  trustDomainAliases: true,
  caCertificates: true,
  defaultServiceExportTo: true,
  defaultVirtualServiceExportTo: true,
  defaultDestinationRuleExportTo: true,
  rootNamespace: true,
  localityLbSetting: true,
  zoneAwareLbSetting: true,
  dnsRefreshRate: true,
  h2UpgradePolicy: true,
  inboundClusterStatName: true,
  outboundClusterStatName: true,
  certificates: 'is obsolete at Istio too',
  serviceSettings: 'there is one cluster: every host is local to it',
  serviceScopeConfigs: 'there is one cluster: every service is local to it',
  enablePrometheusMerge: 'agents merge in any case where a workload names its metrics port',
  verifyCertificateAtClient:
    'a DestinationRule without caCertificates trusts the system’s authorities in any case',
  ca: 'certificates are signed by the control plane',
  extensionProviders: true,
  defaultProviders: 'each policy names its provider',
  discoverySelectors: true,
  pathNormalization: true,
  defaultHttpRetryPolicy: true,
  meshMTLS: true,
  tlsDefaults: true,
  defaultTrafficPolicy: true,
  serviceEntryVisibility: 'exportTo alone decides who sees a ServiceEntry',
};

/** Fields of `defaultConfig` that are acted on: by the control plane, or by the supervisor that starts the agents. */
export const proxyConfigActedOn: ReadonlySet<string> = new Set([
  'proxyMetadata',
  'gatewayTopology',
  'proxyHeaders',
  'connectionSettings',
  'concurrency',
  'proxyStatsMatcher',
  'drainDuration',
  'terminationDrainDuration',
  'holdApplicationUntilProxyStarts',
]);

/** Parts of these that are not. */
const proxyConfigParts: Readonly<Record<string, string>> = {
  'connectionSettings.listenerConnectionLimit':
    'the proxy’s listeners are limited together, by globalDownstreamConnectionLimit',
};

/** Sorts of extension providers that something here can use. */
const usedProviders: ReadonlySet<string> = new Set(['envoyExtAuthzHttp', 'envoyExtAuthzGrpc']);
/** Istio's own way to serve metrics, which is how agents serve them. */
const ownProviders: ReadonlySet<string> = new Set(['prometheus']);

/** Providers of what is not built. */
function uselessProviders({ extensionProviders }: Readonly<Record<string, unknown>>): UncoveredSetting[] {
  if (!Array.isArray(extensionProviders)) return [];
  return extensionProviders.flatMap((provider: unknown, index) =>
    Object.keys(typeof provider === 'object' && provider !== null ? provider : {})
      .filter((sort) => sort !== 'name' && !usedProviders.has(sort) && !ownProviders.has(sort))
      .map((sort) => ({
        field: `extensionProviders[${index}].${sort}`,
        instead: 'nothing makes use of a provider of this sort yet',
      })),
  );
}

/** Of settings that are acted on otherwise. */
function uncoveredParts({ outboundTrafficPolicy }: Readonly<Record<string, unknown>>): UncoveredSetting[] {
  const { tls } = (outboundTrafficPolicy ?? {}) as { readonly tls?: unknown };
  return isNothing(tls)
    ? []
    : [
        {
          field: 'outboundTrafficPolicy.tls',
          instead: 'unknown destinations are spoken to as the client speaks',
        },
      ];
}

export interface UncoveredSetting {
  readonly field: string;
  readonly instead: string;
}

/** The fields of MeshConfig that are set and not acted on, with what happens instead. */
export function uncoveredMeshConfig(settings: Readonly<Record<string, unknown>>): UncoveredSetting[] {
  const proxies = (settings.defaultConfig ?? {}) as Readonly<Record<string, unknown>>;
  const inner = Object.keys(proxies)
    .filter((field) => !proxyConfigActedOn.has(field) && !isNothing(proxies[field]))
    .map((field) => ({
      field: `defaultConfig.${field}`,
      instead: 'proxies have the settings of their agents',
    }));
  const parts = Object.entries(proxyConfigParts).flatMap(([path, instead]) => {
    const [outer = '', field = ''] = path.split('.');
    const value = (proxies[outer] as Readonly<Record<string, unknown>> | undefined)?.[field];
    return isNothing(value) ? [] : [{ field: `defaultConfig.${path}`, instead }];
  });
  const own = Object.keys(settings)
    .sort()
    .flatMap((field) => {
      const instead = meshConfigCoverage[field] ?? 'this version does not know it';
      return instead === true || isNothing(settings[field]) ? [] : [{ field, instead }];
    });
  const other = [...uselessProviders(settings), ...uncoveredParts(settings)];
  return [...own, ...other, ...[...inner, ...parts].sort((a, b) => (a.field < b.field ? -1 : 1))];
}

/** Set to what it is without being set. */
function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
