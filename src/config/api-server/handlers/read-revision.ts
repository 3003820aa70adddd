import type { RequestContext } from '../context.ts';
import { ApiError, badRequest, revisionTooLarge } from '../status.ts';

export type RevisionWish =
  | { type: 'newest' }
  | { type: 'atLeast'; revision: number }
  | { type: 'exactly'; revision: number };

export function parseRevision(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw badRequest(`resourceVersion: Invalid value: "${text}": must be a decimal number`);
  return Number(text);
}

/** What `resourceVersion` and `resourceVersionMatch` ask of a list, as the Kubernetes API concepts page tabulates it. */
export function listRevision(query: URLSearchParams): RevisionWish {
  const given = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const paged = query.has('limit') && query.get('limit') !== '0';
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan') {
    throw forbiddenMatch(`Unsupported value: "${match}": supported values: "Exact", "NotOlderThan"`);
  }
  if (given === '') {
    if (match !== '')
      throw forbiddenMatch('Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided');
    return { type: 'newest' };
  }
  const revision = parseRevision(given);
  if (query.get('continue')) {
    if (match !== '')
      throw forbiddenMatch('Forbidden: resourceVersionMatch is forbidden when continue is provided');
    if (revision !== 0) throw badRequest('specifying resource version is not allowed when using continue');
    return { type: 'newest' };
  }
  if (revision === 0) {
    if (match === 'Exact')
      throw forbiddenMatch('Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
    return { type: 'newest' };
  }
  if (match === 'Exact' || (match === '' && paged)) return { type: 'exactly', revision };
  return { type: 'atLeast', revision };
}

function forbiddenMatch(message: string): ApiError {
  return new ApiError(
    422,
    'Invalid',
    `ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: ${message}`,
    {
      kind: 'ListOptions',
      group: 'meta.k8s.io',
      causes: [{ reason: 'FieldValueInvalid', message, field: 'resourceVersionMatch' }],
    },
  );
}

/** Waits a little for the store to reach a revision that the client has seen elsewhere. Throws 504 when it does not. */
export async function awaitRevision(context: RequestContext, wanted: number): Promise<void> {
  const deadline = context.clock.now() + context.limits.revisionWaitMs;
  for (;;) {
    const current = await context.store.revision();
    if (current >= wanted) return;
    if (context.clock.now() >= deadline) throw revisionTooLarge(wanted, current);
    await context.clock.sleep(50, { signal: context.signal });
    if (context.signal.aborted) throw revisionTooLarge(wanted, current);
  }
}
