import type { RouteConfigurationPlan } from '../../../plan/route-plan.ts';
import { defineSlot } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';

/** The response header that says who refused a request. */
export const decidedByHeader = 'x-ostria-decided-by';

/** What a chain does about the header: it says who decided, or it lets no such header out. */
export type RefusalsPlan = 'tell' | 'hide';

export const refusalsSlot = defineSlot<RefusalsPlan>('refusals');

/** Clients of gateways are not told, whatever comes from further inside. */
export function hiddenAtEdges(view: View): Pick<RouteConfigurationPlan, 'hiddenResponseHeaders'> {
  return view.mesh('explainRefusals') ? { hiddenResponseHeaders: [decidedByHeader] } : {};
}
