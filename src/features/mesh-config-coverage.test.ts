import { expect, test } from 'vitest';
import { MeshConfigSchema } from '../../gen/proto/istio/mesh/v1alpha1/config_pb.js';
import { meshConfigCoverage, uncoveredMeshConfig } from './mesh-config-coverage.ts';

test('every field of MeshConfig is acted on or says what happens instead', () => {
  expect(Object.keys(meshConfigCoverage).sort()).toEqual(
    MeshConfigSchema.fields.map(({ jsonName }) => jsonName).sort(),
  );
});

test('names what is set and not acted on, and nothing else', () => {
  expect(
    uncoveredMeshConfig({
      connectTimeout: '1s',
      serviceEntryVisibility: { a: 1 },
      configSources: [],
      enableTracing: false,
      defaultConfig: { proxyMetadata: { A: 'b' }, gatewayTopology: {}, statNameLength: 5 },
      defaultInboundHttpRetryPolicy: { attempts: 1 },
    }).map(({ field }) => field),
  ).toEqual(['defaultInboundHttpRetryPolicy', 'serviceEntryVisibility', 'defaultConfig.statNameLength']);
});

test('parts of the proxy configuration that nothing acts on are named too', () => {
  const defaultConfig = {
    proxyHeaders: { metadataExchangeHeaders: { mode: 'IN_MESH' }, server: { value: 'x' } },
    connectionSettings: { profile: 'EDGE', listenerConnectionLimit: 5 },
    concurrency: 2,
    statNameLength: 200,
  };
  expect(uncoveredMeshConfig({ defaultConfig }).map(({ field }) => field)).toEqual([
    'defaultConfig.connectionSettings.listenerConnectionLimit',
    'defaultConfig.statNameLength',
  ]);
});

test('providers of what is not built are named, and parts of settings that are acted on otherwise', () => {
  const settings = {
    extensionProviders: [
      { name: 'asked', envoyExtAuthzGrpc: { service: 'a', port: 1 } },
      { name: 'metrics', prometheus: {} },
      { name: 'spans', zipkin: { service: 'b', port: 2 } },
    ],
    outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS', tls: { mode: 'SIMPLE' } },
  };
  expect(uncoveredMeshConfig(settings).map(({ field }) => field)).toEqual([
    'extensionProviders[2].zipkin',
    'outboundTrafficPolicy.tls',
  ]);
});
