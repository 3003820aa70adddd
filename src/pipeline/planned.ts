import type { Origin } from '../config/origin.ts';
import type { Slotted } from '../plan/slot.ts';

/** A plan node of any type, as goldens and explanations show it. */
export interface Planned {
  readonly type: 'cluster' | 'endpoints' | 'listener' | 'route-configuration' | 'virtual-host' | 'secret';
  readonly node: Slotted & { readonly origin: Origin };
}
