import { create } from '@bufbuild/protobuf';
import {
  type Cluster,
  Cluster_CustomClusterTypeSchema,
  Cluster_TransportSocketMatchSchema,
  ClusterSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsLookupFamily,
  Cluster_LbPolicy as LbPolicy,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import {
  type MatchPredicate,
  MatchPredicateSchema,
} from '../../gen/proto/envoy/config/common/matcher/v3/matcher_pb.js';
import { BindConfigSchema } from '../../gen/proto/envoy/config/core/v3/address_pb.js';
import type { TransportSocket } from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import { Http2ProtocolOptionsSchema } from '../../gen/proto/envoy/config/core/v3/protocol_pb.js';
import { ClusterLoadAssignmentSchema } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicy_ConnectionPropertiesSchema,
  RouteAction_HashPolicy_CookieSchema,
  RouteAction_HashPolicy_HeaderSchema,
  RouteAction_HashPolicy_QueryParameterSchema,
  RouteAction_HashPolicySchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { ClusterConfigSchema as DynamicForwardProxySchema } from '../../gen/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js';
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from '../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { tellHost } from '../kit/told-host.ts';
import {
  type ClusterPlan,
  type HashPlan,
  type HttpOptionsPlan,
  hashSlot,
  httpOptionsSlot,
  proxyProtocolSlot,
  type UpstreamProtocol,
} from '../plan/cluster-plan.ts';
import type { TextMatch } from '../plan/route-plan.ts';
import { read } from '../plan/slot.ts';
import { adsSource } from './config-source.ts';
import { dnsCache } from './dynamic-forward-proxy.ts';
import { buildLocalities } from './endpoints.ts';
import { headerMatcher } from './matcher.ts';
import { duration, originMetadata, pack } from './pack.ts';
import { httpAlpn, rawBuffer, upstreamTls, withProxyProtocol } from './tls.ts';

const httpOptionsKey = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** Metadata key by which endpoints that take mTLS are told from those that do not. */
export const mtlsMatch = { tlsMode: 'istio' } as const;

/** The cluster without what decorators add. */
export function buildCluster(plan: ClusterPlan, dnsRefreshMs: number): Cluster {
  const { service } = plan;
  const cluster = create(ClusterSchema, {
    name: plan.name,
    connectTimeout: duration(plan.connectTimeoutMs),
    lbPolicy: LbPolicy.LEAST_REQUEST,
    metadata: originMetadata(
      plan.origin,
      service
        ? {
            host: tellHost(service.hostname, service.namespace),
            name: service.name,
            namespace: service.namespace,
          }
        : plan.direction === 'passthrough'
          ? { host: plan.name }
          : {},
    ),
  });
  setDiscovery(cluster, plan, dnsRefreshMs);
  const [source, ...further] = plan.bindAddresses ?? [];
  if (source !== undefined)
    cluster.upstreamBindConfig = create(BindConfigSchema, {
      sourceAddress: anyPort(source),
      extraSourceAddresses: further.map((address) => ({ address: anyPort(address) })),
    });
  setTls(cluster, plan);
  const options = httpOptions(plan);
  if (options)
    cluster.typedExtensionProtocolOptions[httpOptionsKey] = pack(HttpProtocolOptionsSchema, options);
  return cluster;
}

function anyPort(address: string) {
  return { address, portSpecifier: { case: 'portValue' as const, value: 0 } };
}

const lookupFamilies: Readonly<Record<NonNullable<ClusterPlan['lookup']>, DnsLookupFamily>> = {
  'ipv4-first': DnsLookupFamily.V4_PREFERRED,
  // "Auto" looks for IPv6 first.
  'ipv6-first': DnsLookupFamily.AUTO,
  both: DnsLookupFamily.ALL,
};

function setDiscovery(cluster: Cluster, plan: ClusterPlan, dnsRefreshMs: number): void {
  const { discovery } = plan;
  const setType = (value: DiscoveryType): void => {
    cluster.clusterDiscoveryType = { case: 'type', value };
  };
  switch (discovery.type) {
    case 'eds':
      setType(DiscoveryType.EDS);
      cluster.edsClusterConfig = create(ClusterSchema, {
        edsClusterConfig: { edsConfig: adsSource(), serviceName: discovery.serviceName ?? '' },
      }).edsClusterConfig;
      return;
    case 'strict-dns':
    case 'logical-dns':
      setType(discovery.type === 'strict-dns' ? DiscoveryType.STRICT_DNS : DiscoveryType.LOGICAL_DNS);
      cluster.dnsLookupFamily = lookupFamilies[plan.lookup ?? 'ipv4-first'];
      cluster.dnsRefreshRate = duration(dnsRefreshMs);
      cluster.respectDnsTtl = true;
      break;
    case 'static':
    case 'nothing':
      setType(DiscoveryType.STATIC);
      break;
    case 'original-destination':
      setType(DiscoveryType.ORIGINAL_DST);
      cluster.lbPolicy = LbPolicy.CLUSTER_PROVIDED;
      return;
    case 'dynamic-dns':
      cluster.lbPolicy = LbPolicy.CLUSTER_PROVIDED;
      cluster.clusterDiscoveryType = {
        case: 'clusterType',
        value: create(Cluster_CustomClusterTypeSchema, {
          name: 'envoy.clusters.dynamic_forward_proxy',
          typedConfig: pack(DynamicForwardProxySchema, {
            // Plain HTTP and tunnels have no certificate to look at; with TLS, automatic SNI and its validation are on.
            allowInsecureClusterOptions: true,
            clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: dnsCache() },
          }),
        }),
      };
      return;
  }
  if ('localities' in discovery)
    cluster.loadAssignment = create(ClusterLoadAssignmentSchema, {
      clusterName: plan.name,
      endpoints: buildLocalities(discovery.localities),
    });
}

function setTls(cluster: Cluster, plan: ClusterPlan): void {
  const { tls } = plan;
  const version = read(plan, proxyProtocolSlot);
  const announced = (socket: TransportSocket): TransportSocket =>
    version ? withProxyProtocol(socket, version) : socket;
  if (!tls) {
    if (version) cluster.transportSocket = announced(rawBuffer());
    return;
  }
  const socket = announced(
    upstreamTls(tls, tls.type === 'mesh' ? meshAlpnFor(plan.protocol) : alpnFor(plan.protocol)),
  );
  if (tls.type === 'mesh' && !tls.everyEndpoint)
    cluster.transportSocketMatches = [
      create(Cluster_TransportSocketMatchSchema, {
        name: 'tlsMode-istio',
        match: mtlsMatch,
        transportSocket: socket,
      }),
      create(Cluster_TransportSocketMatchSchema, {
        name: 'tlsMode-disabled',
        match: {},
        transportSocket: announced(rawBuffer()),
      }),
    ];
  else cluster.transportSocket = socket;
}

/**
 * The server picks from what it knows: offer `h2` only where nothing else will be spoken. Where the client's first bytes decide,
 * `istio-http` tells the server that they were HTTP; raw connections take it away again (see buildFilterChain).
 */
function meshAlpnFor(protocol: UpstreamProtocol): string[] {
  if (protocol === 'http2') return ['h2'];
  return protocol === 'http-auto' ? [httpAlpn] : [];
}

function alpnFor(protocol: UpstreamProtocol): string[] {
  if (protocol === 'http2') return ['h2'];
  return protocol === 'http1' ? ['http/1.1'] : [];
}

function httpOptions(plan: ClusterPlan): HttpProtocolOptions | undefined {
  const settings = read(plan, httpOptionsSlot);
  const autoSni = plan.tls?.type === 'origination' && plan.tls.autoSni;
  const hash = read(plan, hashSlot);
  if (plan.protocol === 'tcp' && !autoSni) return undefined;
  if (plan.protocol === 'http1' && !settings && !autoSni && !hash) return undefined;
  const options = create(HttpProtocolOptionsSchema, {
    ...(settings ? { commonHttpProtocolOptions: commonOptions(settings) } : {}),
    ...(settings?.errorStatuses ? { outlierDetection: { errorMatcher: errorMatcher(settings) } } : {}),
    // On the cluster, not on each route to it: a rule's edit then changes no route.
    ...(hash ? { hashPolicy: [hashPolicy(hash)] } : {}),
    ...(autoSni
      ? { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: verifiesHost(plan) } }
      : {}),
  });
  const http2 = create(Http2ProtocolOptionsSchema, {
    // Extended CONNECT carries WebSocket upgrades between sidecars.
    allowConnect: true,
    ...(settings?.maxConcurrentStreams ? { maxConcurrentStreams: settings.maxConcurrentStreams } : {}),
    ...(settings?.keepaliveIntervalMs
      ? {
          connectionKeepalive: {
            interval: duration(settings.keepaliveIntervalMs),
            timeout: duration(settings.keepaliveTimeoutMs ?? settings.keepaliveIntervalMs),
          },
        }
      : {}),
  });
  if (plan.protocol === 'http-alpn')
    options.upstreamProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'autoConfig',
        value: { httpProtocolOptions: {}, http2ProtocolOptions: http2 },
      },
    }).upstreamProtocolOptions;
  else if (plan.protocol === 'http-auto')
    options.upstreamProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: {}, http2ProtocolOptions: http2 },
      },
    }).upstreamProtocolOptions;
  else
    options.upstreamProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: 'explicitHttpConfig',
        value: {
          protocolConfig:
            plan.protocol === 'http2'
              ? { case: 'http2ProtocolOptions', value: http2 }
              : { case: 'httpProtocolOptions', value: {} },
        },
      },
    }).upstreamProtocolOptions;
  return options;
}

function verifiesHost(plan: ClusterPlan): boolean {
  return (
    plan.tls?.type === 'origination' && plan.tls.trust !== undefined && plan.tls.subjectAltNames.length === 0
  );
}

function commonOptions(settings: HttpOptionsPlan) {
  return {
    ...(settings.idleTimeoutMs !== undefined ? { idleTimeout: duration(settings.idleTimeoutMs) } : {}),
    ...(settings.maxConnectionDurationMs
      ? { maxConnectionDuration: duration(settings.maxConnectionDurationMs) }
      : {}),
    ...(settings.maxRequestsPerConnection
      ? { maxRequestsPerConnection: settings.maxRequestsPerConnection }
      : {}),
  };
}

/** What a matcher does not name counts as a success, so it repeats Envoy's own rule: every 5xx. */
function errorMatcher({ errorStatuses = [] }: HttpOptionsPlan): MatchPredicate {
  const status = (match: TextMatch): MatchPredicate =>
    create(MatchPredicateSchema, {
      rule: {
        case: 'httpResponseHeadersMatch',
        value: { headers: [headerMatcher({ name: ':status', match })] },
      },
    });
  return create(MatchPredicateSchema, {
    rule: {
      case: 'orMatch',
      value: {
        rules: [status({ prefix: '5' }), ...errorStatuses.map((code) => status({ exact: String(code) }))],
      },
    },
  });
}

function hashPolicy(hash: HashPlan): RouteAction_HashPolicy {
  const policy = create(RouteAction_HashPolicySchema);
  switch (hash.type) {
    case 'header':
      policy.policySpecifier = {
        case: 'header',
        value: create(RouteAction_HashPolicy_HeaderSchema, { headerName: hash.name }),
      };
      break;
    case 'query':
      policy.policySpecifier = {
        case: 'queryParameter',
        value: create(RouteAction_HashPolicy_QueryParameterSchema, { name: hash.name }),
      };
      break;
    case 'source-ip':
      policy.policySpecifier = {
        case: 'connectionProperties',
        value: create(RouteAction_HashPolicy_ConnectionPropertiesSchema, { sourceIp: true }),
      };
      break;
    case 'cookie':
      policy.policySpecifier = {
        case: 'cookie',
        value: create(RouteAction_HashPolicy_CookieSchema, {
          name: hash.name,
          path: hash.path,
          attributes: hash.attributes.map(([name, value]) => ({ name, value })),
          ...(hash.ttlMs === undefined ? {} : { ttl: duration(hash.ttlMs) }),
        }),
      };
  }
  return policy;
}
