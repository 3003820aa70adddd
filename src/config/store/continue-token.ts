import { StoreError } from './store.ts';

/** Where a list goes on: the state that is listed, and the last object that was given. */
export interface ListPosition {
  revision: number;
  resource: string;
  key: string;
}

/** A list's filter, which has to stay the same from page to page. */
export interface ListFilter {
  resource?: string | undefined;
  namespace?: string | undefined;
}

export function encodeContinue(position: ListPosition): string {
  const { revision, resource, key } = position;
  return Buffer.from(JSON.stringify([1, revision, resource, key])).toString('base64url');
}

/** Throws `RequestInvalid` for a token that is none, or of another list. */
export function decodeContinue(token: string, filter: ListFilter): ListPosition {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    parts = undefined;
  }
  if (!Array.isArray(parts)) throw invalid('is none of ours');
  const [version, revision, resource, key] = parts as unknown[];
  if (
    version !== 1 ||
    !Number.isSafeInteger(revision) ||
    typeof resource !== 'string' ||
    typeof key !== 'string'
  ) {
    throw invalid('is none of ours');
  }
  const foreign = filter.resource !== undefined && filter.resource !== resource;
  if (foreign || (filter.namespace !== undefined && !key.startsWith(`${filter.namespace}/`))) {
    throw invalid('belongs to another list');
  }
  return { revision: revision as number, resource, key };
}

function invalid(why: string): StoreError {
  return new StoreError('RequestInvalid', `the continue token ${why}; start the list anew without it`);
}
