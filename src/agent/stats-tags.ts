/*
 * Envoy's own rules for tags end a name at its first dot, which cuts `outbound|80||a.b.svc.cluster.local` short. These take the whole
 * name: what follows it must be one of the statistics that Envoy makes there, up to the end, so that no part of a host is taken for
 * one (a namespace may be called `default` or `internal`).
 * https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/upstream/cluster_manager/cluster_stats
 */

const ofClusters = [
  '(?:(?:canary|internal|external)\\.)?upstream_\\w+',
  '(?:assignment|bind|lb|membership|original|outlier|retry|update|upstream)\\w*',
  'init_fetch_timeout|max_host_weight|version(?:_text)?|warming_state',
  'default\\.(?:total_match_count|circuit_breakers\\w*)',
  'circuit_breakers\\.(?:default|high)\\.\\w+',
  '(?:client_ssl_socket_factory|health_check|http[123]|outlier_detection|redis_cluster|thrift|tls)\\.\\w+',
  'ssl\\.(?:(?:ciphers|curves|sigalgs|versions)\\.[\\w.-]+|\\w+)',
].join('|');

/** Statistics of filters for single protocols stand behind the name of their chain. */
const spoken = (protocol: string, statistics: string): StatsTag => ({
  tag_name: `${protocol}_prefix`,
  regex: `^${protocol}\\.((.+?)\\.)(?:${statistics})$`,
});

export interface StatsTag {
  readonly tag_name: string;
  /** ECMAScript's dialect; the first group is cut out of the name, the second is the tag's value. */
  readonly regex: string;
}

export const statsTags: readonly StatsTag[] = [
  { tag_name: 'cluster_name', regex: `^cluster\\.((.+?)\\.)(?:${ofClusters})$` },
  { tag_name: 'http_conn_manager_prefix', regex: '^http\\.((.+?)\\.)(?:downstream_|rds\\.|rbac\\.)' },
  { tag_name: 'tcp_prefix', regex: '^tcp\\.((.*?)\\.)\\w+?$' },
  { tag_name: 'listener_address', regex: '^listener\\.((.+?)\\.)(?:downstream_|ssl\\.|http\\.)' },
  { tag_name: 'response_code_class', regex: '_rq(_(\\dxx))$' },
  { tag_name: 'response_code', regex: '_rq(_(\\d{3}))$' },
  spoken('mongo', 'cmd\\.[^.]+\\.\\w+|collection\\.[^.]+\\.(?:callsite\\.[^.]+\\.)?query\\.\\w+|\\w+'),
  { tag_name: 'mongo_cmd', regex: '^mongo\\..+?\\.cmd(\\.([^.]+))\\.\\w+$' },
  {
    tag_name: 'mongo_collection',
    regex: '^mongo\\..+?\\.collection(\\.([^.]+))\\.(?:callsite\\.[^.]+\\.)?query\\.\\w+$',
  },
  spoken('redis', 'command\\.[^.]+\\.\\w+|splitter\\.\\w+|\\w+'),
  { tag_name: 'redis_command', regex: '^redis\\..+?\\.command(\\.([^.]+))\\.\\w+$' },
  spoken('thrift', '\\w+'),
  spoken('dubbo', '\\w+'),
  // ZooKeeper's have the chain's name in front.
  { tag_name: 'zookeeper_prefix', regex: '^((.+?)\\.)zookeeper\\.\\w+$' },
];
