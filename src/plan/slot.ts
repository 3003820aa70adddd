import type { Origin } from '../config/origin.ts';

/** A typed place on a plan node that a decorator fills. Slots serialise by name, so that plan goldens read as YAML. */
export interface Slot<T> {
  readonly name: string;
  /** False: working material between features, left out of goldens. */
  readonly visible: boolean;
  /** Phantom: carries T for type inference only. */
  readonly type?: T;
}

interface Filled {
  readonly value: unknown;
  readonly origin: Origin;
  /** Further objects that had a part in it. */
  readonly also: readonly Origin[];
}

/** Anything that carries slots. Nodes are built, decorated and emitted within one query; they never outlive it. */
export interface Slotted {
  readonly slots: Map<Slot<unknown>, Filled>;
}

/** Defines a slot; at module level only. Names are shown in goldens and must be unique per node type. */
export function defineSlot<T>(name: string, options: { visible?: boolean } = {}): Slot<T> {
  return Object.freeze({ name, visible: options.visible ?? true });
}

/** Fills a slot. Every write says which object and field decided it; the last write wins. */
export function fill<T>(
  node: Slotted,
  slot: Slot<T>,
  value: T,
  origin: Origin,
  also: readonly Origin[] = [],
): void {
  node.slots.set(slot as Slot<unknown>, { value, origin, also });
}

export function read<T>(node: Slotted, slot: Slot<T>): T | undefined {
  return node.slots.get(slot as Slot<unknown>)?.value as T | undefined;
}

export function originOf<T>(node: Slotted, slot: Slot<T>): Origin | undefined {
  return node.slots.get(slot as Slot<unknown>)?.origin;
}
