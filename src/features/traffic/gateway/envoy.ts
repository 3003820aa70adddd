import { RBAC_Action as RbacAction } from '../../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema } from '../../../../gen/proto/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { SniClusterSchema } from '../../../../gen/proto/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.js';
import { pack } from '../../../envoy/pack.ts';
import type { NetworkFilterFragment } from '../../../plan/feature.ts';

/**
 * The server name becomes the cluster's name. Only names of the clusters that pass TLS on may do so: the others would have the
 * gateway speak for its clients, with its own identity.
 */
export const passBySni: readonly NetworkFilterFragment[] = [
  {
    name: 'envoy.filters.network.rbac.sni',
    config: pack(RBACSchema, {
      statPrefix: 'sni',
      rules: {
        action: RbacAction.ALLOW,
        policies: {
          'sni-clusters': {
            permissions: [
              {
                rule: {
                  case: 'requestedServerName',
                  value: { matchPattern: { case: 'prefix', value: 'outbound_.' } },
                },
              },
            ],
            principals: [{ identifier: { case: 'any', value: true } }],
          },
        },
      },
    }),
  },
  { name: 'envoy.filters.network.sni_cluster', config: pack(SniClusterSchema, {}) },
];
