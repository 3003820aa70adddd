import { Breather } from '../../config/sources/breather.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { History } from './history.ts';
import type { HistoryDifference, HistoryListing, Moment } from './history-entry.ts';
import type { ListQuery, Point, State } from './read-history.ts';

/** Changes in one answer, at most. */
const mostListed = 5_000;

/** What can be asked of the past. */
export type Past = Pick<History, 'list' | 'difference' | 'objectsAt' | 'export'>;

type Handler = (query: URLSearchParams) => Promise<unknown>;

/**
 * What the authenticated API tells of the past. Points are revisions of the history (`revision=17`, `from=17`) or times
 * (`at=2026-11-27T14:00:00Z`, in ms since the epoch too: `at=1795803205354`).
 */
export function historyPaths(history: Past): Readonly<Record<string, Handler>> {
  return {
    /** `?kinds=group/Kind,…&namespace=&name=&since=&until=&limit=`, newest first; `&statuses=false`: without changes of a status alone. */
    '/debug/history': (query): Promise<HistoryListing> => history.list(listQuery(query)),
    /** `?from=&to=`: the objects that differ, before and after. */
    '/debug/history/diff': (query): Promise<HistoryDifference> => {
      const [from, to] = [pointIn(query, 'from'), query.has('to') ? pointIn(query, 'to') : newest];
      return history.difference(from, to);
    },
    /** `?at=` or `?revision=`: every object as it was, an `ObjectsAt`. */
    '/debug/history/objects': async (query) => {
      const point = pointIn(query, query.has('revision') ? 'revision' : 'at');
      return encodeObjects(await history.objectsAt(point));
    },
    /** The newest part of it, an `ExportedHistory`: for reports. */
    '/debug/history/export': () => history.export(),
  };
}

/** An `ObjectsAt` as JSON, made in slices: a mesh has tens of megabytes. */
async function encodeObjects({ state, moment }: { state: State; moment: Moment }): Promise<Buffer> {
  const breather = new Breather(5);
  const parts: string[] = [];
  for (const object of state.values()) {
    parts.push(JSON.stringify(object));
    if (breather.due()) await breather.breathe();
  }
  return Buffer.from(`{"moment":${JSON.stringify(moment)},"objects":[${parts.join(',')}]}`);
}

const newest: Point = { at: Number.POSITIVE_INFINITY };
/** Below, a number is a revision; above, ms since the epoch (in 1973 they were this many). */
const firstTime = 100_000_000_000;

function pointIn(query: URLSearchParams, name: string): Point {
  const text = query.get(name) ?? '';
  if (/^\d{1,15}$/.test(text)) {
    const number = Number(text);
    return number < firstTime ? { revision: number } : { at: number };
  }
  return { at: timeIn(name, text) };
}

function timeIn(name: string, text: string): number {
  const at = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw new CodedError(
    'RequestInvalid',
    `${name}=${text.slice(0, 100)}: must be a revision such as 17, or a time such as 2026-11-27T14:00:00Z`,
  );
}

function listQuery(query: URLSearchParams): ListQuery {
  const kinds = query.get('kinds');
  const [namespace, name] = [query.get('namespace'), query.get('name')];
  const time = (field: string): number | undefined => {
    const text = query.get(field);
    if (text === null) return undefined;
    return /^\d{12,15}$/.test(text) ? Number(text) : timeIn(field, text);
  };
  const [since, until] = [time('since'), time('until')];
  const limit = Math.min(mostListed, Math.max(1, Number(query.get('limit') ?? 100) || 100));
  return {
    limit,
    statuses: query.get('statuses') !== 'false',
    ...(kinds === null ? {} : { kinds: new Set(kinds.split(',')) }),
    ...(namespace === null ? {} : { namespace }),
    ...(name === null ? {} : { name }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}
