import { create } from '@bufbuild/protobuf';
import { HealthStatus } from '../../gen/proto/envoy/config/core/v3/health_check_pb.js';
import {
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import type { EndpointPlan, EndpointsPlan, LocalityPlan } from '../plan/cluster-plan.ts';
import { socketAddress } from './address.ts';
import { originNamespace } from './pack.ts';

export function buildEndpoints(plan: EndpointsPlan): ClusterLoadAssignment {
  return create(ClusterLoadAssignmentSchema, {
    clusterName: plan.cluster,
    endpoints: buildLocalities(plan.localities),
  });
}

export function buildLocalities(localities: readonly LocalityPlan[]): LocalityLbEndpoints[] {
  return localities.map((plan) => {
    const [region = '', zone = '', subZone = ''] = plan.locality.split('/');
    return create(LocalityLbEndpointsSchema, {
      // Envoy heeds a weight only beside a locality, be it an empty one.
      ...(plan.locality === '' && plan.weight === 0 ? {} : { locality: { region, zone, subZone } }),
      priority: plan.priority,
      loadBalancingWeight:
        plan.weight > 0 ? plan.weight : plan.endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0),
      lbEndpoints: plan.endpoints.map(buildEndpoint),
    });
  });
}

function buildEndpoint(plan: EndpointPlan): LbEndpoint {
  const { workload } = plan;
  const filterMetadata: Record<string, Record<string, string>> = {};
  if (plan.mtls) filterMetadata['envoy.transport_socket_match'] = { tlsMode: 'istio' };
  if (workload !== '') filterMetadata[originNamespace] = { workload };
  return create(LbEndpointSchema, {
    hostIdentifier: {
      case: 'endpoint',
      value: {
        address: socketAddress(plan.address, plan.port),
        additionalAddresses: (plan.additionalAddresses ?? []).map((address) => ({
          address: socketAddress(address, plan.port),
        })),
      },
    },
    healthStatus: plan.healthy ? HealthStatus.UNKNOWN : HealthStatus.UNHEALTHY,
    loadBalancingWeight: plan.weight,
    ...(Object.keys(filterMetadata).length > 0 ? { metadata: { filterMetadata } } : {}),
  });
}
