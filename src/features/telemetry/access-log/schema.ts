import { defineSlot } from '../../../plan/slot.ts';

export interface AccessLogPlan {
  readonly path: string;
  /** Only requests that failed (5xx, or Envoy had something to say about them) are written. */
  readonly errorsOnly: boolean;
  readonly format:
    | { readonly type: 'text'; readonly text: string }
    | { readonly type: 'json'; readonly fields: Readonly<Record<string, string>> };
}

export const accessLogSlot = defineSlot<AccessLogPlan>('accessLog');
