import { expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import { type ProxyOwner, type ProxySources, proxySettings } from './proxy-settings.ts';

function config(
  namespace: string,
  name: string,
  spec: object,
  createdAt = '2026-01-01T00:00:00Z',
): ConfigObject {
  return {
    apiVersion: 'networking.istio.io/v1beta1',
    kind: 'ProxyConfig',
    metadata: { name, namespace, creationTimestamp: createdAt },
    spec,
  };
}

const selector = { matchLabels: { app: 'reviews' } };
const owner: ProxyOwner = { namespace: 'shop', labels: { app: 'reviews', version: 'v1' } };

function settings(sources: Partial<ProxySources>, more: Partial<ProxyOwner> = {}) {
  return proxySettings(
    { mesh: {}, rootNamespace: 'istio-system', proxyConfigs: [], ...sources },
    { ...owner, ...more },
  );
}

test('nothing set is nothing given', () => {
  expect(settings({})).toEqual({ environment: {}, metadata: {}, holdApplication: false, notes: [] });
});

test('each rank goes before those below it, one variable at a time', () => {
  const mesh = { concurrency: 1, proxyMetadata: { A: 'mesh', MESH: '1' } };
  const ranks = [
    config('istio-system', 'root', { concurrency: 2, environmentVariables: { A: 'root', ROOT: '1' } }),
    config('shop', 'all', { concurrency: 3, environmentVariables: { A: 'namespace', NAMESPACE: '1' } }),
    config('shop', 'one', {
      selector,
      concurrency: 0,
      environmentVariables: { A: 'selector', SELECTOR: '1' },
    }),
  ];
  const annotation = 'concurrency: 4\nproxyMetadata: {A: annotation, ANNOTATION: "1"}';
  const seen = [
    settings({ mesh }),
    settings({ mesh, proxyConfigs: ranks.slice(0, 1) }),
    settings({ mesh, proxyConfigs: ranks.slice(0, 2) }),
    settings({ mesh, proxyConfigs: ranks.slice(0, 2) }, { annotation }),
    settings({ mesh, proxyConfigs: ranks }, { annotation }),
  ];
  expect(seen.map(({ concurrency, environment }) => [concurrency, environment.A])).toEqual([
    [1, 'mesh'],
    [2, 'root'],
    [3, 'namespace'],
    [4, 'annotation'],
    [0, 'selector'],
  ]);
  expect(Object.keys(seen[4]?.environment ?? {})).toEqual([
    'A',
    'ANNOTATION',
    'MESH',
    'NAMESPACE',
    'ROOT',
    'SELECTOR',
  ]);
});

test('only whom a ProxyConfig is for has its settings, and the oldest of a rank counts', () => {
  const proxyConfigs = [
    config('shop', 'younger', { concurrency: 5 }, '2026-02-01T00:00:00Z'),
    config('shop', 'older', { concurrency: 6 }),
    config('shop', 'others', { selector: { matchLabels: { app: 'ratings' } }, concurrency: 7 }),
    config('elsewhere', 'far', { selector, concurrency: 8 }),
  ];
  expect(settings({ proxyConfigs }).concurrency).toBe(6);
  expect(settings({ proxyConfigs }, { namespace: 'third' }).concurrency).toBeUndefined();
  // A selector in the root namespace selects the workloads of that namespace.
  const root = [config('istio-system', 'gateways', { selector, concurrency: 9 })];
  expect(settings({ proxyConfigs: root }).concurrency).toBeUndefined();
  expect(settings({ proxyConfigs: root }, { namespace: 'istio-system' }).concurrency).toBe(9);
});

test("variables with Istio's prefixes are metadata too; the mesh's switches for the control plane start nothing anew", () => {
  const mesh = {
    proxyMetadata: { OSTRIA_LAZY: 'true', PILOT_ENABLE_REDIS_FILTER: 'true', ISTIO_META_HTTP10: '1' },
  };
  expect(settings({ mesh })).toEqual(settings({}));
  const environmentVariables = { ISTIO_META_ENABLE_SELF_DISCOVERY: 'true', ISTIO_METAJSON_TEAM: '{"a":1}' };
  const given = settings({ mesh, proxyConfigs: [config('shop', 'all', { environmentVariables })] });
  expect(given.environment).toEqual(environmentVariables);
  expect(given.metadata).toEqual({
    ENABLE_SELF_DISCOVERY: 'true',
    TEAM: { a: 1 },
    PROXY_CONFIG: { proxyMetadata: { ...mesh.proxyMetadata, ...environmentVariables } },
  });
});

test('the other fields that agents act on', () => {
  const mesh = {
    proxyStatsMatcher: { inclusionPrefixes: ['http.'], inclusionRegexps: ['a+'] },
    drainDuration: '45s',
    terminationDrainDuration: '90s',
  };
  const annotation = JSON.stringify({
    proxyStatsMatcher: { inclusionPrefixes: ['tcp.'], inclusionSuffixes: ['.total'] },
    terminationDrainDuration: '2.5s',
    holdApplicationUntilProxyStarts: true,
    gatewayTopology: { numTrustedProxies: 2 },
  });
  expect(settings({ mesh }, { annotation })).toEqual({
    environment: {},
    metadata: { PROXY_CONFIG: { gatewayTopology: { numTrustedProxies: 2 } } },
    stats: { prefixes: ['http.', 'tcp.'], suffixes: ['.total'], regexps: ['a+'] },
    drainSeconds: 45,
    terminationDrainSeconds: 2.5,
    holdApplication: true,
    notes: [],
  });
});

test('what an annotation says wrongly or in vain is said, and nothing of it reaches the agent', () => {
  const annotation = JSON.stringify({
    concurrency: -1,
    drainDuration: 'soon',
    proxyStatsMatcher: { inclusionRegexps: ['(', 'a'] },
    proxyMetadata: { LD_PRELOAD: '/tmp/x.so', 'a=b': '1', ISTIO_METAJSON_X: '{' },
    statNameLength: 5,
  });
  const { notes, ...given } = settings({}, { annotation });
  expect(notes).toEqual([
    'statNameLength of its annotation is not acted on',
    'the variable ISTIO_METAJSON_X is no JSON, so it is no metadata',
    'the variable LD_PRELOAD cannot be set',
    'the variable a=b cannot be set',
    'concurrency must be a whole number from 0 to 1024',
    'drainDuration must be a duration of at most 3600s',
    'not all of proxyStatsMatcher.inclusionRegexps can be used: at most 200 valid ones are',
  ]);
  expect(given).toMatchObject({ environment: { ISTIO_METAJSON_X: '{' }, stats: { regexps: ['a'] } });
  expect(given).not.toHaveProperty('concurrency');
  expect(settings({}, { annotation: '[' }).notes).toEqual(['its annotation is no YAML object']);
});

test('the most connections are the mesh’s, or the annotation’s; what is no number is told', () => {
  const mesh = { connectionSettings: { globalDownstreamConnectionLimit: 500 } };
  expect(settings({ mesh })).toMatchObject({ maxConnections: 500, notes: [] });
  const annotation = (limit: unknown) =>
    `connectionSettings: {globalDownstreamConnectionLimit: ${JSON.stringify(limit)}}`;
  expect(settings({ mesh }, { annotation: annotation(7) }).maxConnections).toBe(7);
  const wrong = settings({}, { annotation: annotation('many') });
  expect(wrong.maxConnections).toBeUndefined();
  expect(wrong.notes).toEqual([
    'connectionSettings.globalDownstreamConnectionLimit must be a whole number from 0 to 2147483647',
  ]);
});
