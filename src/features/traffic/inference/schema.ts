import { defineSlot } from '../../../plan/slot.ts';

/** Who chooses the endpoint of an inference pool for each request. */
export interface PickerPlan {
  /** Its cluster, which speaks gRPC (Envoy's external processing). */
  readonly cluster: string;
  readonly host: string;
  /** While it does not answer, requests are balanced as ever; else they are refused. */
  readonly failOpen: boolean;
}

/** On routes: cluster of a pool → its picker. */
export const pickersSlot = defineSlot<Readonly<Record<string, PickerPlan>>>('endpointPickers');

/** On filter chains: some route behind it leads to a pool. */
export const hasPickersSlot = defineSlot<true>('hasEndpointPickers', { visible: false });

/** On clusters: the endpoint is the one that a picker named, where it named one. */
export const pickedSlot = defineSlot<true>('pickedEndpoints');
