import type { ConfigObject } from '../../object.ts';
import { StoreError } from '../../store/store.ts';
import { apiVersionOf, type RequestContext, type Target } from '../context.ts';
import { readList, type Selection, selectionOf } from '../handlers/read-list.ts';
import { awaitRevision, parseRevision } from '../handlers/read-revision.ts';
import type { Representation } from '../request/negotiate.ts';
import { booleanParam } from '../request/request-info.ts';
import { ApiError, expired, internalError, type Status } from '../status.ts';
import { selectEvent, watchOptions } from './watch-events.ts';

/** Where a watch writes. `write` resolves when the client has taken enough of what came before. */
export interface WatchSink {
  write(text: string): Promise<void>;
  signal: AbortSignal;
}

/** Turns an object into what this watch sends: the object itself, a one-row Table, its metadata. */
export type ObjectEncoder = (object: ConfigObject, first: boolean) => string;

interface WatchPlan {
  /** Send what is there now before changes. */
  initial: boolean;
  /** Follow the initial events by a bookmark that says they are complete (streaming list). */
  markEnd: boolean;
  bookmarks: boolean;
  /** Start after this revision; undefined: now. */
  from: number | undefined;
  atLeast: number | undefined;
  timeoutMs: number;
}

/** Checks the parameters of a watch before anything is sent. Throws the `ApiError` to answer with. */
export function planWatch(context: RequestContext): WatchPlan {
  const { query } = context.info;
  const bookmarks = booleanParam(query, 'allowWatchBookmarks');
  const given = query.get('resourceVersion') ?? '';
  const revision = given === '' ? 0 : parseRevision(given);
  const match = query.get('resourceVersionMatch') ?? '';
  const streaming = query.get('sendInitialEvents');
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  const timeoutMs =
    Number.isFinite(seconds) && seconds > 0
      ? Math.min(seconds * 1000, 2 ** 31 - 1)
      : context.limits.watchMs * (1 + Math.random());
  if (streaming === null) {
    if (match !== '')
      throw invalidWatch(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      );
    const initial = revision === 0;
    return {
      initial,
      markEnd: false,
      bookmarks,
      from: initial ? undefined : revision,
      atLeast: undefined,
      timeoutMs,
    };
  }
  if (match !== 'NotOlderThan')
    throw invalidWatch(
      'resourceVersionMatch',
      'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    );
  const initial = streaming !== 'false' && streaming !== '0';
  const atLeast = revision === 0 ? undefined : revision;
  return {
    initial,
    markEnd: initial && bookmarks,
    bookmarks,
    from: initial ? undefined : atLeast,
    atLeast,
    timeoutMs,
  };
}

function invalidWatch(field: string, message: string): ApiError {
  return new ApiError(
    422,
    'Invalid',
    `ListOptions.meta.k8s.io "" is invalid: ${field}: Forbidden: ${message}`,
    {
      group: 'meta.k8s.io',
      kind: 'ListOptions',
      causes: [{ reason: 'FieldValueForbidden', message: `Forbidden: ${message}`, field }],
    },
  );
}

/** Runs one watch until the client leaves, its time is over, or it can no longer be kept whole. */
export async function runWatch(
  context: RequestContext,
  target: Target,
  representation: Representation,
  encode: ObjectEncoder,
  plan: WatchPlan,
  sink: WatchSink,
): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([sink.signal, ending.signal, context.signal]);
  const timer = setTimeout(() => ending.abort(), plan.timeoutMs);
  timer.unref();
  const stream = new EventWriter(context, target, representation, encode, sink);
  try {
    const selection = selectionOf(context, target);
    const from = await sendInitial(context, target, selection, plan, stream);
    stream.revision = from;
    const bookmarks = plan.bookmarks
      ? setInterval(() => void stream.bookmark(), context.limits.bookmarkMs)
      : undefined;
    bookmarks?.unref();
    try {
      await follow(context, target, selection, from, signal, stream);
    } finally {
      clearInterval(bookmarks);
    }
    // Told at the end, a client resumes from here and misses nothing.
    if (plan.bookmarks && !sink.signal.aborted) await stream.bookmark();
  } catch (error) {
    if (!sink.signal.aborted) await stream.error(statusOf(error, context));
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
}

async function sendInitial(
  context: RequestContext,
  target: Target,
  selection: Selection,
  plan: WatchPlan,
  stream: EventWriter,
): Promise<number> {
  if (plan.atLeast !== undefined) await awaitRevision(context, plan.atLeast);
  if (!plan.initial) return plan.from ?? (await context.store.revision());
  const query = new URLSearchParams(context.info.query);
  for (const name of ['resourceVersion', 'resourceVersionMatch', 'limit', 'continue']) query.delete(name);
  const page = await readList({ ...context, info: { ...context.info, query } }, target, selection);
  for (const object of page.items) await stream.event('ADDED', object);
  stream.revision = page.revision;
  if (plan.markEnd) await stream.bookmark({ 'k8s.io/initial-events-end': 'true' });
  return page.revision;
}

async function follow(
  context: RequestContext,
  target: Target,
  selection: Selection,
  from: number,
  signal: AbortSignal,
  stream: EventWriter,
): Promise<void> {
  for await (const item of context.store.watch(watchOptions(context, target, selection, from, signal))) {
    if (item.type === 'events') {
      for (const event of item.events) {
        const selected = selectEvent(context, target, selection, event);
        if (selected) await stream.event(selected.type, selected.object);
        if (signal.aborted) return;
      }
    }
    stream.revision = Math.max(stream.revision, item.revision);
    if (signal.aborted) return;
  }
}

/** Writes the events of one watch, one JSON object per line. */
class EventWriter {
  /** Everything up to this revision was sent. */
  revision = 0;
  readonly #context: RequestContext;
  readonly #target: Target;
  readonly #representation: Representation;
  readonly #encode: ObjectEncoder;
  readonly #sink: WatchSink;
  #first = true;

  constructor(
    context: RequestContext,
    target: Target,
    representation: Representation,
    encode: ObjectEncoder,
    sink: WatchSink,
  ) {
    this.#context = context;
    this.#target = target;
    this.#representation = representation;
    this.#encode = encode;
    this.#sink = sink;
  }

  event(type: string, object: ConfigObject): Promise<void> {
    const text = this.#encode(object, this.#first);
    this.#first = false;
    return this.#sink.write(`{"type":"${type}","object":${text}}\n`);
  }

  bookmark(annotations?: Record<string, string>): Promise<void> {
    const metadata = {
      resourceVersion: String(this.revision),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    const kind = this.#target.kind.kind;
    const object =
      this.#representation.form === 'table'
        ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: null, rows: [] }
        : this.#representation.form === 'object'
          ? { kind, apiVersion: apiVersionOf(this.#target), metadata }
          : {
              kind: 'PartialObjectMetadata',
              apiVersion: `meta.k8s.io/${this.#representation.metaVersion}`,
              metadata,
            };
    return this.#sink.write(`{"type":"BOOKMARK","object":${JSON.stringify(object)}}\n`);
  }

  error(status: Status): Promise<void> {
    this.#context.log('info', 'watch ended', { reason: status.reason, message: status.message });
    return this.#sink.write(`{"type":"ERROR","object":${JSON.stringify(status)}}\n`);
  }
}

function statusOf(error: unknown, context: RequestContext): Status {
  if (error instanceof ApiError) return error.status;
  if (error instanceof StoreError) {
    if (error.code === 'RevisionCompacted')
      return expired(`too old resource version: ${context.info.query.get('resourceVersion') ?? ''}`).status;
    if (error.code === 'WatchOverflow')
      return expired('too many events waited for this watcher; list again and watch from there').status;
    if (error.code === 'RevisionInFuture')
      return expired('the resourceVersion is not one of this server; list again').status;
  }
  context.log('error', 'watch failed', { error: error instanceof Error ? error.message : String(error) });
  return internalError('the watch failed; list again and watch from there').status;
}
