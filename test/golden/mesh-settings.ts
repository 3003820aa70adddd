/** A mesh that has something for every setting to act on. */
export const sampleObjects = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.1.0.1, selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 82}, {name: auto, port: 83}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {team: a, tier: gold}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1, namespace: default}
spec: {address: 10.2.0.1, labels: {app: web, security.istio.io/tlsMode: istio}, locality: eu/a, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-2, namespace: default}
spec: {address: 10.2.0.2, labels: {app: web, tier: gold, security.istio.io/tlsMode: istio}, locality: us/b, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-3, namespace: default}
spec: {address: 10.2.0.3, labels: {app: web, security.istio.io/tlsMode: istio}, locality: asia/c, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: default}
spec: {hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: default}
spec: {host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: far, namespace: other}
spec: {hosts: [api.example.com], http: [{timeout: 7s, route: [{destination: {host: api.example.com}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: far, namespace: istio-system}
spec: {host: web.default.svc.cluster.local, subsets: [{name: v1, labels: {app: web}}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {clusterIP: 10.1.0.5, ports: [{name: http, port: 84}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: [a.example.com], tls: {mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem}}
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec: {hosts: [a.example.com], gateways: [front], http: [{rewrite: {authority: b.example.com}, route: [{destination: {host: web, port: {number: 80}}}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default, annotations: {kubernetes.io/ingress.class: mine}}
spec: {rules: [{host: i.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: classless, namespace: default}
spec: {rules: [{host: j.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: default}
spec: {action: CUSTOM, provider: {name: http}, selector: {matchLabels: {app: web}}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web-grpc, namespace: default}
spec: {action: CUSTOM, provider: {name: grpc}, selector: {matchLabels: {app: web}}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: trusted, namespace: default}
spec: {rules: [{from: [{source: {principals: [mine/ns/a/sa/b]}}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: judge, namespace: default}
spec: {clusterIP: 10.1.0.7, ports: [{name: http, port: 8000}, {name: grpc, port: 9000}]}
`;

const pool = {
  tcp: {
    maxConnections: 3,
    connectTimeout: '2s',
    idleTimeout: '3s',
    maxConnectionDuration: '4s',
    tcpKeepalive: { time: '5s', interval: '6s', probes: 7 },
  },
  http: {
    http1MaxPendingRequests: 1,
    http2MaxRequests: 2,
    maxRequestsPerConnection: 3,
    maxRetries: 4,
    idleTimeout: '5s',
    h2UpgradePolicy: 'UPGRADE',
    maxConcurrentStreams: 6,
    http2KeepAlive: { interval: '7s', timeout: '8s' },
  },
};
const outlier = {
  consecutiveErrors: 0,
  consecutive5xxErrors: 3,
  consecutiveGatewayErrors: 2,
  splitExternalLocalOriginErrors: true,
  consecutiveLocalOriginFailures: 4,
  interval: '1s',
  baseEjectionTime: '2s',
  maxEjectionPercent: 50,
  minHealthPercent: 20,
  outlierDetectionHttpErrorCodes: [404],
};

/** Together they set every setting. */
export const sampleMesh: readonly Readonly<Record<string, unknown>>[] = [
  {
    proxyListenPort: 16001,
    proxyInboundListenPort: 16006,
    connectTimeout: '3s',
    protocolDetectionTimeout: '2s',
    tcpKeepalive: { probes: 3, time: '2s', interval: '4s' },
    ingressClass: 'mine',
    ingressControllerMode: 'DEFAULT',
    accessLogFile: '/dev/stdout',
    accessLogFormat: '{"a": "b"}',
    accessLogEncoding: 'JSON',
    outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
    inboundTrafficPolicy: { mode: 'LOCALHOST' },
    enableAutoMtls: false,
    trustDomain: 'mine',
    trustDomainAliases: ['yours'],
    caCertificates: [{ spiffeBundleUrl: 'https://theirs.example.com/bundle', trustDomains: ['theirs'] }],
    defaultServiceExportTo: ['.'],
    defaultVirtualServiceExportTo: ['.'],
    dnsRefreshRate: '5s',
    h2UpgradePolicy: 'UPGRADE',
    inboundClusterStatName: 'in_%SERVICE%',
    outboundClusterStatName: 'out_%SERVICE%',
    discoverySelectors: [
      { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['gold'] }] },
    ],
    defaultHttpRetryPolicy: {
      attempts: 3,
      perTryTimeout: '1s',
      retryOn: '503',
      retryRemoteLocalities: true,
      retryIgnorePreviousHosts: false,
      backoff: '1s',
    },
    meshMTLS: { minProtocolVersion: 'TLSV1_3', cipherSuites: ['ECDHE-RSA-AES128-GCM-SHA256'] },
    tlsDefaults: { ecdhCurves: ['P-256'], cipherSuites: ['ECDHE-RSA-AES128-GCM-SHA256'] },
    defaultConfig: {
      proxyMetadata: { ISTIO_META_HTTP10: '1' },
      gatewayTopology: { numTrustedProxies: 2, proxyProtocol: {} },
      proxyHeaders: {
        forwardedClientCert: 'SANITIZE_SET',
        setCurrentClientCertDetails: { subject: true, cert: true, chain: true, dns: true, uri: true },
        requestId: { disabled: false },
        server: { value: 'x' },
        envoyDebugHeaders: { disabled: true },
        preserveHttp1HeaderCase: true,
        xForwardedHost: { enabled: true },
        xForwardedPort: { enabled: true },
      },
      connectionSettings: {
        listenerPerConnectionBufferLimitBytes: 10_000,
        clusterPerConnectionBufferLimitBytes: 10_001,
        httpIdleTimeout: '1s',
        httpMaxConnectionDuration: '2s',
        httpDrainTimeout: '3s',
        httpRequestTimeout: '4s',
        httpRequestHeadersTimeout: '5s',
        httpStreamIdleTimeout: '6s',
        httpMaxStreamDuration: '7s',
        httpMaxConcurrentStreams: 8,
        http2InitialStreamWindowSize: 70_000,
        http2InitialConnectionWindowSize: 70_001,
        httpHeadersWithUnderscoresAction: 'HEADERS_WITH_UNDERSCORES_DROP_HEADER',
        httpMergeSlashes: true,
        httpPathWithEscapedSlashesAction: 'REJECT_REQUEST',
      },
    },
    extensionProviders: [
      {
        name: 'http',
        envoyExtAuthzHttp: {
          service: 'judge.default.svc.cluster.local',
          port: 8000,
          timeout: '1s',
          pathPrefix: '/a',
          failOpen: true,
          clearRouteCache: true,
          statusOnError: '503',
          includeRequestHeadersInCheck: ['x-a'],
          includeAdditionalHeadersInCheck: { 'x-b': 'c' },
          includeRequestBodyInCheck: { maxRequestBytes: 9, allowPartialMessage: true, packAsBytes: true },
          headersToUpstreamOnAllow: ['x-d'],
          headersToDownstreamOnDeny: ['x-e'],
          headersToDownstreamOnAllow: ['x-f'],
        },
      },
      {
        name: 'grpc',
        envoyExtAuthzGrpc: {
          service: 'judge.default.svc.cluster.local',
          port: 9000,
          timeout: '1s',
          failOpen: true,
          clearRouteCache: true,
          statusOnError: '503',
          includeRequestBodyInCheck: { maxRequestBytes: 9, allowPartialMessage: true, packAsBytes: true },
        },
      },
    ],
  },
  {
    defaultTrafficPolicy: { connectionPool: pool, outlierDetection: outlier },
    localityLbSetting: { enabled: true, failover: [{ from: 'eu', to: 'us' }] },
    defaultConfig: {
      proxyHeaders: { server: { disabled: true } },
      gatewayTopology: { forwardClientCertDetails: 'APPEND_FORWARD' },
      connectionSettings: { profile: 'EDGE' },
    },
    extensionProviders: [
      {
        name: 'http',
        envoyExtAuthzHttp: {
          service: 'judge.default.svc.cluster.local',
          port: 8000,
          includeHeadersInCheck: ['x-a'],
        },
      },
    ],
    ingressControllerMode: 'OFF',
    enableAutoMtls: true,
  },
  {
    defaultTrafficPolicy: {
      connectionPool: { http: { useClientProtocol: true } },
      outlierDetection: { interval: '1s', consecutiveErrors: 3 },
    },
    localityLbSetting: { enabled: true, failoverPriority: ['tier'] },
  },
  { rootNamespace: 'root', pathNormalization: { normalization: 'MERGE_SLASHES' } },
  { defaultDestinationRuleExportTo: ['.'], ingressClass: 'mine', ingressSelector: 'other' },
  { localityLbSetting: { enabled: true, distribute: [{ from: 'eu/*', to: { 'eu/*': 80, 'us/*': 20 } }] } },
  {
    zoneAwareLbSetting: { enabled: true, failover: [{ from: 'eu', to: 'us' }], minClusterSize: 2 },
    defaultTrafficPolicy: { outlierDetection: { interval: '1s' } },
  },
  {
    zoneAwareLbSetting: { enabled: true, failoverPriority: ['tier'] },
    defaultTrafficPolicy: { outlierDetection: { interval: '1s' } },
  },
];

const ofAgents = 'of agents: src/control-plane/proxy-settings/proxy-settings.test.ts';
const ofTrust = 'of the authority: src/control-plane/trust';
const ofDiscovery = 'of what is read at all: src/control-plane/discovery-scope.test.ts';
const warned = 'whoever sets it is warned';

/** Setting → why it changes nothing that proxies get. */
export const meshSettingsElsewhere: Readonly<Record<string, string>> = {
  'caCertificates[].certSigners[]': 'of Kubernetes’ signers, which nothing uses outside of it',
  'caCertificates[].pem': ofTrust,
  'caCertificates[].spiffeBundleUrl': ofTrust,
  'defaultConfig.concurrency': ofAgents,
  'defaultConfig.connectionSettings.globalDownstreamConnectionLimit': ofAgents,
  'defaultConfig.drainDuration': ofAgents,
  'defaultConfig.holdApplicationUntilProxyStarts': ofAgents,
  'defaultConfig.proxyHeaders.attemptCount.disabled': 'the header is never sent',
  'defaultConfig.proxyHeaders.metadataExchangeHeaders.mode':
    'what workloads tell each other never leaves the mesh, as IN_MESH has it',
  'defaultConfig.proxyStatsMatcher.inclusionPrefixes[]': ofAgents,
  'defaultConfig.proxyStatsMatcher.inclusionRegexps[]': ofAgents,
  'defaultConfig.proxyStatsMatcher.inclusionSuffixes[]': ofAgents,
  'defaultConfig.terminationDrainDuration': ofAgents,
  'discoverySelectors[].matchExpressions[].key': ofDiscovery,
  'discoverySelectors[].matchExpressions[].operator': ofDiscovery,
  'discoverySelectors[].matchExpressions[].values[]': ofDiscovery,
  'discoverySelectors[].matchLabels': ofDiscovery,
  ingressService: 'of the status of Ingresses: src/pipeline/ingress-status.test.ts',
  'meshMTLS.ecdhCurves[]': warned,
  'tlsDefaults.minProtocolVersion': warned,
};
