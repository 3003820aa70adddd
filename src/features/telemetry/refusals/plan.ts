import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { refusalsSlot } from './schema.ts';

/**
 * An application is told by its own sidecar, a caller by the server's if the connection proves that he belongs to the mesh. Callers without a
 * certificate get nothing, not even what an application hands on from further inside; at gateways routes see to that.
 */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  const { network, direction } = chain;
  if (network.type !== 'http' || direction === 'gateway' || !view.mesh('explainRefusals')) return;
  fill(chain, refusalsSlot, direction === 'inbound' && !network.mutualTls ? 'hide' : 'tell', {
    kind: 'MeshConfig',
    namespace: '',
    name: 'mesh',
    path: 'defaultConfig.proxyMetadata.OSTRIA_EXPLAIN_REFUSALS',
  });
}
