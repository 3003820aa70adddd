import { create } from '@bufbuild/protobuf';
import { Cluster_DnsLookupFamily } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import {
  type DnsCacheConfig,
  DnsCacheConfigSchema,
} from '../../gen/proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.js';

/** One cache of resolved hosts, shared by name between the filter and the cluster; Envoy demands equal settings. */
export function dnsCache(): DnsCacheConfig {
  return create(DnsCacheConfigSchema, {
    name: 'ostria',
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    maxHosts: 1024,
  });
}
