import type { MeshService } from '../../../registry/service.ts';
import type { View } from '../../../snapshot/view.ts';
import type { TrafficPolicy } from './policy.ts';

type LoadBalancer = NonNullable<TrafficPolicy['loadBalancer']>;
export type LocalitySetting = NonNullable<LoadBalancer['localityLbSetting']>;

/**
 * What is set of places for a service's cluster, undefined where they do not matter: what its rule says, else the mesh's setting, unless
 * the Service itself says where its traffic goes (`trafficDistribution`).
 * @see https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
 */
export function localitySetting(
  view: View,
  service: Pick<MeshService, 'trafficDistribution'> | undefined,
  balancer: LoadBalancer | undefined,
): LocalitySetting | undefined {
  const own = balancer?.localityLbSetting;
  if (own) return own.enabled === false ? undefined : own;
  if ((service?.trafficDistribution ?? 'any') !== 'any') return undefined;
  if (!view.mesh('localityLbEnabled')) return undefined;
  return (view.mesh('localityLbSetting') as LocalitySetting | null) ?? {};
}
