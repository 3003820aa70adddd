import {
  type Cluster,
  Cluster_LbPolicy as LbPolicy,
} from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { HealthStatus } from '../../gen/proto/envoy/config/core/v3/health_check_pb.js';
import type {
  LbEndpoint,
  LocalityLbEndpoints,
} from '../../gen/proto/envoy/config/endpoint/v3/endpoint_components_pb.js';
import type { ClusterLoadAssignment } from '../../gen/proto/envoy/config/endpoint/v3/endpoint_pb.js';

/** An endpoint of a cluster, and how likely a request goes there. */
export interface EndpointChance {
  /** `address:port`, or `unix://path`. */
  readonly address: string;
  /** `region/zone/sub-zone`; '' for none. */
  readonly locality: string;
  /** 0 is the first to be used. */
  readonly priority: number;
  readonly healthy: boolean;
  readonly weight: number;
  /** Share of requests, 0–1. Of policies that hash: the share of keys. */
  readonly share: number;
}

export function addressOf({ hostIdentifier }: LbEndpoint): string | undefined {
  const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
  if (address?.case === 'pipe') return `unix://${address.value.path}`;
  if (address?.case !== 'socketAddress') return undefined;
  return `${address.value.address}:${address.value.portSpecifier.value}`;
}

const unhealthy: ReadonlySet<HealthStatus> = new Set([
  HealthStatus.UNHEALTHY,
  HealthStatus.DRAINING,
  HealthStatus.TIMEOUT,
]);

interface Member {
  readonly address: string;
  readonly healthy: boolean;
  readonly weight: number;
  readonly group: LocalityLbEndpoints;
}

const known = new WeakMap<ClusterLoadAssignment, WeakMap<Cluster, readonly EndpointChance[]>>();

/**
 * All endpoints of a cluster with their shares, as Envoy spreads load over priorities, localities and weights. Health is what the control
 * plane says: what Envoy finds out by itself (outlier detection, health checks) cannot be known here.
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
 */
export function endpointChances(
  cluster: Cluster,
  assignment: ClusterLoadAssignment,
): readonly EndpointChance[] {
  let byCluster = known.get(assignment);
  if (!byCluster) {
    byCluster = new WeakMap();
    known.set(assignment, byCluster);
  }
  let chances = byCluster.get(cluster);
  if (!chances) {
    chances = computed(cluster, assignment);
    byCluster.set(cluster, chances);
  }
  return chances;
}

function computed(cluster: Cluster, assignment: ClusterLoadAssignment): EndpointChance[] {
  const factor = (assignment.policy?.overprovisioningFactor ?? 140) / 100;
  const priorities: Member[][] = [];
  for (const group of assignment.endpoints)
    for (const endpoint of group.lbEndpoints) {
      const address = addressOf(endpoint);
      if (address === undefined) continue;
      priorities[group.priority] ??= [];
      priorities[group.priority]?.push({
        address,
        group,
        healthy: !unhealthy.has(endpoint.healthStatus),
        weight: endpoint.loadBalancingWeight ?? 1,
      });
    }
  const levels = Array.from(priorities, (members) => members ?? []);
  const { loads, panic } = priorityLoads(cluster, levels, factor);
  const byLocality = cluster.commonLbConfig?.localityConfigSpecifier.case === 'localityWeightedLbConfig';
  const hashes = cluster.lbPolicy === LbPolicy.RING_HASH || cluster.lbPolicy === LbPolicy.MAGLEV;
  return levels.flatMap((members, priority) => {
    const usable = panic[priority] ? members : members.filter(({ healthy }) => healthy);
    // In panic every endpoint is as good as another, wherever it is.
    const places = byLocality && panic[priority] !== true && (hashes || hasWeights(usable));
    const shares = spread(usable, members, places, factor);
    return members.map((member) => ({
      address: member.address,
      locality: localityOf(member.group),
      priority,
      healthy: member.healthy,
      weight: member.weight,
      share: (loads[priority] ?? 0) * (shares.get(member) ?? 0),
    }));
  });
}

/** Localities that all weigh nothing (of usable endpoints) are not chosen among, but for the tables of hashes, which are then empty. */
function hasWeights(members: readonly Member[]): boolean {
  return members.some(({ group }) => (group.loadBalancingWeight ?? 0) > 0);
}

/** Shares of priorities: each takes what its healthy part can carry; where all together carry too little, sick ones may be used too. */
function priorityLoads(cluster: Cluster, levels: readonly Member[][], factor: number) {
  const healthyShare = levels.map((members) =>
    members.length === 0 ? 0 : members.filter(({ healthy }) => healthy).length / members.length,
  );
  const capacity = healthyShare.map((share) => Math.min(1, share * factor));
  const total = Math.min(
    1,
    capacity.reduce((sum, one) => sum + one, 0),
  );
  const threshold = (cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 50) / 100;
  const panic = healthyShare.map((share) => total < 1 && share < threshold);
  if (total === 0) return { loads: allSick(levels, panic), panic };
  let left = 1;
  const loads = capacity.map((one) => {
    const load = Math.min(left, one / total);
    left -= load;
    return load;
  });
  return { loads, panic };
}

/** Without any healthy endpoint, priorities that panic share by their size. */
function allSick(levels: readonly Member[][], panic: readonly boolean[]): number[] {
  const sizes = levels.map((members, priority) => (panic[priority] ? members.length : 0));
  const sum = sizes.reduce((all, size) => all + size, 0);
  return sizes.map((size) => (sum === 0 ? 0 : size / sum));
}

function spread(
  usable: readonly Member[],
  all: readonly Member[],
  byLocality: boolean,
  factor: number,
): ReadonlyMap<Member, number> {
  const groups = byLocality ? [...new Set(usable.map(({ group }) => group))] : [undefined];
  const parts = groups.map((group) => {
    const members = group ? usable.filter((member) => member.group === group) : usable;
    const size = group ? all.filter((member) => member.group === group).length : 0;
    const weight = group
      ? (group.loadBalancingWeight ?? 0) * Math.min(1, (members.length / size) * factor)
      : 1;
    return { members, weight };
  });
  const sum = parts.reduce((total, { weight }) => total + weight, 0);
  const shares = new Map<Member, number>();
  for (const { members, weight } of parts) {
    const inside = members.reduce((total, member) => total + member.weight, 0);
    for (const member of members)
      shares.set(member, sum === 0 || inside === 0 ? 0 : (weight / sum) * (member.weight / inside));
  }
  return shares;
}

function localityOf({ locality }: LocalityLbEndpoints): string {
  if (!locality) return '';
  return [locality.region, locality.zone, locality.subZone].join('/').replace(/\/+$/, '');
}
