import { deepEqual } from '../../kit/deep-equal.ts';
import { CycleError, callText } from '../cycle.ts';
import { deepFreeze } from '../deep-freeze.ts';
import type { Key, Query } from '../query.ts';
import type { World } from '../world.ts';
import { type Cell, CellTable } from './cells.ts';
import { check, clean, dead, dirty, Entry, type Failure, Instance, type QueryState } from './entry.ts';
import { Frame, RecordingView } from './frame.ts';
import { Garbage } from './garbage.ts';
import { addLink, eachChange, eachLink, trimmed } from './links.ts';
import { type Mask, MaskTable, type ProxyState } from './masks.ts';

/** Calls nest a dozen deep at most; a query that recurses over growing arguments is stopped here. */
const maxDepth = 400;

/** Notes the result of a re-run under another proxy of the same class: a difference is a read that was not recorded. */
export interface Verification {
  /** Every n-th hit is re-run. */
  readonly every: number;
  hits: number;
  checked: number;
  readonly queue: { entry: Entry; proxy: ProxyState }[];
  readonly problems: ReuseError[];
}

/** Samples of one flush or connection. */
const maxSamples = 1000;

interface Outcome {
  value: unknown;
  failure: Failure | undefined;
}

/**
 * Computes entries and keeps them valid. Marking is eager (a changed cell makes its readers dirty and what is above them
 * "check"), refreshing is lazy, on behalf of a proxy for which the entry is valid.
 */
export class Evaluator {
  readonly world: World;
  readonly cells = new CellTable();
  readonly masks = new MaskTable();
  readonly garbage: Garbage;
  readonly queries = new Map<Query, QueryState>();
  /** Grows with every change of the world. */
  tick = 1;
  entryCount = 0;
  verification: Verification | undefined;
  readonly #stack: Frame[] = [];
  readonly #project = (mask: Mask, proxy: ProxyState) => this.masks.projection(mask, proxy);

  constructor(world: World) {
    this.world = world;
    this.garbage = new Garbage((entry) => this.#retire(entry));
  }

  /** The clean entry of a call for a proxy. Throws when the call is running already (a cycle). */
  evaluate(query: Query, args: readonly Key[], proxy: ProxyState): Entry {
    const instance = this.#instance(query, args);
    if (instance.running >= 0) throw this.#foundCycle(instance.running);
    const found = instance.find(proxy, this.#project);
    if (found === undefined) return this.#compute(instance, proxy, undefined);
    if (found.state !== clean) return this.#refresh(found, proxy);
    this.sample(found, proxy);
    return found;
  }

  /** The same within a computation. */
  call(frame: Frame, query: Query, args: readonly Key[]): Entry {
    const expected = frame.expected(query, args);
    if (expected !== undefined && this.masks.projection(expected.mask, frame.proxy) === expected.projection) {
      this.sample(expected, frame.proxy);
      return expected;
    }
    const entry = this.evaluate(query, args, frame.proxy);
    if (expected === undefined) frame.resume(entry);
    return entry;
  }

  /** A read changed. What is above is told once; a root class remembers the key and its value so far. */
  markReaders(space: 'object' | 'list' | 'mesh', name: string, key: Key): void {
    const cell = this.cells.find(space, name, key);
    if (cell !== undefined) eachLink(cell.readers, (entry) => this.#mark(entry, dirty));
  }

  #mark(entry: Entry, state: typeof check | typeof dirty): void {
    if (entry.state >= state) return;
    const first = entry.state === clean;
    // The roots capture the old value before anything is computed again.
    if (first)
      eachLink(entry.parents, (parent) => {
        if (parent instanceof Entry) this.#mark(parent, check);
        else parent.childMarked(entry);
      });
    entry.state = state;
    if (entry.parents === undefined) this.garbage.stale(entry);
  }

  #instance(query: Query, args: readonly Key[]): Instance {
    let state = this.queries.get(query);
    if (state === undefined) {
      state = { query, instances: new Map(), maxClasses: 0, computed: 0 };
      this.queries.set(query, state);
    }
    const key = args.length === 1 ? (args[0] as string) : args.join('\u0000');
    let instance = state.instances.get(key);
    if (instance === undefined) {
      instance = new Instance(state, args, key);
      state.instances.set(key, instance);
    }
    return instance;
  }

  #refresh(entry: Entry, proxy: ProxyState): Entry {
    if (entry.state === check) {
      if (this.#verified(entry, proxy)) {
        entry.state = clean;
        entry.verifiedAt = this.tick;
        return entry;
      }
      entry.state = dirty;
    }
    const other = entry.instance.find(proxy, this.#project);
    if (other !== undefined && other !== entry && other.state === clean) return other;
    return this.#compute(entry.instance, proxy, entry);
  }

  /**
   * Whether everything below is as it was. The entry stands on the stack meanwhile: it would make these calls, so a circle that
   * leads back here is found with all who take part in it.
   */
  #verified(entry: Entry, proxy: ProxyState): boolean {
    const { instance } = entry;
    const frame = new Frame(instance, proxy, this.#stack.length);
    instance.running = frame.depth;
    this.#stack.push(frame);
    try {
      return this.#childrenUnchanged(entry, proxy) && frame.cycle === undefined;
    } finally {
      this.#stack.pop();
      instance.running = -1;
    }
  }

  /** In read order, stopping at the first change: what came after it may not be read any more. */
  #childrenUnchanged(entry: Entry, proxy: ProxyState): boolean {
    for (let i = 0; i < entry.children.length; i++) {
      const child = entry.children[i] as Entry;
      if (child.state === check || child.state === dirty) {
        if (child.instance.running >= 0) return false;
        this.#refresh(child, proxy);
      }
      if (child.state === clean) {
        if (child.changedAt > entry.verifiedAt) return false;
      } else if (!this.#adoptHeir(entry, i, child, proxy)) return false;
    }
    return true;
  }

  /**
   * The child reads other facts than before but is equal: the parent stays valid if it tells apart at least what the child does.
   * (On the value alone its classmates would keep a result that is not theirs.)
   */
  #adoptHeir(entry: Entry, at: number, child: Entry, proxy: ProxyState): boolean {
    const heir = child.heir;
    if (child.state !== dead || child.verifiedAt !== this.tick || child.changedAt > entry.verifiedAt)
      return false;
    if (heir === undefined || heir.state !== clean || !heir.mask.within(entry.mask)) return false;
    if (this.masks.projection(heir.mask, proxy) !== heir.projection) return false;
    const children = entry.children.slice();
    children[at] = heir;
    this.#relinkChildren(entry, children);
    return true;
  }

  #compute(instance: Instance, proxy: ProxyState, old: Entry | undefined): Entry {
    const frame = new Frame(instance, proxy, this.#stack.length, old?.children);
    const outcome = this.#run(frame);
    if (frame.reaches < frame.depth) return this.#handOver(frame, outcome);
    const mask = frame.mask(this.masks);
    const projection = this.masks.projection(mask, proxy);
    const kept = old?.projection === projection ? old : instance.at(projection);
    let entry: Entry;
    let changed = true;
    if (kept === undefined) {
      entry = new Entry(instance, mask, projection, this.tick);
      entry.value = outcome.value;
      entry.failure = outcome.failure;
      this.#adopt(entry);
    } else {
      entry = kept;
      changed = !sameOutcome(instance.query.query, entry, outcome);
      if (changed) {
        entry.value = outcome.value;
        entry.failure = outcome.failure;
        entry.changedAt = this.tick;
      }
    }
    this.#relinkCells(entry, trimmed(frame.cells));
    this.#relinkChildren(entry, trimmed(frame.children));
    entry.state = clean;
    entry.verifiedAt = this.tick;
    if (old !== undefined && old !== entry) {
      const equal = sameOutcome(instance.query.query, old, outcome);
      this.#retire(old);
      if (equal) old.heir = entry;
    }
    return entry;
  }

  #run(frame: Frame): Outcome {
    const { instance } = frame;
    const { query } = instance.query;
    const view = new RecordingView(this, frame);
    let outcome: Outcome = { value: undefined, failure: undefined };
    instance.query.computed++;
    instance.running = frame.depth;
    this.#stack.push(frame);
    try {
      if (frame.depth >= maxDepth) throw depthError(frame);
      outcome.value = query.compute(view, ...instance.args);
      if (outcome.value instanceof Promise) throw promiseError(frame);
      deepFreeze(outcome.value);
    } catch (error) {
      outcome = { value: undefined, failure: failureOf(frame, error) };
    } finally {
      this.#stack.pop();
      instance.running = -1;
      view.close();
    }
    if (frame.cycle !== undefined) outcome = { value: undefined, failure: failureOf(frame, frame.cycle) };
    return outcome;
  }

  /** Part of an open cycle: the result depends on where the cycle was entered, so only the caller that closes it is stored. */
  #handOver(frame: Frame, outcome: Outcome): Entry {
    const caller = this.#stack.at(-1);
    if (caller !== undefined) {
      for (const cell of frame.cells) caller.addCell(cell);
      for (const child of frame.children) caller.addChild(child);
      for (const fact of frame.facts) caller.addFact(fact);
    }
    if (frame.instance.size === 0) frame.instance.query.instances.delete(frame.instance.key);
    const entry = new Entry(frame.instance, this.masks.empty, this.masks.everybody, this.tick);
    entry.transient = true;
    entry.failure = outcome.failure;
    return entry;
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

  #adopt(entry: Entry): void {
    const { instance } = entry;
    instance.add(entry);
    this.entryCount++;
    if (instance.size > instance.query.maxClasses) instance.query.maxClasses = instance.size;
    this.masks.retain(entry.mask, entry.projection);
    this.garbage.unheld(entry);
  }

  /** Takes an entry out of use. Parents that still name it find it dead. */
  #retire(entry: Entry): void {
    if (entry.state === dead) return;
    entry.state = dead;
    entry.verifiedAt = this.tick;
    this.garbage.held(entry);
    entry.instance.remove(entry);
    this.entryCount--;
    for (const cell of entry.cells) this.cells.removeReader(cell, entry);
    const children = entry.children;
    entry.cells = [];
    entry.children = [];
    for (const child of children) this.garbage.unlink(child, entry);
    this.masks.release(entry.mask, entry.projection);
  }

  #relinkCells(entry: Entry, next: readonly Cell[]): void {
    const old = entry.cells;
    entry.cells = next;
    eachChange(old, next, {
      added: (cell) => cell.addReader(entry),
      removed: (cell) => this.cells.removeReader(cell, entry),
    });
  }

  #relinkChildren(entry: Entry, next: readonly Entry[]): void {
    const old = entry.children;
    entry.children = next;
    eachChange(old, next, {
      added: (child) => {
        child.parents = addLink(child.parents, entry);
        this.garbage.held(child);
      },
      removed: (child) => this.garbage.unlink(child, entry),
    });
  }

  /** Notes every n-th reuse for verification. */
  sample(entry: Entry, proxy: ProxyState): void {
    const { verification } = this;
    if (verification === undefined) return;
    if (++verification.hits % verification.every === 0 && verification.queue.length < maxSamples)
      verification.queue.push({ entry, proxy });
  }

  /** Re-runs the sampled hits for the proxies that shared them. Only while nothing is being computed. */
  verifySamples(): void {
    const verification = this.verification;
    if (verification === undefined) return;
    this.verification = undefined;
    for (const { entry, proxy } of verification.queue) this.#verify(entry, proxy, verification);
    verification.queue.length = 0;
    this.verification = verification;
  }

  #verify(entry: Entry, proxy: ProxyState, verification: Verification): void {
    if (entry.state !== clean || this.masks.projection(entry.mask, proxy) !== entry.projection) return;
    verification.checked++;
    const frame = new Frame(entry.instance, proxy, 0);
    const outcome = this.#run(frame);
    for (const cell of frame.cells) this.cells.release(cell);
    // Its own reads only: of two entries of a child that serve this proxy, one may read more than the other.
    const readsMore = frame.facts.some((fact) => !entry.mask.set.has(fact));
    if (readsMore || !sameOutcome(entry.instance.query.query, entry, outcome))
      verification.problems.push(new ReuseError(frame.text, proxy.proxy.id, readsMore));
  }
}

/** A result was shared with a proxy for which the query answers something else. */
export class ReuseError extends Error {
  readonly code = 'QUERY_READ_UNRECORDED';

  constructor(call: string, proxyId: string, readsMore: boolean) {
    super(
      `${call} ${readsMore ? 'reads other facts' : 'gives another result'} for ${proxyId} than for the proxy whose result it shares: ` +
        'it depends on something that the view did not hand out (module state, time, randomness)',
    );
    this.name = 'ReuseError';
  }
}

/** Failures are equal when they say the same: an error that is thrown anew is no change. */
function sameOutcome(query: Query, entry: Entry, outcome: Outcome): boolean {
  if (entry.failure !== undefined || outcome.failure !== undefined)
    return (
      entry.failure !== undefined &&
      outcome.failure !== undefined &&
      (entry.failure === outcome.failure || String(entry.failure.error) === String(outcome.failure.error))
    );
  if (entry.value === outcome.value) return true;
  try {
    return (query.equal ?? deepEqual)(entry.value, outcome.value);
  } catch {
    return false;
  }
}

/** An error that came up from a called query keeps the name of the query that threw it. */
function failureOf(frame: Frame, error: unknown): Failure {
  for (const { failure } of frame.children)
    if (failure !== undefined && failure.error === error) return failure;
  return { query: frame.instance.query.query.name, args: frame.instance.args, error };
}

function depthError(frame: Frame): Error {
  return Object.assign(
    new Error(`${frame.text} is called ${maxDepth} calls deep: does it recurse over growing arguments?`),
    { code: 'QUERY_TOO_DEEP' },
  );
}

function promiseError(frame: Frame): Error {
  return new Error(
    `${callText(frame.instance.query.query.name, frame.instance.args)} returned a promise: queries are synchronous`,
  );
}
