import { compareText, getOrMake } from '../../../kit/maps.ts';
import type { EndpointPlan, LocalityPlan } from '../../../plan/cluster-plan.ts';
import type { Endpoint } from '../../../registry/service.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointTls, takesMtls } from '../../security/mutual-tls/schema.ts';
import type { LocalityPolicy } from './locality-policy.ts';

/** Endpoints grouped by place, with priorities or shares as seen from a caller's place ('' where it does not matter). */
export function localities(
  view: View,
  service: Key,
  port: number,
  endpoints: readonly Endpoint[],
  from: string,
  policy: LocalityPolicy | undefined,
): LocalityPlan[] {
  // The marks are needed only where Envoy chooses by them; they would double the size of an endpoint.
  const marked = view.call(endpointTls, service, String(port)) === 'mixed';
  const places = new Map<string, EndpointPlan[]>();
  for (const endpoint of endpoints)
    getOrMake(places, policy ? endpoint.locality : '', () => []).push(
      endpointPlan(endpoint, marked && takesMtls(view, endpoint)),
    );
  const groups = [...places].sort(([a], [b]) => compareText(a, b));
  const shares = policy && distribution(policy, from, [...places.keys()]);
  if (shares)
    return groups
      .filter(([place]) => (shares.get(place) ?? 0) > 0)
      .map(([place, members]) => ({
        locality: place,
        priority: 0,
        weight: shares.get(place) ?? 0,
        endpoints: members,
      }));
  const rank = (place: string): number => (policy && from !== '' ? distance(policy, from, place) : 0);
  const ranks = [...new Set(groups.map(([place]) => rank(place)))].sort((a, b) => a - b);
  return groups.map(([place, members]) => ({
    locality: place,
    priority: ranks.indexOf(rank(place)),
    weight: 0,
    endpoints: members,
  }));
}

function endpointPlan(endpoint: Endpoint, mtls: boolean): EndpointPlan {
  const { labels } = endpoint;
  return {
    address: endpoint.address,
    port: endpoint.port,
    weight: endpoint.weight > 0 ? endpoint.weight : 1,
    healthy: endpoint.healthy,
    mtls,
    workload: {
      name: endpoint.workload,
      namespace: endpoint.workload === '' ? '' : endpoint.namespace,
      app: labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels.app ?? '',
      version:
        labels['service.istio.io/canonical-revision'] ??
        labels['app.kubernetes.io/version'] ??
        labels.version ??
        '',
    },
  };
}

/** 0: same sub-zone; 1: same zone; 2: same region; 3: the region that failover names; 4: anywhere. */
function distance(policy: LocalityPolicy, from: string, place: string): number {
  const [region, zone, subZone] = from.split('/');
  const [otherRegion, otherZone, otherSubZone] = place.split('/');
  if (region === otherRegion) {
    if (zone !== otherZone) return 2;
    return (subZone ?? '') === (otherSubZone ?? '') ? 0 : 1;
  }
  const preferred = policy.setting.failover?.find((rule) => rule.from === region)?.to;
  return preferred !== undefined && preferred === otherRegion ? 3 : 4;
}

/** Shares per place in percent from the first `distribute` rule whose `from` covers the caller. */
function distribution(
  policy: LocalityPolicy,
  from: string,
  places: readonly string[],
): Map<string, number> | undefined {
  if (from === '') return undefined;
  const rule = policy.setting.distribute?.find((candidate) => covers(candidate.from ?? '', from));
  if (!rule) return undefined;
  const shares = new Map<string, number>();
  for (const [pattern, share] of Object.entries(rule.to ?? {})) {
    const covered = places.filter((place) => covers(pattern, place) && !shares.has(place));
    for (const place of covered) shares.set(place, Math.max(1, Math.round(share / covered.length)));
  }
  return shares;
}

/** `us-west/*` covers every zone of the region; a shorter pattern covers all below it. */
function covers(pattern: string, place: string): boolean {
  const parts = place.split('/');
  return pattern.split('/').every((part, index) => part === '*' || part === (parts[index] ?? ''));
}
