import { acceptsHttp10 } from '../../../plan/attributes.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { defineSlot, fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';

export const http10Slot = defineSlot<true>('http10');

const path = 'defaultConfig.proxyMetadata.ISTIO_META_HTTP10';

export function decorateChain(view: View, plan: FilterChainPlan): void {
  if (plan.network.type !== 'http') return;
  if (view.mesh('http10') || view.attribute(acceptsHttp10))
    fill(plan, http10Slot, true, { kind: 'MeshConfig', namespace: '', name: 'mesh', path });
}
