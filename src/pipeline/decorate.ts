import type { ClusterPlan } from '../plan/cluster-plan.ts';
import type { Feature } from '../plan/feature.ts';
import type { FilterChainPlan, ListenerPlan } from '../plan/listener-plan.ts';
import type { VirtualHostPlan } from '../plan/route-plan.ts';
import type { View } from '../snapshot/view.ts';

export type Decorate = ReturnType<typeof createDecorate>;

/** One function per node type that runs the features' decorators in order, on inner nodes too. */
export function createDecorate(features: readonly Feature[]) {
  const all = features.map((feature) => feature.decorate ?? {});
  const virtualHost = (view: View, plan: VirtualHostPlan): void => {
    for (const route of plan.routes) for (const decorator of all) decorator.route?.(view, route);
    for (const decorator of all) decorator.virtualHost?.(view, plan);
  };
  const chain = (view: View, plan: FilterChainPlan): void => {
    if (plan.network.type === 'http' && plan.network.routes.type === 'inline')
      for (const host of plan.network.routes.hosts) virtualHost(view, host);
    for (const decorator of all) decorator.chain?.(view, plan);
  };
  return {
    virtualHost,
    cluster: (view: View, plan: ClusterPlan): void => {
      for (const decorator of all) decorator.cluster?.(view, plan);
    },
    listener: (view: View, plan: ListenerPlan): void => {
      for (const inner of plan.chains) chain(view, inner);
      if (plan.defaultChain) chain(view, plan.defaultChain);
      for (const decorator of all) decorator.listener?.(view, plan);
    },
  };
}
