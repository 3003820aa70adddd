import { defineSlot } from '../../../plan/slot.ts';

/** Shares are percent, 0–100. */
export interface FaultPlan {
  readonly delay?: { readonly milliseconds: number; readonly percent: number };
  readonly abort?: {
    readonly percent: number;
    readonly status:
      | { readonly type: 'http'; readonly code: number }
      | { readonly type: 'grpc'; readonly code: number };
  };
}

export const faultSlot = defineSlot<FaultPlan>('fault');
