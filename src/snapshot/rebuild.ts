import { holdsLabels } from '../kit/labels.ts';
import { getOrMake } from '../kit/maps.ts';
import type { MeshConfig } from '../registry/mesh-config.ts';
import type { Attribute } from './attribute.ts';
import { CycleError, callText } from './cycle.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { MeshProxy } from './proxy.ts';
import type { Collection, Key, Query } from './query.ts';
import type { Resource } from './resource.ts';
import type { View } from './view.ts';
import type { Index, KindToken, World } from './world.ts';

/** What went wrong while one proxy's resources were made; the rest is there. */
export interface RebuildFailure {
  readonly collection: string;
  /** undefined: the collection's key list itself failed. */
  readonly key: Key | undefined;
  readonly error: unknown;
}

export interface RebuildOptions {
  readonly onFailure?: (failure: RebuildFailure) => void;
  /** Sees the resource of each key, before names are compared. */
  readonly onItem?: (collection: string, key: Key, resource: Resource) => void;
}

/**
 * Evaluates every collection for one proxy from scratch: no reuse between calls, a memo within. It is the oracle that the
 * incremental engine is compared with, and the simplest way to run features in a test.
 * Where two items make the same name the first collection, then the smallest key, wins, and a failure is reported.
 */
export function rebuild(
  world: World,
  mesh: MeshConfig,
  proxy: MeshProxy,
  collections: readonly Collection<Resource>[],
  options: RebuildOptions = {},
): Map<string, Map<string, Resource>> {
  const evaluation = new Evaluation(world, mesh, proxy);
  const result = new Map<string, Map<string, Resource>>();
  const report = (collection: string, key: Key | undefined, error: unknown) =>
    options.onFailure?.({ collection, key, error });
  for (const collection of collections) {
    const keys = attempt(() => evaluation.call(collection.keys, []));
    if (!keys.ok) {
      report(collection.name, undefined, keys.error);
      continue;
    }
    for (const key of [...new Set(keys.value)].sort()) {
      const item = attempt(() => evaluation.call(collection.item, [key]));
      if (!item.ok) report(collection.name, key, item.error);
      else if (item.value !== undefined) {
        options.onItem?.(collection.name, key, item.value);
        if (!file(result, item.value)) report(collection.name, key, new DuplicateError(item.value));
      }
    }
  }
  return result;
}

/**
 * Runs a function on a view of one proxy, from scratch, for explanations and goldens: plan nodes, for instance, are made on demand
 * because nothing subscribes to them. Throws what it throws; the view is closed when it returns.
 */
export function inspect<T>(world: World, mesh: MeshConfig, proxy: MeshProxy, run: (view: View) => T): T {
  const view = new NaiveView(new Evaluation(world, mesh, proxy), 'inspect()');
  try {
    return run(view);
  } finally {
    view.close();
  }
}

/** Two items of a proxy make a resource of the same type and name. */
export class DuplicateError extends Error {
  readonly code = 'DUPLICATE_RESOURCE';

  constructor(resource: Resource) {
    super(
      `two items make ${resource.typeUrl} ${JSON.stringify(resource.name)}: ` +
        'the names of one type must be unique over all collections; the first one is kept',
    );
    this.name = 'DuplicateError';
  }
}

function file(result: Map<string, Map<string, Resource>>, resource: Resource): boolean {
  const byName = getOrMake(result, resource.typeUrl, () => new Map<string, Resource>());
  if (byName.has(resource.name)) return false;
  byName.set(resource.name, resource);
  return true;
}

export type Outcome<T> = { ok: true; value: T } | { ok: false; error: unknown };

export function attempt<T>(run: () => T): Outcome<T> {
  try {
    return { ok: true, value: run() };
  } catch (error) {
    return { ok: false, error };
  }
}

interface Frame {
  readonly text: string;
  readonly depth: number;
  cycle: CycleError | undefined;
  /** Depth of the outermost running call that this one ran into; its own depth when none. */
  reaches: number;
}

/** Queries of one proxy, each computed once. The world must stand where it stood while this is used. */
export class Evaluation {
  readonly world: World;
  readonly mesh: MeshConfig;
  readonly proxy: MeshProxy;
  readonly #memo = new Map<Query<never, unknown>, Map<string, Outcome<unknown>>>();
  readonly #stack: Frame[] = [];

  constructor(world: World, mesh: MeshConfig, proxy: MeshProxy) {
    this.world = world;
    this.mesh = mesh;
    this.proxy = proxy;
  }

  call<A extends readonly Key[], T>(query: Query<A, T>, args: A): T {
    for (const arg of args)
      if (typeof arg !== 'string')
        throw new TypeError(`${query.name} was called with a ${typeof arg}: query arguments are strings`);
    const memo = getOrMake(this.#memo, query as Query<never, unknown>, () => new Map());
    const id = args.length === 1 ? ` ${args[0]}` : JSON.stringify(args);
    const outcome = (memo.get(id) as Outcome<T> | undefined) ?? this.#compute(query, args, memo, id);
    if (outcome.ok) return outcome.value;
    const caller = this.#stack.at(-1);
    if (caller && outcome.error instanceof CycleError && outcome.error.participants.has(caller.text))
      caller.cycle ??= outcome.error;
    throw outcome.error;
  }

  #compute<A extends readonly Key[], T>(
    query: Query<A, T>,
    args: A,
    memo: Map<string, Outcome<unknown>>,
    id: string,
  ): Outcome<T> {
    const text = callText(query.name, args);
    const running = this.#stack.findIndex((frame) => frame.text === text);
    if (running >= 0) return { ok: false, error: this.#foundCycle(running) };
    const depth = this.#stack.length;
    const frame: Frame = { text, depth, cycle: undefined, reaches: depth };
    const view = new NaiveView(this, text);
    this.#stack.push(frame);
    let outcome = attempt(() => deepFreeze(query.compute(view, ...args)));
    this.#stack.pop();
    view.close();
    if (frame.cycle) outcome = { ok: false, error: frame.cycle };
    else if (outcome.ok && outcome.value instanceof Promise)
      outcome = { ok: false, error: new Error(`${text} returned a promise: queries are synchronous`) };
    // Part of a cycle that is still open: its result must not outlive the caller that closes it.
    if (frame.reaches === depth) memo.set(id, outcome);
    return outcome;
  }

  #foundCycle(from: number): CycleError {
    const frames = this.#stack.slice(from);
    const error = new CycleError(frames.map((frame) => frame.text));
    for (const frame of frames) {
      frame.cycle ??= error;
      frame.reaches = Math.min(frame.reaches, from);
    }
    return error;
  }
}

class NaiveView implements View {
  readonly #evaluation: Evaluation;
  readonly #text: string;
  #open = true;

  constructor(evaluation: Evaluation, text: string) {
    this.#evaluation = evaluation;
    this.#text = text;
  }

  close(): void {
    this.#open = false;
  }

  #check(): Evaluation {
    if (!this.#open) throw closedViewError(this.#text);
    return this.#evaluation;
  }

  get<T>(kind: KindToken<T>, key: Key): T | undefined {
    const { world, proxy } = this.#check();
    const tried = world.trial?.object(kind.name, key);
    return tried && world.trial?.member.value(proxy) ? (tried.value as T | undefined) : world.get(kind, key);
  }

  list(index: Index, key: Key): readonly Key[] {
    const { world, proxy } = this.#check();
    const list = world.list(index, key);
    const tried = world.trial?.list(index.name, key, list);
    return tried && world.trial?.member.value(proxy) ? tried : list;
  }

  mesh<F extends keyof MeshConfig>(field: F): MeshConfig[F] {
    return deepFreeze(this.#check().mesh[field]);
  }

  attribute<T extends string | number | boolean | undefined>(attribute: Attribute<T>): T {
    return attribute.value(this.#check().proxy);
  }

  matches(selector: Readonly<Record<string, string>>): boolean {
    return holdsLabels(this.#check().proxy.labels, selector);
  }

  call<A extends readonly Key[], T>(query: Query<A, T>, ...args: A): T {
    return this.#check().call(query, args);
  }
}

/** Reads after the call, or across an `await`, could not be recorded. */
export function closedViewError(text: string): Error {
  return Object.assign(
    new Error(`the view of ${text} was read after the query returned: read everything before, without await`),
    { code: 'VIEW_CLOSED' },
  );
}
