import type { ConfigObject } from '../../config/object.ts';
import { Breather } from '../../config/sources/breather.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { applyDelta, diffJson, formatJsonPath } from '../../kit/json-delta.ts';
import type {
  HistoryChange,
  HistoryDifference,
  HistoryEntry,
  ListedChange,
  Moment,
  ObjectPair,
} from './history-entry.ts';
import { readBase, readEntries, type Segment } from './segment-files.ts';

/** A point in the history: everything up to a time (ms since the epoch) or to a revision. */
export type Point = { readonly at: number } | { readonly revision: number };

/** `kind key` → object. */
export type State = Map<string, ConfigObject>;

export const idOf = ({ kind, key }: { readonly kind: string; readonly key: string }): string =>
  `${kind} ${key}`;

const isBefore = (moment: Moment, point: Point): boolean =>
  'revision' in point ? moment.revision <= point.revision : moment.at <= point.at;

/** Does a change to a state. Throws where a delta does not fit: a file was damaged. */
export function applyChange(state: State, change: HistoryChange): void {
  const id = idOf(change);
  if (change.object) state.set(id, change.object);
  else if (change.delta) state.set(id, applyDelta(state.get(id), change.delta) as ConfigObject);
  else state.delete(id);
}

/** The state at a point and the moment of its last entry. */
export async function stateAt(
  directory: string,
  segments: readonly Segment[],
  point: Point,
): Promise<{ state: State; moment: Moment }> {
  const { state, moment, rest } = await replay(directory, segments, point);
  await rest.return(undefined);
  return { state, moment };
}

async function replay(
  directory: string,
  segments: readonly Segment[],
  point: Point,
): Promise<{ state: State; moment: Moment; rest: Entries; next: HistoryEntry | undefined }> {
  const start = segments.findLastIndex(({ baseBytes, begins }) => baseBytes > 0 && isBefore(begins, point));
  const segment = segments[start];
  if (!segment) throw beforeHistory(segments);
  const state: State = new Map();
  const breather = new Breather(5);
  for await (const { kind, key, object } of readBase(directory, segment.number)) {
    state.set(idOf({ kind, key }), object);
    if (breather.due()) await breather.breathe();
  }
  let moment = segment.begins;
  // What follows a gap stands on a base of its own, or on nothing.
  const gap = segments.findIndex(({ afterGap }, at) => at > start && afterGap);
  const rest = entriesOf(directory, segments.slice(start, gap < 0 ? undefined : gap));
  for (let next = await rest.next(); !next.done; next = await rest.next()) {
    const entry = next.value;
    if (!isBefore(entry, point)) return { state, moment, rest, next: entry };
    for (const change of entry.changes) applyChange(state, change);
    moment = { revision: entry.revision, at: entry.at };
    if (breather.due()) await breather.breathe();
  }
  return { state, moment, rest, next: undefined };
}

type Entries = AsyncGenerator<HistoryEntry>;

async function* entriesOf(directory: string, segments: readonly Segment[]): Entries {
  for (const { number } of segments) yield* readEntries(directory, number);
}

function beforeHistory(segments: readonly Segment[]): CodedError {
  const first = segments.find(({ baseBytes }) => baseBytes > 0)?.begins;
  return new CodedError(
    'HistoryTooShort',
    first
      ? `the history begins at ${new Date(first.at).toISOString()} with revision ${first.revision}; what was before is not known: ask for ${first.revision} or later`
      : 'there is no history yet',
  );
}

/** What differs between two points, `from` not after `to`. What was changed and changed back does not. */
export async function differenceBetween(
  directory: string,
  segments: readonly Segment[],
  from: Point,
  to: Point,
): Promise<HistoryDifference> {
  const { state, moment, rest, next } = await replay(directory, segments, from);
  const gap = segments.some(
    ({ begins, afterGap }) =>
      afterGap && begins.revision >= moment.revision && isBefore(begins, to) && begins !== moment,
  );
  if (gap) {
    await rest.return(undefined);
    const end = await stateAt(directory, segments, to);
    const ids = new Set([...state.keys(), ...end.state.keys()]);
    return { from: moment, to: end.moment, objects: pairsOf(ids, state, end.state) };
  }
  const before: State = new Map();
  const touched = new Set<string>();
  let reached = moment;
  const take = (entry: HistoryEntry): boolean => {
    if (!isBefore(entry, to)) return false;
    for (const change of entry.changes) {
      const id = idOf(change);
      const old = state.get(id);
      if (!touched.has(id) && old) before.set(id, old);
      touched.add(id);
      applyChange(state, change);
    }
    reached = { revision: entry.revision, at: entry.at };
    return true;
  };
  const breather = new Breather(5);
  let goesOn = next ? take(next) : false;
  while (goesOn) {
    const more = await rest.next();
    goesOn = !more.done && take(more.value);
    if (breather.due()) await breather.breathe();
  }
  await rest.return(undefined);
  return { from: moment, to: reached, objects: pairsOf(touched, before, state) };
}

/** The objects that differ, in the order of kind and key. */
function pairsOf(ids: Iterable<string>, before: State, after: State): ObjectPair[] {
  return [...ids].sort().flatMap((id): ObjectPair[] => {
    const [old, present] = [before.get(id), after.get(id)];
    if (old === present || diffJson(old, present).length === 0) return [];
    const at = id.indexOf(' ');
    return [
      {
        kind: id.slice(0, at),
        key: id.slice(at + 1),
        ...(old ? { before: old } : {}),
        ...(present ? { after: present } : {}),
      },
    ];
  });
}

export interface ListQuery {
  /** Only what is of these: `group/Kind`. */
  readonly kinds?: ReadonlySet<string>;
  readonly namespace?: string;
  readonly name?: string;
  /** ms since the epoch. */
  readonly since?: number;
  readonly until?: number;
  /** Default 100. */
  readonly limit?: number;
  /** False: changes of a status alone are left out. Default true. */
  readonly statuses?: boolean;
}

/** Paths that are named of one change. */
const namedPaths = 5;

/** The newest changes that fit, newest first. Reads logs from the end, one at a time. */
export async function listChanges(
  directory: string,
  segments: readonly Segment[],
  query: ListQuery,
): Promise<{ changes: ListedChange[]; more: boolean; statusesLeftOut: boolean }> {
  const limit = query.limit ?? 100;
  const found: ListedChange[] = [];
  let statusesLeftOut = false;
  const breather = new Breather(5);
  for (const segment of segments.toReversed()) {
    if (query.until !== undefined && segment.begins.at > query.until) continue;
    const here: ListedChange[] = [];
    for await (const entry of readEntries(directory, segment.number)) {
      if (fitsTime(entry, query))
        for (const change of entry.changes) {
          if (!fits(change, query)) continue;
          if (query.statuses === false && isStatusOnly(change)) statusesLeftOut = true;
          else here.push(listed(entry, change));
        }
      if (breather.due()) await breather.breathe();
    }
    found.push(...here.reverse());
    if (found.length > limit) return { changes: found.slice(0, limit), more: true, statusesLeftOut };
    if (query.since !== undefined && segment.begins.at < query.since) break;
  }
  return { changes: found, more: false, statusesLeftOut };
}

function fitsTime({ at }: HistoryEntry, { since, until }: ListQuery): boolean {
  return (since === undefined || at >= since) && (until === undefined || at <= until);
}

function fits({ kind, key }: HistoryChange, { kinds, namespace, name }: ListQuery): boolean {
  if (kinds && !kinds.has(kind)) return false;
  const slash = key.indexOf('/');
  if (namespace !== undefined && key.slice(0, slash) !== namespace) return false;
  return name === undefined || key.slice(slash + 1) === name;
}

/** What a workload reports of itself: nobody wrote it. */
function isStatusOnly({ delta }: HistoryChange): boolean {
  return delta?.every(([path]) => path[0] === 'status') ?? false;
}

function listed({ revision, at, source }: HistoryEntry, change: HistoryChange): ListedChange {
  const { kind, key, object, delta, by, file, line } = change;
  return {
    revision,
    at,
    source,
    kind,
    key,
    action: delta ? 'changed' : object ? (change.replaced ? 'changed' : 'created') : 'deleted',
    paths: (delta ?? []).slice(0, namedPaths).map(([path]) => formatJsonPath(path)),
    ...(by === undefined ? {} : { by }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  };
}
