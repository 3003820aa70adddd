import { expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import { readBootstrapPatches } from './bootstrap-patches.ts';

type Spec = Record<string, unknown>;

const merge = (value: object, match: object = {}) => ({
  applyTo: 'BOOTSTRAP',
  match,
  patch: { operation: 'MERGE', value },
});

function filter(namespace: string, name: string, configPatches: object[], more: Spec = {}): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { configPatches, ...more },
  };
}

const web = {
  namespace: 'shop',
  labels: { app: 'web' },
  isGateway: false,
  metadata: { ISTIO_VERSION: '1.31.1', TIER: 'front' },
};

function idsFor(filters: ConfigObject[], proxy: Partial<typeof web> = {}): string[] {
  return readBootstrapPatches(filters, 'istio-system')
    .filter((patch) => patch.isFor({ ...web, ...proxy }))
    .map(({ id }) => id);
}

const flush = { stats_flush_interval: '1s' };

test('patches come by priority, then the root namespace first; both spellings become the proto’s', () => {
  const filters = [
    filter('shop', 'b', [merge({ statsFlushInterval: '1s' })]),
    filter('istio-system', 'a', [merge(flush)]),
    filter('shop', 'first', [merge(flush)], { priority: -1 }),
  ];
  expect(idsFor(filters)).toEqual(['shop/first#0', 'istio-system/a#0', 'shop/b#0']);
  expect(readBootstrapPatches(filters, 'istio-system').map(({ value }) => value)).toEqual([
    flush,
    flush,
    flush,
  ]);
});

test('namespace, selector, context, version and metadata choose proxies', () => {
  expect(idsFor([filter('other', 'x', [merge(flush)])])).toEqual([]);
  const selecting = [filter('shop', 'x', [merge(flush)], { workloadSelector: { labels: { app: 'web' } } })];
  expect(idsFor(selecting)).toEqual(['shop/x#0']);
  expect(idsFor(selecting, { labels: { app: 'db' } as unknown as typeof web.labels })).toEqual([]);
  const contexts = [
    filter('shop', 'x', [
      merge(flush, { context: 'GATEWAY' }),
      merge(flush, { context: 'SIDECAR_INBOUND' }),
      merge(flush, { context: 'WAYPOINT' }),
    ]),
  ];
  expect(idsFor(contexts)).toEqual(['shop/x#1']);
  expect(idsFor(contexts, { isGateway: true })).toEqual(['shop/x#0']);
  const proxies = [
    filter('shop', 'x', [
      merge(flush, { proxy: { proxyVersion: '^1\\.31' } }),
      merge(flush, { proxy: { proxyVersion: '^1\\.2' } }),
      merge(flush, { proxy: { metadata: { TIER: 'front' } } }),
      merge(flush, { proxy: { metadata: { TIER: 'back' } } }),
    ]),
  ];
  expect(idsFor(proxies)).toEqual(['shop/x#0', 'shop/x#2']);
});

test('what is no MERGE, no bootstrap or cannot be read is no patch', () => {
  const other = { applyTo: 'BOOTSTRAP', patch: { operation: 'ADD', value: flush } };
  const cluster = { applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: { name: 'x' } } };
  expect(idsFor([filter('shop', 'x', [other, cluster, merge({ no_such: 1 }), merge(flush)])])).toEqual([
    'shop/x#3',
  ]);
});
