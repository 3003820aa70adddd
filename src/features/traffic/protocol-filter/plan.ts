import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { type FilteredProtocol, filterChoice, protocolFilterSlot } from './schema.ts';

/** Filters that only look on; the others end the chain and choose an upstream connection for each call. */
const looksOn: ReadonlySet<FilteredProtocol> = new Set(['Mongo', 'ZooKeeper']);

/**
 * Notes the filter that a chain gets. One that ends the chain stands at the client only, where the choice is: at the server each
 * connection keeps its meaning (authentication, transactions, subscriptions) and its TCP metrics.
 */
export function decorateChain(view: View, plan: FilterChainPlan): void {
  if (plan.network.type !== 'tcp' || !plan.network.application) return;
  const { application, destinations } = plan.network;
  const { protocol, owner } = application;
  if (!looksOn.has(protocol)) {
    if (plan.direction === 'inbound') return;
    // Redis' filter knows no weights.
    if (protocol === 'Redis' && destinations.length !== 1) return;
  }
  const { on, origin } = filterChoice(view, owner, protocol);
  if (on) fill(plan, protocolFilterSlot, protocol, origin);
}
