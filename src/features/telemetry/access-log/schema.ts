import { defineSlot } from '../../../plan/slot.ts';

export interface AccessLogPlan {
  /** Every request, in the user's words, where MeshConfig names a file. */
  readonly file?: {
    readonly path: string;
    readonly format:
      | { readonly type: 'text'; readonly text: string }
      | { readonly type: 'json'; readonly fields: Readonly<Record<string, string>> };
  };
  /** Results of policies in dry run that are looked at: names of dynamic metadata. */
  readonly shadowResults: readonly string[];
}

export const accessLogSlot = defineSlot<AccessLogPlan>('accessLog');
