import {
  type Cluster,
  Cluster_DiscoveryType as DiscoveryType,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { HealthStatus } from '../../gen/proto/envoy/config/core/v3/health_check_pb.js';
import type { LbEndpoint } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { ClusterLoadAssignment } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Call } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { addressOf } from '../simulate/endpoints.ts';
import { socketText } from './hop.ts';

/** An endpoint that can be chosen. */
export interface Candidate {
  /** `address:port`; a name where the proxy looks it up. */
  readonly socket: string;
  readonly endpoint?: LbEndpoint;
  readonly locality: string;
  /** Share of the cluster's requests, 0 to 1. */
  readonly share: number;
}

/** One that cannot, at present. */
export interface PassedOver {
  readonly socket: string;
  readonly why: string;
}

export interface EndpointChoice {
  /** `listed`: known by address; `named`: looked up by the proxy; `original`: where the connection was going. */
  readonly found: 'listed' | 'named' | 'original';
  readonly candidates: readonly Candidate[];
  readonly passedOver: readonly PassedOver[];
}

/** Which endpoints of a cluster get requests, as far as health, priority and weights say. */
export function endpointChoice(resources: DecodedResources, cluster: Cluster, call: Call): EndpointChoice {
  const { clusterDiscoveryType: discovery } = cluster;
  const type = discovery.case === 'type' ? discovery.value : undefined;
  if (type === DiscoveryType.ORIGINAL_DST)
    return {
      found: 'original',
      candidates: [{ socket: socketText(call.address, call.port), locality: '', share: 1 }],
      passedOver: [],
    };
  const assignment = resources.endpoints(cluster);
  const named =
    type === DiscoveryType.STRICT_DNS ||
    type === DiscoveryType.LOGICAL_DNS ||
    discovery.case === 'clusterType';
  if (!assignment) return { found: named ? 'named' : 'listed', candidates: [], passedOver: [] };
  return { found: named ? 'named' : 'listed', ...chosen(assignment) };
}

interface Placed {
  readonly socket: string;
  readonly endpoint: LbEndpoint;
  readonly locality: string;
  readonly localityWeight: number;
  readonly priority: number;
  readonly healthy: boolean;
}

function chosen(assignment: ClusterLoadAssignment): Pick<EndpointChoice, 'candidates' | 'passedOver'> {
  const all = assignment.endpoints.flatMap(({ locality, priority, loadBalancingWeight, lbEndpoints }) => {
    const place = [locality?.region, locality?.zone, locality?.subZone].filter(Boolean).join('/');
    return lbEndpoints.map(
      (endpoint): Placed => ({
        socket: addressOf(endpoint) ?? '',
        endpoint,
        locality: place,
        localityWeight: loadBalancingWeight ?? 1,
        priority,
        healthy: endpoint.healthStatus !== HealthStatus.UNHEALTHY,
      }),
    );
  });
  const healthy = all.filter((one) => one.healthy);
  const first = Math.min(...healthy.map(({ priority }) => priority));
  const taking = healthy.filter(({ priority }) => priority === first);
  return {
    candidates: withShares(taking),
    passedOver: all
      .filter((one) => !taking.includes(one))
      .map(({ socket, healthy: ready, locality }) => ({
        socket,
        why: ready
          ? `endpoints that are nearer go before ${locality === '' ? 'it' : `those in ${locality}`}`
          : 'it is not ready',
      })),
  };
}

/** Localities share by their weights, endpoints of one by theirs. */
function withShares(taking: readonly Placed[]): Candidate[] {
  const localities = Map.groupBy(taking, ({ locality }) => locality);
  const totals = [...localities.values()].map(([first]) => first?.localityWeight ?? 1);
  const total = totals.reduce((sum, weight) => sum + weight, 0);
  return [...localities].flatMap(([locality, members]) => {
    const weights = members.map(({ endpoint }) => endpoint.loadBalancingWeight ?? 1);
    const inner = weights.reduce((sum, weight) => sum + weight, 0);
    const part = (members[0]?.localityWeight ?? 1) / total;
    return members.map(({ socket, endpoint }, index) => ({
      socket,
      endpoint,
      locality,
      share: (part * (weights[index] ?? 1)) / inner,
    }));
  });
}
