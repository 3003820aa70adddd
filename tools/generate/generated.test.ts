import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { AggregatedDiscoveryService } from '../../gen/proto/envoy/service/discovery/v3/ads_pb.js';
import { MeshConfigSchema } from '../../gen/proto/istio/mesh/v1alpha1/config_pb.js';
import { IstioCertificateService } from '../../gen/proto/istio/security/v1alpha1/ca_pb.js';

test('generated messages survive the wire', () => {
  const hcm = create(HttpConnectionManagerSchema, { statPrefix: 'in' });
  const listener = create(ListenerSchema, {
    name: '0.0.0.0_80',
    address: {
      address: {
        case: 'socketAddress',
        value: { address: '0.0.0.0', portSpecifier: { case: 'portValue', value: 80 } },
      },
    },
    filterChains: [
      {
        filters: [
          {
            name: 'http',
            configType: { case: 'typedConfig', value: anyPack(HttpConnectionManagerSchema, hcm) },
          },
        ],
      },
    ],
  });
  const back = fromBinary(ListenerSchema, toBinary(ListenerSchema, listener));
  expect(back.name).toBe('0.0.0.0_80');
  const config = back.filterChains[0]?.filters[0]?.configType;
  expect(config?.case).toBe('typedConfig');
  if (config?.case === 'typedConfig')
    expect(anyUnpack(config.value, HttpConnectionManagerSchema)?.statPrefix).toBe('in');
});

test('services keep the names that go on the wire', () => {
  expect(AggregatedDiscoveryService.typeName).toBe('envoy.service.discovery.v3.AggregatedDiscoveryService');
  expect(AggregatedDiscoveryService.method.deltaAggregatedResources.methodKind).toBe('bidi_streaming');
  expect(IstioCertificateService.typeName).toBe('istio.v1.auth.IstioCertificateService');
  expect(MeshConfigSchema.typeName).toBe('istio.mesh.v1alpha1.MeshConfig');
});
