import { defineSlot } from '../../../plan/slot.ts';

export interface MirrorPlan {
  readonly cluster: string;
  /** 0–100. */
  readonly percent: number;
}

export const mirrorSlot = defineSlot<readonly MirrorPlan[]>('mirrors');
