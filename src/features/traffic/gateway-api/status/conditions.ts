import type { PlannedCondition } from '../../../../plan/object-status.ts';
import type { Fault } from '../references.ts';

export function condition(
  type: string,
  good: { readonly reason: string; readonly message: string },
  error?: Fault,
): PlannedCondition {
  return error ? { type, status: 'False', ...plain(error) } : { type, status: 'True', ...good };
}

/** Conditions hold no more text than the API lets them. */
function plain({ reason, message }: Fault): { reason: string; message: string } {
  return { reason, message: message.slice(0, 1_000) };
}

export function accepted(error?: Fault, message = 'it is valid and acted on'): PlannedCondition {
  return condition('Accepted', { reason: 'Accepted', message }, error);
}

export function resolvedRefs(error?: Fault): PlannedCondition {
  return condition(
    'ResolvedRefs',
    { reason: 'ResolvedRefs', message: 'every reference leads somewhere' },
    error,
  );
}
