import { expect, test } from 'vitest';
import { mergeBootstrap } from './merge-bootstrap.ts';

const base = {
  node: { id: 'sidecar~1', metadata: { A: '1' } },
  admin: { address: { pipe: { path: '/a' } } },
  dynamic_resources: { cds_config: { ads: {} } },
  static_resources: { clusters: [{ name: 'xds-grpc' }] },
  stats_config: { use_all_default_tags: false, stats_matcher: { inclusion_list: { patterns: [1] } } },
  stats_flush_interval: '5s',
  extension: { '@type': 'one', kept: 1 },
};

test('scalars replace, messages merge, lists are appended', () => {
  const merged = mergeBootstrap(base, {
    stats_flush_interval: '1s',
    static_resources: { clusters: [{ name: 'mine' }], listeners: [{ name: 'more' }] },
    stats_config: { stats_matcher: { inclusion_list: { patterns: [2] } } },
  });
  expect(merged).toEqual({
    ...base,
    stats_flush_interval: '1s',
    static_resources: { clusters: [{ name: 'xds-grpc' }, { name: 'mine' }], listeners: [{ name: 'more' }] },
    stats_config: { use_all_default_tags: false, stats_matcher: { inclusion_list: { patterns: [1, 2] } } },
  });
});

test('of alternatives the patch has its own; extensions of one type merge, of another are replaced', () => {
  const merged = mergeBootstrap(base, {
    stats_flush_on_admin: true,
    stats_config: { stats_matcher: { reject_all: true } },
  });
  expect(merged).not.toHaveProperty('stats_flush_interval');
  expect(merged.stats_config).toEqual({ use_all_default_tags: false, stats_matcher: { reject_all: true } });
  const extension = (value: object) => mergeBootstrap(base, { extension: value }).extension;
  expect(extension({ '@type': 'one', more: 2 })).toEqual({ '@type': 'one', kept: 1, more: 2 });
  expect(extension({ '@type': 'two', more: 2 })).toEqual({ '@type': 'two', more: 2 });
});

test('who the proxy is and how it is reached stay as they are', () => {
  const merged = mergeBootstrap(base, {
    node: { id: 'another' },
    dynamic_resources: { cds_config: { path: '/x' } },
    admin: { address: { pipe: { path: '/b' } }, ignore_global_conn_limit: true },
  });
  expect(merged).toEqual({ ...base, admin: { ...base.admin, ignore_global_conn_limit: true } });
});
