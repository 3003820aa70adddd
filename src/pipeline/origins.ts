import type { Origin } from '../config/origin.ts';
import { distinctOrigins } from '../envoy/pack.ts';
import type { Slotted } from '../plan/slot.ts';

/** The objects that made some nodes: their own, and those that filled their slots. */
export function originsOf(...nodes: readonly (Slotted & { readonly origin: Origin })[]): Origin[] {
  return distinctOrigins(eachOrigin(nodes));
}

function* eachOrigin(nodes: readonly (Slotted & { readonly origin: Origin })[]): Iterable<Origin> {
  for (const { origin, slots } of nodes) {
    yield origin;
    for (const filled of slots.values()) {
      yield filled.origin;
      yield* filled.also;
    }
  }
}
