import type { MeshConfig } from '../../registry/mesh-config.ts';
import type { Attribute } from '../attribute.ts';
import { CycleError, callText } from '../cycle.ts';
import type { Key, Query } from '../query.ts';
import { closedViewError } from '../rebuild.ts';
import type { View } from '../view.ts';
import type { Index, KindToken } from '../world.ts';
import type { Cell } from './cells.ts';
import { clean, type Entry, type Instance } from './entry.ts';
import type { Evaluator } from './evaluator.ts';
import type { Fact, Mask, MaskTable, ProxyState } from './masks.ts';

let nextFrameId = 1;

/** A running computation and what it has read so far. */
export class Frame {
  readonly instance: Instance;
  readonly proxy: ProxyState;
  readonly depth: number;
  /** In the order of reading. What was read again after another computation touched it may stand here twice. */
  readonly cells: Cell[] = [];
  readonly children: Entry[] = [];
  readonly facts: Fact[] = [];
  readonly #id = nextFrameId++;
  /** What was called the last time, in order: the same calls mostly come again. */
  readonly #before: readonly Entry[];
  #next = 0;
  /** It takes part in a cycle: whatever it returns, the result is this error. */
  cycle: CycleError | undefined;
  /** Depth of the outermost running computation that it ran into; its own where none. */
  reaches: number;

  constructor(instance: Instance, proxy: ProxyState, depth: number, before: readonly Entry[] = []) {
    this.#before = before;
    this.instance = instance;
    this.proxy = proxy;
    this.depth = depth;
    this.reaches = depth;
  }

  /** The marks on cells and entries spare a set per computation: queries that list every service read thousands. */
  addCell(cell: Cell): void {
    if (cell.readBy === this.#id) return;
    cell.readBy = this.#id;
    this.cells.push(cell);
  }

  addChild(child: Entry): void {
    if (child.calledBy === this.#id) return;
    child.calledBy = this.#id;
    this.children.push(child);
  }

  /** The entry that was called at this point the last time, if this is the same call: found without any look-up. */
  expected(query: Query, args: readonly Key[]): Entry | undefined {
    const entry = this.#before[this.#next];
    if (entry === undefined || entry.state !== clean || !entry.instance.is(query, args)) return undefined;
    this.#next++;
    return entry;
  }

  /** After a call that was not expected: one that is new here, or the next after one that is gone. */
  resume(entry: Entry): void {
    if (this.#before[this.#next + 1] === entry) this.#next += 2;
    else if (this.#before[this.#next] === entry) this.#next++;
  }

  addFact(fact: Fact): void {
    if (!this.facts.includes(fact)) this.facts.push(fact);
  }

  get text(): string {
    return callText(this.instance.query.query.name, this.instance.args);
  }

  /** Everything that the result may depend on: its own facts and its children's. */
  mask(masks: MaskTable): Mask {
    const below: Mask[] = [];
    let last = masks.empty;
    for (const { mask } of this.children) {
      if (mask === masks.empty || mask === last) continue;
      last = mask;
      if (!below.includes(mask)) below.push(mask);
    }
    return masks.union(below, this.facts);
  }
}

/** The view that a running query has; closed when the query returns. */
export class RecordingView implements View {
  readonly #evaluator: Evaluator;
  readonly #frame: Frame;
  #open = true;

  constructor(evaluator: Evaluator, frame: Frame) {
    this.#evaluator = evaluator;
    this.#frame = frame;
  }

  close(): void {
    this.#open = false;
  }

  #reads(): Frame {
    if (!this.#open) throw closedViewError(this.#frame.text);
    return this.#frame;
  }

  get<T>(kind: KindToken<T>, key: Key): T | undefined {
    const frame = this.#reads();
    frame.addCell(this.#evaluator.cells.at('object', kind.name, key));
    const { world } = this.#evaluator;
    const tried = world.trial?.object(kind.name, key);
    return tried !== undefined && this.#takesPart(frame)
      ? (tried.value as T | undefined)
      : world.get(kind, key);
  }

  list(index: Index, key: Key): readonly Key[] {
    const frame = this.#reads();
    frame.addCell(this.#evaluator.cells.at('list', index.name, key));
    const { world } = this.#evaluator;
    const list = world.list(index, key);
    const tried = world.trial?.list(index.name, key, list);
    return tried !== undefined && this.#takesPart(frame) ? tried : list;
  }

  /** A read that is answered differently to those who try a change. */
  #takesPart(frame: Frame): boolean {
    const { world, masks } = this.#evaluator;
    if (world.trial === undefined) return false;
    frame.addFact(masks.attribute(world.trial.member as unknown as Attribute));
    return world.trial.member.value(frame.proxy.proxy);
  }

  mesh<F extends keyof MeshConfig>(field: F): MeshConfig[F] {
    this.#reads().addCell(this.#evaluator.cells.at('mesh', '', field));
    return this.#evaluator.world.mesh[field];
  }

  attribute<T extends string | number | boolean | undefined>(attribute: Attribute<T>): T {
    const frame = this.#reads();
    frame.addFact(this.#evaluator.masks.attribute(attribute as unknown as Attribute));
    return attribute.value(frame.proxy.proxy);
  }

  matches(selector: Readonly<Record<string, string>>): boolean {
    const frame = this.#reads();
    let empty = true;
    for (const _ in selector) {
      empty = false;
      break;
    }
    if (empty) return true;
    const fact = this.#evaluator.masks.selector(selector);
    frame.addFact(fact);
    return fact.read(frame.proxy.proxy) as boolean;
  }

  call<A extends readonly Key[], T>(query: Query<A, T>, ...args: A): T {
    const frame = this.#reads();
    for (const arg of args)
      if (typeof arg !== 'string')
        throw new TypeError(`${query.name} was called with a ${typeof arg}: query arguments are strings`);
    const entry = this.#evaluator.call(frame, query as unknown as Query, args);
    if (!entry.transient) frame.addChild(entry);
    if (entry.failure === undefined) return entry.value as T;
    const { error } = entry.failure;
    // The cycle was found and stored by another entrance; this call is on it all the same.
    if (error instanceof CycleError && error.participants.has(frame.text)) frame.cycle ??= error;
    throw error;
  }
}
