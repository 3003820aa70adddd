import type { MeshService } from '../../../registry/service.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { type LocalitySetting, localitySetting, policyFor } from '../destination-rule/schema.ts';
import { hostnameLabel, networkLabel, regionLabel, subzoneLabel, zoneLabel } from './topology.ts';

export interface LocalityPolicy {
  readonly distribute: readonly NonNullable<LocalitySetting['distribute']>[number][];
  readonly failover: readonly NonNullable<LocalitySetting['failover']>[number][];
  /** Labels, the most important first: an endpoint that agrees with the caller in more of them is nearer. `name=value`: with the value. */
  readonly priorities: readonly string[];
  /** `place`: by region, zone and sub-zone. `region`: Envoy balances the zones of a region itself. `none`: by priorities alone. */
  readonly near: 'place' | 'region' | 'none';
}

/**
 * What a Service asks for by `trafficDistribution`, as label priorities: an endpoint that agrees with the caller in all is nearest, the
 * first in which it differs says how far it is.
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#traffic-distribution
 */
const distributions: Readonly<Record<MeshService['trafficDistribution'], readonly string[]>> = {
  any: [],
  'prefer-close': [networkLabel, regionLabel, zoneLabel],
  'prefer-same-node': [networkLabel, regionLabel, zoneLabel, subzoneLabel, hostnameLabel],
};

/**
 * How the caller's place matters for a cluster, undefined where it does not: failover needs outlier detection (nothing else
 * would notice that the near endpoints fail), or the service asks for near endpoints, or a share per locality is given.
 * @see https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
 */
export const localityPolicy = defineQuery(
  'service.locality-policy',
  (view, service: Key, port: Key, subset: Key, rules: Key): LocalityPolicy | undefined => {
    const found = chosenPolicy(view, service, port, subset, rules);
    // Shares hold in one place too: it may have none, and Envoy gives nothing to a place without a weight.
    if (!found || found.distribute.length > 0) return found;
    const endpoints = view.get(endpointsKind, service)?.endpoints ?? [];
    if (found.priorities.length > 0) return endpoints.length > 1 ? found : undefined;
    const places = new Set(endpoints.map((endpoint) => endpoint.locality));
    return places.size > 1 ? found : undefined;
  },
);

function chosenPolicy(
  view: View,
  service: Key,
  port: Key,
  subset: Key,
  rules: Key,
): LocalityPolicy | undefined {
  const policy = policyFor(view, rules, port, subset)?.policy;
  const balancer = policy?.loadBalancer;
  const own = balancer?.localityLbSetting;
  const zoneAware = balancer?.zoneAwareLbSetting ?? (own ? undefined : view.mesh('zoneAwareLbSetting'));
  if (zoneAware?.enabled) return { ...settingOf(zoneAware), distribute: [], near: 'region' };
  const known = view.get(serviceKind, service);
  const wish = distributions[known?.trafficDistribution ?? 'any'];
  // A rule of one's own goes before what the Service asks for, and that before what holds for the whole mesh.
  if (!own && wish.length > 0) return { distribute: [], failover: [], priorities: wish, near: 'none' };
  const found = localitySetting(view, known, balancer);
  const setting = found && settingOf(found);
  if (!setting) return undefined;
  if (setting.distribute.length > 0) return setting;
  return policy?.outlierDetection ? setting : undefined;
}

function settingOf(setting: LocalitySetting): LocalityPolicy {
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  // Regions come in beside labels only where failover speaks of them.
  const near = failoverPriority.length > 0 && failover.length === 0 ? 'none' : 'place';
  return { distribute, failover, priorities: failoverPriority, near };
}
