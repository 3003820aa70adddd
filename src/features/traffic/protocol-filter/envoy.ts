import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  DubboProxySchema,
  ProtocolType,
  SerializationType,
} from '../../../../gen/proto/envoy/extensions/filters/network/dubbo_proxy/v3/dubbo_proxy_pb.js';
import {
  RouteActionSchema as DubboActionSchema,
  type MultipleRouteConfiguration,
  MultipleRouteConfigurationSchema,
} from '../../../../gen/proto/envoy/extensions/filters/network/dubbo_proxy/v3/route_pb.js';
import { MongoProxySchema } from '../../../../gen/proto/envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy_pb.js';
import { RedisProxySchema } from '../../../../gen/proto/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.js';
import {
  RouteActionSchema as ThriftActionSchema,
  RouteConfigurationSchema as ThriftRoutesSchema,
} from '../../../../gen/proto/envoy/extensions/filters/network/thrift_proxy/v3/route_pb.js';
import { ThriftProxySchema } from '../../../../gen/proto/envoy/extensions/filters/network/thrift_proxy/v3/thrift_proxy_pb.js';
import { ZooKeeperProxySchema } from '../../../../gen/proto/envoy/extensions/filters/network/zookeeper_proxy/v3/zookeeper_proxy_pb.js';
import { RegexMatcherSchema } from '../../../../gen/proto/envoy/type/matcher/v3/regex_pb.js';
import { StringMatcherSchema } from '../../../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { duration, pack } from '../../../envoy/pack.ts';
import type { NetworkFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan, TcpChain } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { protocolFilterSlot } from './schema.ts';

/** As long as Istio lets a command take. */
const redisTimeoutMs = 5_000;

/** Filters that look on. */
export function networkFilters(plan: FilterChainPlan): readonly NetworkFilterFragment[] {
  const { statPrefix } = plan.network;
  switch (read(plan, protocolFilterSlot)) {
    case 'Mongo':
      return [{ name: 'envoy.filters.network.mongo_proxy', config: pack(MongoProxySchema, { statPrefix }) }];
    case 'ZooKeeper':
      return [
        { name: 'envoy.filters.network.zookeeper_proxy', config: pack(ZooKeeperProxySchema, { statPrefix }) },
      ];
    default:
      return [];
  }
}

/** Filters that end the chain. */
export function terminalFilter(plan: FilterChainPlan): NetworkFilterFragment | undefined {
  if (plan.network.type !== 'tcp') return undefined;
  switch (read(plan, protocolFilterSlot)) {
    case 'Redis':
      return { name: 'envoy.filters.network.redis_proxy', config: redis(plan.network) };
    case 'Thrift':
      return { name: 'envoy.filters.network.thrift_proxy', config: thrift(plan.network) };
    case 'Dubbo':
      return { name: 'envoy.filters.network.dubbo_proxy', config: dubbo(plan.network) };
    default:
      return undefined;
  }
}

function redis({ statPrefix, destinations }: TcpChain): Any {
  return pack(RedisProxySchema, {
    statPrefix,
    settings: { opTimeout: duration(redisTimeoutMs) },
    latencyInMicros: true,
    prefixRoutes: { catchAllRoute: { cluster: destinations[0]?.cluster ?? '' } },
  });
}

/** Transport and protocol are found out from the first bytes; answers go out as the calls came in. */
function thrift({ statPrefix, destinations }: TcpChain): Any {
  return pack(ThriftProxySchema, {
    statPrefix,
    routeConfig: create(ThriftRoutesSchema, {
      name: statPrefix,
      routes: [
        {
          match: { matchSpecifier: { case: 'methodName', value: '' } },
          route: create(ThriftActionSchema, { clusterSpecifier: clusterSpecifier(destinations) }),
        },
      ],
      validateClusters: false,
    }),
  });
}

function dubbo({ statPrefix, destinations }: TcpChain): Any {
  const routes: MultipleRouteConfiguration = create(MultipleRouteConfigurationSchema, {
    name: statPrefix,
    routeConfig: [
      {
        name: statPrefix,
        interface: '*',
        routes: [
          {
            match: {
              method: {
                name: create(StringMatcherSchema, {
                  matchPattern: { case: 'safeRegex', value: create(RegexMatcherSchema, { regex: '.*' }) },
                }),
              },
            },
            route: create(DubboActionSchema, { clusterSpecifier: clusterSpecifier(destinations) }),
          },
        ],
      },
    ],
  });
  return pack(DubboProxySchema, {
    statPrefix,
    protocolType: ProtocolType.Dubbo,
    serializationType: SerializationType.Hessian2,
    routeSpecifier: { case: 'multipleRouteConfig', value: routes },
  });
}

function clusterSpecifier(destinations: TcpChain['destinations']) {
  const [only] = destinations;
  if (only && destinations.length === 1) return { case: 'cluster' as const, value: only.cluster };
  const clusters = destinations
    .filter(({ weight }) => weight > 0)
    .map(({ cluster, weight }) => ({ name: cluster, weight }));
  return { case: 'weightedClusters' as const, value: { clusters } };
}
