import type { HttpConnectionManager } from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { setRouter } from '../../../envoy/http-connection-manager.ts';
import { omitsCodeStats } from '../../../plan/attributes.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { defineSlot, fill, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';

const codeStatsSlot = defineSlot<'omitted'>('codeStats');

/**
 * Envoy's router counts each response by its code and time under names that it puts together for every request. Where the proxy keeps none of
 * them, as by default, that is for nothing.
 */
export function omitCodeStats(view: View, plan: FilterChainPlan): void {
  if (plan.network.type !== 'http' || !view.attribute(omitsCodeStats)) return;
  const path = 'defaultConfig.proxyStatsMatcher';
  fill(plan, codeStatsSlot, 'omitted', { kind: 'MeshConfig', namespace: '', name: 'mesh', path });
}

export function emitCodeStats(plan: FilterChainPlan, message: HttpConnectionManager): void {
  if (read(plan, codeStatsSlot) === 'omitted') setRouter(message, { dynamicStats: false });
}
