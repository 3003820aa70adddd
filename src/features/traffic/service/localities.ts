import { compareText, getOrMake } from '../../../kit/maps.ts';
import { encodeFacts, workloadFacts } from '../../../kit/workload-facts.ts';
import type { EndpointPlan, LocalityPlan } from '../../../plan/cluster-plan.ts';
import type { Endpoint } from '../../../registry/service.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointTls, takesMtls } from '../../security/mutual-tls/schema.ts';
import type { LocalityPolicy } from './locality-policy.ts';
import { endpointLabel, splitPriority } from './topology.ts';

/** Where a caller is, as far as that matters. */
export interface Caller {
  /** `region/zone/subzone`, '' where unknown. */
  readonly place: string;
  /** Its values of the policy's label priorities. */
  readonly values: readonly string[];
}

export const anyCaller: Caller = Object.freeze({ place: '', values: [] });

/** Endpoints grouped by place, with priorities or shares as a caller sees them. */
export function localities(
  view: View,
  service: Key,
  port: number,
  endpoints: readonly Endpoint[],
  caller: Caller,
  policy: LocalityPolicy | undefined,
): LocalityPlan[] {
  // The marks are needed only where Envoy chooses by them; they would double the size of an endpoint.
  const marked = view.call(endpointTls, service, String(port)) === 'mixed';
  const weighted = policy !== undefined && policy.distribute.length > 0;
  const shares = weighted ? distribution(policy, caller.place, endpoints) : undefined;
  const groups = new Map<string, { place: string; rank: number; members: EndpointPlan[] }>();
  for (const endpoint of endpoints) {
    const place = policy ? endpoint.locality : '';
    // Shares and failover exclude each other: a caller for whom there is no share uses all endpoints alike.
    const rank = policy && !weighted ? rankOf(policy, caller, endpoint) : 0;
    getOrMake(groups, `${place} ${rank}`, () => ({ place, rank, members: [] })).members.push(
      endpointPlan(endpoint, marked && takesMtls(view, endpoint)),
    );
  }
  const sorted = [...groups.values()].sort((a, b) => compareText(a.place, b.place) || a.rank - b.rank);
  const ranks = [...new Set(sorted.map(({ rank }) => rank))].sort((a, b) => a - b);
  return sorted
    .filter(({ place }) => !shares || (shares.get(place) ?? 0) > 0)
    .map(({ place, rank, members }) => ({
      locality: place,
      priority: ranks.indexOf(rank),
      weight: shares?.get(place) ?? (weighted ? weightOf(members) : 0),
      endpoints: members,
    }));
}

function endpointPlan(endpoint: Endpoint, mtls: boolean): EndpointPlan {
  return {
    address: endpoint.address,
    ...(endpoint.additionalAddresses ? { additionalAddresses: endpoint.additionalAddresses } : {}),
    port: endpoint.port,
    weight: endpoint.weight > 0 ? endpoint.weight : 1,
    healthy: endpoint.healthy,
    mtls,
    workload: factsOf(endpoint),
  };
}

/** Where Envoy balances by places, each must say its own: one without a weight gets nothing, and is missing in the ring of a hash. */
function weightOf(members: readonly EndpointPlan[]): number {
  return members.reduce((sum, { weight }) => sum + weight, 0);
}

/** More than the ranks that places can have: labels go first, places decide among equals. */
const placeRanks = 5;

function rankOf(policy: LocalityPolicy, caller: Caller, endpoint: Endpoint): number {
  const { priorities, near } = policy;
  const differs = priorities.findIndex(
    (label, index) => endpointLabel(endpoint, splitPriority(label)[0]) !== caller.values[index],
  );
  const byLabels = differs < 0 ? 0 : priorities.length - differs;
  const byPlace =
    near === 'none' || caller.place === '' ? 0 : distance(policy, caller.place, endpoint.locality);
  return byLabels * placeRanks + byPlace;
}

function factsOf({ workload, controller, namespace, clusterId, labels }: Endpoint): string {
  if (workload === '' && Object.keys(labels).length === 0) return '';
  return encodeFacts(workloadFacts({ name: controller ?? workload, namespace, clusterId, labels }));
}

/** 0: same sub-zone; 1: same zone; 2: same region (all of it 0 where Envoy balances zones); 3: the region that failover names; 4: anywhere. */
function distance(policy: LocalityPolicy, from: string, place: string): number {
  const [region, zone, subZone] = from.split('/');
  const [otherRegion, otherZone, otherSubZone] = place.split('/');
  if (region === otherRegion) {
    if (policy.near === 'region') return 0;
    if (zone !== otherZone) return 2;
    return (subZone ?? '') === (otherSubZone ?? '') ? 0 : 1;
  }
  const preferred = policy.failover.find((rule) => rule.from === region)?.to;
  return preferred !== undefined && preferred === otherRegion ? 3 : 4;
}

/**
 * Shares per place in percent from the first `distribute` rule whose `from` covers the caller. Places that one pattern covers divide
 * its share by the weight of their endpoints.
 */
function distribution(
  policy: LocalityPolicy,
  from: string,
  endpoints: readonly Endpoint[],
): Map<string, number> | undefined {
  if (from === '') return undefined;
  const rule = policy.distribute.find((candidate) => covers(candidate.from ?? '', from));
  if (!rule) return undefined;
  const weights = new Map<string, number>();
  for (const { locality, weight } of endpoints)
    weights.set(locality, (weights.get(locality) ?? 0) + Math.max(1, weight));
  const shares = new Map<string, number>();
  for (const [pattern, share] of Object.entries(rule.to ?? {})) {
    const covered = [...weights].filter(([place]) => covers(pattern, place) && !shares.has(place));
    const total = covered.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [place, weight] of covered)
      shares.set(place, Math.max(1, Math.round((share * weight) / total)));
  }
  return shares;
}

/** `us-west/*` covers every zone of the region; a shorter pattern covers all below it. */
function covers(pattern: string, place: string): boolean {
  const parts = place.split('/');
  return pattern.split('/').every((part, index) => part === '*' || part === (parts[index] ?? ''));
}
