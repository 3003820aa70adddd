import type {
  HistoryDifference,
  HistoryListing,
  ObjectsAt,
} from '../../control-plane/history/history-entry.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { type When, whenText } from './parse-when.ts';

/**
 * Every object as it was at a point, from all sources (files, API, what was registered), with the moment of the last change before
 * it. Values of Secrets are not kept. Throws `HistoryTooShort` where the history does not reach back so far, `HistoryUnavailable` where the
 * control plane keeps none.
 */
export function objectsAt(client: ApiClient, when: When): Promise<ObjectsAt> {
  return ask<ObjectsAt>(client, '/debug/history/objects', { at: whenText(when) });
}

/** The objects that differ between two points, before and after. */
export function differenceBetween(client: ApiClient, from: When, to: When): Promise<HistoryDifference> {
  return ask<HistoryDifference>(client, '/debug/history/diff', { from: whenText(from), to: whenText(to) });
}

export function listHistory(
  client: ApiClient,
  query: Readonly<Record<string, string>>,
): Promise<HistoryListing> {
  return ask<HistoryListing>(client, '/debug/history', query);
}

async function ask<T>(client: ApiClient, path: string, query: Readonly<Record<string, string>>): Promise<T> {
  try {
    return await client.get<T>(`${path}?${new URLSearchParams(query)}`, { timeoutMs: 120_000 });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404)
      throw new CodedError(
        'HistoryUnavailable',
        `${client.access.server} keeps no history; a control plane with a state directory does, unless it was told --history 0`,
        { cause: error },
      );
    if (/the history begins at|there is no history yet/.test(error.message))
      throw new CodedError('HistoryTooShort', error.message, { cause: error });
    throw error;
  }
}
