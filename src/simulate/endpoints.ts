import type { LbEndpoint } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { ClusterLoadAssignment } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';

/** `address:port` of all endpoints. */
export function addressesOf({ endpoints }: ClusterLoadAssignment): string[] {
  return endpoints.flatMap(({ lbEndpoints }) => lbEndpoints.flatMap((endpoint) => addressOf(endpoint) ?? []));
}

export function addressOf({ hostIdentifier }: LbEndpoint): string | undefined {
  const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
  if (address?.case !== 'socketAddress') return undefined;
  return `${address.value.address}:${address.value.portSpecifier.value}`;
}
