import type { TextMatch } from '../../../plan/route-plan.ts';
import { defineSlot } from '../../../plan/slot.ts';

export interface CorsPlan {
  readonly origins: readonly TextMatch[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** Seconds that a preflight's answer may be kept; absent: the browser's own limit. */
  readonly maxAgeSeconds?: number;
  readonly credentials?: boolean;
  /** Preflights whose origin is not allowed go on to the service. */
  readonly forwardUnmatched: boolean;
}

export const corsSlot = defineSlot<CorsPlan>('cors');
