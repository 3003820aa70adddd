import type { DestinationRuleSubsetsTrafficPolicyLoadBalancerLocalityLbSetting } from '../../../../gen/crd/types/istio/destination-rule.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { policyFor } from '../destination-rule/schema.ts';

export interface LocalityPolicy {
  readonly setting: DestinationRuleSubsetsTrafficPolicyLoadBalancerLocalityLbSetting;
}

/**
 * How the caller's place matters for a cluster, undefined where it does not: failover needs outlier detection (nothing else
 * would notice that the near endpoints fail), or the service asks for near endpoints, or a share per locality is given.
 * @see https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
 */
export const localityPolicy = defineQuery(
  'service.locality-policy',
  (view, service: Key, port: Key, subset: Key, rules: Key): LocalityPolicy | undefined => {
    const close = view.get(serviceKind, service)?.trafficDistribution !== 'any';
    const policy = rules === '' ? undefined : view.call(policyFor, rules, port, subset)?.policy;
    if (!close && !policy?.outlierDetection && !policy?.loadBalancer?.localityLbSetting?.distribute)
      return undefined;
    const setting = policy?.loadBalancer?.localityLbSetting ?? {};
    const enabled = setting.enabled ?? view.mesh('localityLbEnabled');
    if (!enabled) return undefined;
    const places = new Set(
      (view.get(endpointsKind, service)?.endpoints ?? []).map((endpoint) => endpoint.locality),
    );
    return places.size > 1 ? { setting } : undefined;
  },
);
