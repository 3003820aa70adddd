import type { Any } from '@bufbuild/protobuf/wkt';
import { DubboProxySchema } from '../../gen/proto/envoy/extensions/filters/network/dubbo_proxy/v3/dubbo_proxy_pb.js';
import { RedisProxySchema } from '../../gen/proto/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.js';
import { TcpProxySchema } from '../../gen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { ThriftProxySchema } from '../../gen/proto/envoy/extensions/filters/network/thrift_proxy/v3/thrift_proxy_pb.js';
import { unpack } from './decoded-resources.ts';

interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
}

/** Where a terminal network filter sends what it takes (the first route's choice for filters that route calls); undefined for others. */
export function connectionClusters(config: Any | undefined): readonly WeightedCluster[] | undefined {
  const tcp = unpack(config, TcpProxySchema);
  if (tcp) return clustersOf(tcp.clusterSpecifier);
  const redis = unpack(config, RedisProxySchema);
  if (redis) return [{ cluster: redis.prefixRoutes?.catchAllRoute?.cluster ?? '', weight: 1 }];
  const thrift = unpack(config, ThriftProxySchema);
  if (thrift) return clustersOf(thrift.routeConfig?.routes[0]?.route?.clusterSpecifier);
  const dubbo = unpack(config, DubboProxySchema);
  if (dubbo?.routeSpecifier.case !== 'multipleRouteConfig') return undefined;
  return clustersOf(dubbo.routeSpecifier.value.routeConfig[0]?.routes[0]?.route?.clusterSpecifier);
}

interface Specifier {
  readonly case: string | undefined;
  readonly value?: unknown;
}

function clustersOf(specifier: Specifier | undefined): readonly WeightedCluster[] {
  if (specifier?.case === 'cluster') return [{ cluster: String(specifier.value), weight: 1 }];
  if (specifier?.case !== 'weightedClusters') return [];
  const { clusters } = specifier.value as { clusters: readonly { name: string; weight?: number }[] };
  return clusters.map(({ name, weight }) => ({ cluster: name, weight: weight ?? 0 }));
}
