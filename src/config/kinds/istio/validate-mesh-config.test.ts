import { expect, test } from 'vitest';
import { validateMeshConfig } from './validate-mesh-config.ts';
import { validateMeshNetworks } from './validate-mesh-networks.ts';

test.each<[object, string[]]>([
  [{}, []],
  [
    { trustDomain: 'a/b', connectTimeout: '2h', protocolDetectionTimeout: '0s' },
    ['trustDomain', 'connectTimeout'],
  ],
  [
    { trustDomian: 'x', defaultConfig: { drainDuration: 5, tracing: { samplng: 1 } } },
    ['trustDomian', 'defaultConfig.drainDuration', 'defaultConfig.tracing.samplng'],
  ],
  [{ outboundTrafficPolicy: { mode: 'ANY' }, proxyListenPort: '15001' }, ['outboundTrafficPolicy.mode']],
  [{ enableAutoMtls: 'yes' }, ['enableAutoMtls']],
  [
    { caCertificates: [{ pem: 'x' }, { spiffeBundleUrl: 'http://a', trustDomains: ['a/b'] }] },
    ['caCertificates[0].pem', 'caCertificates[1].spiffeBundleUrl', 'caCertificates[1].trustDomains[0]'],
  ],
  [
    { defaultConfig: { discoveryAddress: 'istiod', drainDuration: '1.5s' } },
    ['defaultConfig.drainDuration', 'defaultConfig.discoveryAddress'],
  ],
  [
    { extensionProviders: [{ name: 'a', zipkin: { service: 'zipkin:9411', port: 0 } }, { name: 'a' }] },
    [
      'extensionProviders[0].zipkin.service',
      'extensionProviders[0].zipkin.port',
      'extensionProviders[1].name',
      'extensionProviders[1]',
    ],
  ],
  [{ defaultHttpRetryPolicy: { attempts: 2, retryOn: 'never' } }, ['defaultHttpRetryPolicy.retryOn']],
  [{ serviceSettings: [{ hosts: ['a.*'] }] }, ['serviceSettings[0].hosts[0]']],
])('MeshConfig %j', (config, paths) => {
  expect(validateMeshConfig(config as Record<string, unknown>).map((issue) => issue.path)).toEqual(paths);
});

test.each<[object, string[]]>([
  [{}, []],
  [
    {
      networks: {
        n: { endpoints: [{ fromRegistry: 'r' }], gateways: [{ address: '1.2.3.4', port: 15443 }] },
      },
    },
    [],
  ],
  [
    { networks: { n: { endpoints: [{}], gateways: [{ address: 'a b', port: 0 }] } } },
    ['networks.n.endpoints[0]', 'networks.n.gateways[0].address', 'networks.n.gateways[0].port'],
  ],
  [{ network: {} }, ['network']],
])('MeshNetworks %j', (config, paths) => {
  expect(validateMeshNetworks(config as Record<string, unknown>).map((issue) => issue.path)).toEqual(paths);
});
