import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { metricsSlot } from './schema.ts';

/** Istio's standard metrics on every chain: callers report as source, the called as destination. */
export function decorateChain(_: View, plan: FilterChainPlan): void {
  const destination = plan.direction === 'inbound';
  fill(
    plan,
    metricsSlot,
    {
      reporter: destination ? 'destination' : 'source',
      security: destination ? (plan.tls ? 'mutual_tls' : 'none') : 'unknown',
      protocol: plan.network.type,
    },
    { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'defaultProviders.metrics' },
  );
}
