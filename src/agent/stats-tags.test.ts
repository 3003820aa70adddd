import { expect, test } from 'vitest';
import { statsTags } from './stats-tags.ts';

/** What Envoy makes of a statistic: every rule looks at the whole name, and what they found is cut out. */
function tagged(name: string): { name: string; tags: Record<string, string> } {
  const tags: Record<string, string> = {};
  const cuts: (readonly [number, number])[] = [];
  for (const { tag_name, regex } of statsTags) {
    const found = new RegExp(regex, 'd').exec(name);
    if (!found) continue;
    tags[tag_name] = found[2] ?? '';
    const place = found.indices?.[1];
    if (place) cuts.push(place);
  }
  const kept = [...name].filter((_, at) => !cuts.some(([from, to]) => at >= from && at < to));
  return { name: kept.join(''), tags };
}

const host = (port: number, name: string) => `outbound|${port}||${name}.svc.cluster.local`;

test.each(['mongo.default', 'a.internal', 'a.external', 'a.ssl', 'a.update', 'retry.http2', 'b.zookeeper'])(
  'the name of a cluster is taken whole, whatever a namespace is called: %s',
  (service) => {
    const cluster = host(80, service);
    for (const [statistic, kept, tags] of [
      ['update_success', 'update_success', {}],
      ['upstream_cx_total', 'upstream_cx_total', {}],
      ['internal.upstream_rq_503', 'internal.upstream_rq', { response_code: '503' }],
      ['external.upstream_rq_2xx', 'external.upstream_rq', { response_code_class: '2xx' }],
      ['upstream_rq_time', 'upstream_rq_time', {}],
      ['circuit_breakers.default.rq_open', 'circuit_breakers.default.rq_open', {}],
      ['default.total_match_count', 'default.total_match_count', {}],
      ['outlier_detection.ejections_active', 'outlier_detection.ejections_active', {}],
      ['ssl.versions.TLSv1.3', 'ssl.versions.TLSv1.3', {}],
      ['ssl.handshake', 'ssl.handshake', {}],
      ['membership_healthy', 'membership_healthy', {}],
      ['health_check.failure', 'health_check.failure', {}],
      ['http2.streams_active', 'http2.streams_active', {}],
      ['lb_zone_routing_all_directly', 'lb_zone_routing_all_directly', {}],
    ] as const)
      expect(tagged(`cluster.${cluster}.${statistic}`)).toEqual({
        name: `cluster.${kept}`,
        tags: { cluster_name: cluster, ...tags },
      });
  },
);

test('filters of single protocols: what they count, with the chain, the command and the collection as tags', () => {
  const mongo = host(27_017, 'mongo.default');
  const redis = host(6_379, 'redis.command');
  expect(tagged(`mongo.${mongo}.op_query`)).toEqual({
    name: 'mongo.op_query',
    tags: { mongo_prefix: mongo },
  });
  expect(tagged('mongo.inbound|27017||.cmd.hello.total')).toEqual({
    name: 'mongo.cmd.total',
    tags: { mongo_prefix: 'inbound|27017||', mongo_cmd: 'hello' },
  });
  expect(tagged(`mongo.${mongo}.collection.things.query.reply_time_ms`)).toEqual({
    name: 'mongo.collection.query.reply_time_ms',
    tags: { mongo_prefix: mongo, mongo_collection: 'things' },
  });
  expect(tagged(`redis.${redis}.downstream_cx_total`)).toEqual({
    name: 'redis.downstream_cx_total',
    tags: { redis_prefix: redis },
  });
  expect(tagged(`redis.${redis}.command.get.latency`)).toEqual({
    name: 'redis.command.latency',
    tags: { redis_prefix: redis, redis_command: 'get' },
  });
  expect(tagged(`redis.${redis}.splitter.invalid_request`)).toEqual({
    name: 'redis.splitter.invalid_request',
    tags: { redis_prefix: redis },
  });
  for (const protocol of ['thrift', 'dubbo'])
    expect(tagged(`${protocol}.${host(1, 'a.b')}.request`)).toEqual({
      name: `${protocol}.request`,
      tags: { [`${protocol}_prefix`]: host(1, 'a.b') },
    });
  expect(tagged(`${host(2_181, 'zk.zookeeper')}.zookeeper.getchildren_rq`)).toEqual({
    name: 'zookeeper.getchildren_rq',
    tags: { zookeeper_prefix: host(2_181, 'zk.zookeeper') },
  });
});
