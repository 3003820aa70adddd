import { create } from '@bufbuild/protobuf';
import {
  ApiConfigSource_ApiType,
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
} from '../../gen/proto/envoy/config/core/v3/config_source_pb.js';
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { sdsCluster } from '../plan/names.ts';
import { duration } from './pack.ts';

const ads = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
});

/** The aggregated stream that brought the configuration itself. One message for all: it is only ever read. */
export function adsSource(): ConfigSource {
  return ads;
}

const agent = create(ConfigSourceSchema, {
  configSourceSpecifier: {
    case: 'apiConfigSource',
    value: {
      apiType: ApiConfigSource_ApiType.GRPC,
      transportApiVersion: ApiVersion.V3,
      setNodeOnFirstMessageOnly: true,
      grpcServices: [
        {
          targetSpecifier: {
            case: 'envoyGrpc',
            value: {
              clusterName: sdsCluster,
              // Envoy's own pause before it asks again grows to 30 s: too long where a renewed certificate waits.
              retryPolicy: { retryBackOff: { baseInterval: duration(100), maxInterval: duration(1000) } },
            },
          },
        },
      ],
    },
  },
  initialFetchTimeout: duration(0),
  resourceApiVersion: ApiVersion.V3,
});
const workloadCertificate = create(SdsSecretConfigSchema, { name: 'default', sdsConfig: agent });
const trustBundle = create(SdsSecretConfigSchema, { name: 'ROOTCA', sdsConfig: agent });

/** A workload secret from the agent on the same machine. Envoy waits for it without limit. */
export function agentSecret(name: 'default' | 'ROOTCA'): SdsSecretConfig {
  return name === 'default' ? workloadCertificate : trustBundle;
}

/** A secret that the control plane delivers. */
export function deliveredSecret(name: string): SdsSecretConfig {
  return create(SdsSecretConfigSchema, { name, sdsConfig: adsSource() });
}
