import type { MeshConfig } from '../../registry/mesh-config.ts';
import { deepFreeze } from '../deep-freeze.ts';
import type { MeshProxy } from '../proxy.ts';
import type { CompileFailure, Push, ResourceSource } from '../push.ts';
import type { Collection, Key, Query } from '../query.ts';
import type { Resource } from '../resource.ts';
import type { Trial } from '../trial.ts';
import { World, type WorldChange } from '../world.ts';
import { ClassViews, noResources } from './class-views.ts';
import { Commit } from './commit.ts';
import { Evaluator } from './evaluator.ts';
import { collectFailures } from './failures.ts';
import { ProxyState } from './masks.ts';
import { Roots, type Steps } from './roots.ts';
import { type EngineStats, engineStats } from './stats.ts';

export interface EngineOptions {
  /** Every resource of a proxy comes from these. The names of one type must be unique over all of them. */
  readonly roots: readonly Collection<Resource>[];
  /** Milliseconds, only ever compared: for grace periods and slices. Default: Date.now. */
  readonly clock?: () => number;
  /** How long results that nobody uses are kept, for a proxy that reconnects. Milliseconds, default 60,000. */
  readonly graceMs?: number;
  /** How many classes of proxies a query (or collection) may tell apart before it is reported by name. */
  readonly bounds?: Readonly<Record<string, number>>;
  /** Bound of the queries that `bounds` does not name. Default: none. */
  readonly defaultBound?: number;
  /** Re-runs a share (0 to 1) of the reused results for the proxy that reuses them, and throws where they differ. For tests. */
  readonly verify?: { readonly sampleRate: number };
  /** Lets other work run between the slices of `prepare`, such as `setImmediate` from `node:timers/promises`. Default: no slices. */
  readonly pause?: () => Promise<unknown>;
}

export interface FlushAsyncOptions {
  /** The longest stretch without a pause. Milliseconds, default 20. */
  readonly sliceMs?: number;
  /** Lets other work run, such as `setImmediate` from `node:timers/promises`. */
  readonly pause: () => Promise<unknown>;
}

export interface Engine extends ResourceSource {
  /** Queues changes; they take effect together at the next flush, which reaches `revision`. */
  apply(changes: Iterable<WorldChange>, revision?: number): void;
  /** Queues new mesh-wide settings. */
  setMesh(mesh: MeshConfig, revision?: number): void;
  /** Queues a change to be tried on some proxies, in place of the present one; undefined: everybody sees the world again. */
  setTrial(trial: Trial | undefined): void;
  /** Equal for proxies that are given the same resources by the same classes. Empty for unknown proxies. */
  classOf(proxyId: string): string;
  /** Brings every proxy up to date and tells the listeners. Returns what was pushed, undefined when nothing changed. */
  flush(): Push | undefined;
  /**
   * The same in slices. What is applied meanwhile waits for the next flush. Proxies may come and go: a newcomer is served at
   * once. Until the end `resources` shows what was published before.
   */
  flushAsync(options: FlushAsyncOptions): Promise<Push | undefined>;
  /** Whether changes are waiting for a flush. */
  readonly pending: boolean;
  readonly proxies: ReadonlyMap<string, MeshProxy>;
  /**
   * What a query answers for a connected proxy, by the world as of the last flush; undefined for unknown proxies. What is computed for it
   * is kept like other results that nobody uses. Throws what the query throws.
   */
  ask<A extends readonly Key[], T>(proxyId: string, query: Query<A, T>, ...args: A): T | undefined;
  /** Calls that fail at present, with the proxies that keep their last good resources for it. */
  failures(): CompileFailure[];
  /** Calls back when the set of failures changed. Returns the unsubscribe function. */
  onFailures(listener: (failures: CompileFailure[]) => void): () => void;
  /**
   * Drops what has been unused for longer than the grace period (each flush does so too) and joins classes of proxies that nothing
   * tells apart any more. Takes about a millisecond: call it every few seconds.
   */
  collect(): void;
  stats(): EngineStats;
  /** The world as of the last flush. */
  readonly world: World;
}

/** The longest stretch of `prepare` without a pause, ms. */
const prepareSliceMs = 10;

/** Items looked at in one `collect`. */
const compactionBudget = 50_000;

/** The incremental compile: see docs/architecture.md. */
export function createEngine(options: EngineOptions): Engine {
  return new IncrementalEngine(options);
}

class IncrementalEngine implements Engine {
  readonly world = new World();
  readonly proxies = new Map<string, MeshProxy>();
  readonly #evaluator = new Evaluator(this.world);
  readonly #roots: Roots;
  readonly #views: ClassViews;
  readonly #options: EngineOptions;
  readonly #clock: () => number;
  readonly #proxies = new Map<string, ProxyState>();
  /** Left during a flush, which may still compute on their behalf. */
  readonly #departed: ProxyState[] = [];
  readonly #queue = new Map<string, WorldChange>();
  #queuedMesh: MeshConfig | undefined;
  /** In a list, since undefined is a wish too. */
  #queuedTrial: readonly [Trial | undefined] | undefined;
  #queuedRevision = 0;
  #revision = 0;
  #running: Generator<undefined, Push | undefined, undefined> | undefined;
  #lastPush: Push | undefined;
  readonly #pushListeners = new Set<(push: Push) => void>();
  readonly #failureListeners = new Set<(failures: CompileFailure[]) => void>();
  /** The end of the last `prepare` that was asked for; undefined: none is under way. */
  #preparing: Promise<void> | undefined;
  #prepareUntil = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
    this.#roots = new Roots(options.roots, this.#evaluator);
    this.#views = new ClassViews(this.#roots.classes);
    const rate = options.verify?.sampleRate ?? 0;
    if (rate > 0)
      this.#evaluator.verification = {
        every: Math.max(1, Math.round(1 / rate)),
        hits: 0,
        checked: 0,
        queue: [],
        problems: [],
      };
  }

  get revision(): number {
    return this.#revision;
  }

  get pending(): boolean {
    return (
      this.#queue.size > 0 ||
      this.#queuedMesh !== undefined ||
      this.#queuedTrial !== undefined ||
      this.#queuedRevision > this.#revision
    );
  }

  apply(changes: Iterable<WorldChange>, revision = this.#queuedRevision): void {
    // Nothing is queued when a value cannot be frozen (it contains itself).
    const list = [...changes];
    for (const change of list) deepFreeze(change.value, true);
    for (const change of list) this.#queue.set(`${change.kind} ${change.key}`, change);
    this.#queuedRevision = Math.max(this.#queuedRevision, revision);
  }

  setMesh(mesh: MeshConfig, revision = this.#queuedRevision): void {
    this.#queuedMesh = mesh;
    this.#queuedRevision = Math.max(this.#queuedRevision, revision);
  }

  setTrial(trial: Trial | undefined): void {
    this.#queuedTrial = [trial];
  }

  connect(proxy: MeshProxy): void {
    this.disconnect(proxy.id);
    this.#evaluator.garbage.now = this.#clock();
    const state = new ProxyState(proxy);
    this.#proxies.set(proxy.id, state);
    this.proxies.set(proxy.id, proxy);
    this.#roots.join(state);
    this.#settle();
  }

  prepare(proxy: MeshProxy): Promise<void> | undefined {
    const { pause } = this.#options;
    if (pause === undefined) return undefined;
    const state = new ProxyState(proxy);
    // One after the other: the second of two equal ones finds everything done.
    const before = this.#preparing;
    if (before === undefined && this.#roots.isWarm(state)) {
      this.#forget(state);
      return undefined;
    }
    const mine = (before ?? Promise.resolve())
      .then(() => this.#warm(state, pause))
      .finally(() => {
        this.#forget(state);
        if (this.#preparing === settled) this.#preparing = undefined;
      });
    const settled = mine.catch(() => undefined);
    this.#preparing = settled;
    return mine;
  }

  async #warm(state: ProxyState, pause: () => Promise<unknown>): Promise<void> {
    const steps = this.#roots.warm(state);
    for (let ended = false; !ended; ) {
      if (this.#clock() >= this.#prepareUntil) {
        await pause();
        this.#prepareUntil = this.#clock() + prepareSliceMs;
      }
      this.#evaluator.garbage.now = this.#clock();
      ended = steps.next().done === true;
    }
    this.#settle();
  }

  /** What is being computed may be computed on behalf of a proxy that left. */
  #forget(state: ProxyState): void {
    if (this.#running === undefined) this.#evaluator.masks.forget(state);
    else this.#departed.push(state);
  }

  disconnect(proxyId: string): void {
    const state = this.#proxies.get(proxyId);
    if (state === undefined) return;
    this.#evaluator.garbage.now = this.#clock();
    this.#proxies.delete(proxyId);
    this.proxies.delete(proxyId);
    this.#roots.leave(state);
    this.#forget(state);
  }

  resources(proxyId: string, typeUrl: string): ReadonlyMap<string, Resource> {
    const proxy = this.#proxies.get(proxyId);
    if (proxy === undefined) return noResources;
    return this.#views.view(proxy, typeUrl);
  }

  ask<A extends readonly Key[], T>(proxyId: string, query: Query<A, T>, ...args: A): T | undefined {
    const proxy = this.#proxies.get(proxyId);
    if (proxy === undefined) return undefined;
    this.#evaluator.garbage.now = this.#clock();
    const entry = this.#evaluator.evaluate(query as unknown as Query, args, proxy);
    if (entry.failure !== undefined) throw entry.failure.error;
    return entry.value as T;
  }

  classOf(proxyId: string): string {
    const proxy = this.#proxies.get(proxyId);
    return proxy === undefined ? '' : this.#views.classesOf(proxy);
  }

  flush(): Push | undefined {
    this.#lastPush = undefined;
    if (this.#running !== undefined) this.#finish(this.#running);
    if (this.pending) this.#finish(this.#start());
    return this.#lastPush;
  }

  #start(): Generator<undefined, Push | undefined, undefined> {
    this.#running = this.#run();
    return this.#running;
  }

  #finish(run: Generator<undefined, Push | undefined, undefined>): void {
    while (!this.#step(run));
  }

  /** One step of a flush; true when it ended. */
  #step(run: Generator<undefined, Push | undefined, undefined>): boolean {
    try {
      const result = run.next();
      if (!result.done) return false;
      this.#running = undefined;
      this.#ended(result.value);
      return true;
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
  }

  async flushAsync({ sliceMs = 20, pause }: FlushAsyncOptions): Promise<Push | undefined> {
    // One that is under way does not see what was applied after its start: let it end, then look again.
    while (this.#running !== undefined) await this.#drive(this.#running, sliceMs, pause);
    if (!this.pending) return undefined;
    const run = this.#start();
    await this.#drive(run, sliceMs, pause);
    return this.#lastPush;
  }

  async #drive(
    run: Generator<undefined, Push | undefined, undefined>,
    sliceMs: number,
    pause: () => Promise<unknown>,
  ): Promise<void> {
    let until = this.#clock() + sliceMs;
    // A synchronous flush may have ended it during a pause.
    while (this.#running === run) {
      if (this.#step(run)) return;
      if (this.#clock() < until) continue;
      await pause();
      until = this.#clock() + sliceMs;
    }
  }

  *#run(): Generator<undefined, Push | undefined, undefined> {
    this.#evaluator.garbage.now = this.#clock();
    const revision = this.#queuedRevision;
    this.#takeQueue();
    yield;
    yield* this.#refreshAll();
    const commit = new Commit();
    yield* commit.prepare(this.#roots.touched);
    const deltas = commit.finish(this.#roots.touched);
    this.#roots.touched.clear();
    this.#revision = revision;
    return deltas.length === 0 ? undefined : { revision, deltas };
  }

  *#refreshAll(): Steps {
    const { todo } = this.#roots;
    for (const item of todo) {
      todo.delete(item);
      yield* this.#roots.refresh(item);
    }
  }

  #takeQueue(): void {
    const changes = [...this.#queue.values()];
    this.#queue.clear();
    const mesh = this.#queuedMesh;
    this.#queuedMesh = undefined;
    this.#evaluator.tick++;
    const evaluator = this.#evaluator;
    const effect = {
      object: (kind: string, key: string) => evaluator.markReaders('object', kind, key),
      list: (index: string, key: string) => evaluator.markReaders('list', index, key),
      mesh: (field: string) => evaluator.markReaders('mesh', '', field),
    };
    this.world.apply(changes, effect);
    if (mesh !== undefined) this.world.setMesh(mesh, effect);
    const trial = this.#queuedTrial;
    this.#queuedTrial = undefined;
    if (trial === undefined) return;
    this.world.trial?.concerned(effect);
    [this.world.trial] = trial;
    this.world.trial?.concerned(effect);
  }

  #ended(push: Push | undefined): void {
    this.#lastPush = push ?? this.#lastPush;
    for (const proxy of this.#departed) this.#evaluator.masks.forget(proxy);
    this.#departed.length = 0;
    this.#settle(push);
    this.#sweep();
  }

  /** Tells the listeners; an error of one reaches the caller after all were told. */
  #settle(push?: Push): void {
    const errors: unknown[] = [];
    const tell = <T>(listeners: ReadonlySet<(value: T) => void>, value: T) => {
      for (const listener of listeners)
        try {
          listener(value);
        } catch (error) {
          errors.push(error);
        }
    };
    if (push !== undefined) tell(this.#pushListeners, push);
    if (this.#roots.classes.failuresChanged && this.#running === undefined) {
      this.#roots.classes.failuresChanged = false;
      if (this.#failureListeners.size > 0) tell(this.#failureListeners, this.failures());
    }
    if (this.#running === undefined) this.#evaluator.verifySamples();
    errors.push(...(this.#evaluator.verification?.problems.splice(0) ?? []));
    if (errors.length > 0) throw errors[0];
  }

  collect(): void {
    if (this.#running !== undefined) return;
    this.#roots.classes.compact(compactionBudget);
    this.#sweep();
  }

  #sweep(): void {
    const { cells, garbage, masks } = this.#evaluator;
    garbage.now = this.#clock();
    const before = garbage.now - (this.#options.graceMs ?? 60_000);
    this.#roots.classes.collect(before);
    garbage.collect(before);
    masks.sweep();
    cells.sweep();
  }

  onPush(listener: (push: Push) => void): () => void {
    this.#pushListeners.add(listener);
    return () => this.#pushListeners.delete(listener);
  }

  failures(): CompileFailure[] {
    return collectFailures(this.#roots.classes.roots);
  }

  onFailures(listener: (failures: CompileFailure[]) => void): () => void {
    this.#failureListeners.add(listener);
    return () => this.#failureListeners.delete(listener);
  }

  stats(): EngineStats {
    return engineStats(this.#evaluator, this.#roots.classes, this.#proxies.size, this.#options);
  }
}
