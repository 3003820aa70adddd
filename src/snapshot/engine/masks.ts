import { holdsLabels } from '../../kit/labels.ts';
import { getOrMake } from '../../kit/maps.ts';
import { type Attribute, selectorId } from '../attribute.ts';
import type { MeshProxy } from '../proxy.ts';
import type { Resource } from '../resource.ts';
import type { RootClass } from './root-class.ts';

/** A connected proxy, as the engine keeps it. */
export class ProxyState {
  readonly proxy: MeshProxy;
  /** The class that it belongs to, by index of the root collection. */
  readonly joined: RootClass[] = [];
  /** The class whose published resources it has been given: differs from `joined` only within a flush. */
  readonly visible: readonly RootClass[] = [];
  /** What it holds of each type: see ClassViews. */
  views: Map<string, ReadonlyMap<string, Resource>> | undefined;
  viewsEpoch = 0;
  /** What it answers to the attributes read so far (selectors are cheap enough to ask again). */
  readonly tokens = new Map<Fact, string>();

  constructor(proxy: MeshProxy) {
    this.proxy = proxy;
  }

  /** It has been given what a class has published. */
  see(item: RootClass): void {
    const visible = this.visible as RootClass[];
    if (visible[item.root.index] === item) return;
    visible[item.root.index] = item;
    this.views = undefined;
  }

  seeNothing(): void {
    (this.visible as RootClass[]).length = 0;
    this.views = undefined;
  }
}

/** One thing that a query can ask about a proxy: an attribute or whether a selector matches. */
export interface Fact {
  readonly id: string;
  readonly order: number;
  readonly read: (proxy: MeshProxy) => unknown;
  readonly memoise: boolean;
  /** Masks that contain it. */
  refs: number;
}

/** A proxy's values of a mask's facts. Two proxies share a result when they have the same projection of its mask. */
export interface Projection {
  readonly mask: Mask;
  readonly key: string;
  /** Entries and proxies that hold it. */
  refs: number;
}

/** An interned set of facts. */
export class Mask {
  readonly key: string;
  readonly facts: readonly Fact[];
  readonly set: ReadonlySet<Fact>;
  /** Entries and root classes that hold it. */
  refs = 0;
  readonly byProxy = new Map<ProxyState, Projection>();
  readonly projections = new Map<string, Projection>();
  lastProxy: ProxyState | undefined;
  lastProjection: Projection | undefined;

  constructor(key: string, facts: readonly Fact[]) {
    this.key = key;
    this.facts = facts;
    this.set = new Set(facts);
  }

  within(other: Mask): boolean {
    if (this === other || this.facts.length === 0) return true;
    if (this.facts.length > other.facts.length) return false;
    for (const fact of this.facts) if (!other.set.has(fact)) return false;
    return true;
  }
}

/** Interns facts, masks and projections, and sweeps what nothing holds any more. */
export class MaskTable {
  readonly empty = new Mask('', []);
  readonly everybody: Projection = { mask: this.empty, key: '', refs: 1 };
  readonly #facts = new Map<string, Fact>();
  readonly #masks = new Map<string, Mask>();
  readonly #idleFacts = new Set<Fact>();
  readonly #idleMasks = new Set<Mask>();
  readonly #selectorIds = new WeakMap<Readonly<Record<string, string>>, string>();
  #nextOrder = 0;

  attribute(attribute: Attribute): Fact {
    const id = `attribute ${attribute.id}`;
    return this.#facts.get(id) ?? this.#addFact(id, (proxy) => attribute.value(proxy), true);
  }

  /** Selectors are frozen parts of the world's objects, so their canonical text is remembered by identity. */
  selector(labels: Readonly<Record<string, string>>): Fact {
    let id = this.#selectorIds.get(labels);
    if (id === undefined) {
      id = `labels ${selectorId(labels)}`;
      if (Object.isFrozen(labels)) this.#selectorIds.set(labels, id);
    }
    return this.#facts.get(id) ?? this.#addFact(id, (proxy) => holdsLabels(proxy.labels, labels), false);
  }

  #addFact(id: string, read: Fact['read'], memoise: boolean): Fact {
    const fact: Fact = { id, order: this.#nextOrder++, read, memoise, refs: 0 };
    this.#facts.set(id, fact);
    this.#idleFacts.add(fact);
    return fact;
  }

  /** The mask of some facts and of other masks together. */
  union(masks: Iterable<Mask>, facts: Iterable<Fact> = []): Mask {
    let widest = this.empty;
    const parts: Mask[] = [];
    for (const mask of masks) {
      parts.push(mask);
      if (mask.facts.length > widest.facts.length) widest = mask;
    }
    let more: Set<Fact> | undefined;
    const add = (fact: Fact) => {
      if (widest.set.has(fact)) return;
      more ??= new Set();
      more.add(fact);
    };
    for (const mask of parts) if (mask !== widest) for (const fact of mask.facts) add(fact);
    for (const fact of facts) add(fact);
    return more === undefined ? widest : this.#intern([...widest.facts, ...more]);
  }

  #intern(facts: Fact[]): Mask {
    facts.sort((a, b) => a.order - b.order);
    const key = facts.map((fact) => fact.order).join(',');
    return getOrMake(this.#masks, key, () => {
      const mask = new Mask(key, facts);
      for (const fact of facts) {
        fact.refs++;
        this.#idleFacts.delete(fact);
      }
      this.#idleMasks.add(mask);
      return mask;
    });
  }

  projection(mask: Mask, proxy: ProxyState): Projection {
    if (mask === this.empty) return this.everybody;
    // Work is done for one proxy at a time, thousands of questions in a row.
    if (mask.lastProxy === proxy && mask.lastProjection !== undefined) return mask.lastProjection;
    const projection = mask.byProxy.get(proxy) ?? this.#project(mask, proxy);
    mask.lastProxy = proxy;
    mask.lastProjection = projection;
    return projection;
  }

  #project(mask: Mask, proxy: ProxyState): Projection {
    let key = '';
    for (const fact of mask.facts) key += token(fact, proxy);
    const projection = getOrMake(mask.projections, key, () => ({ mask, key, refs: 0 }));
    projection.refs++;
    mask.byProxy.set(proxy, projection);
    return projection;
  }

  retain(mask: Mask, projection: Projection): void {
    if (mask === this.empty) return;
    if (mask.refs++ === 0) this.#idleMasks.delete(mask);
    projection.refs++;
  }

  release(mask: Mask, projection: Projection): void {
    if (mask === this.empty) return;
    if (--mask.refs === 0) this.#idleMasks.add(mask);
    releaseProjection(projection);
  }

  /** Forgets a proxy that left. */
  forget(proxy: ProxyState): void {
    for (const mask of this.#masks.values()) {
      const projection = mask.byProxy.get(proxy);
      if (projection === undefined) continue;
      mask.byProxy.delete(proxy);
      if (mask.lastProxy === proxy) mask.lastProxy = undefined;
      releaseProjection(projection);
    }
  }

  /** Drops masks and facts that nothing holds. Only between computations. */
  sweep(): void {
    for (const mask of this.#idleMasks) {
      this.#masks.delete(mask.key);
      for (const fact of mask.facts) if (--fact.refs === 0) this.#idleFacts.add(fact);
    }
    this.#idleMasks.clear();
    for (const fact of this.#idleFacts) this.#facts.delete(fact.id);
    this.#idleFacts.clear();
  }

  counts(): { facts: number; masks: number; projections: number } {
    let projections = 0;
    for (const mask of this.#masks.values()) projections += mask.projections.size;
    return { facts: this.#facts.size, masks: this.#masks.size, projections };
  }
}

function releaseProjection(projection: Projection): void {
  if (--projection.refs === 0) projection.mask.projections.delete(projection.key);
}

function token(fact: Fact, proxy: ProxyState): string {
  if (!fact.memoise) return fact.read(proxy.proxy) ? 't' : 'f';
  return getOrMake(proxy.tokens, fact, () => valueToken(fact, proxy.proxy));
}

/** Self-delimiting, so that concatenated tokens stay unambiguous. */
function valueToken(fact: Fact, proxy: MeshProxy): string {
  let value: unknown;
  try {
    value = fact.read(proxy);
  } catch (error) {
    // A query that reads it fails; proxies for which it fails alike share that failure.
    const text = String(error);
    return `e${text.length}:${text}`;
  }
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (value === undefined) return 'u';
  const text = String(value);
  return `${typeof value === 'number' ? 'n' : 's'}${text.length}:${text}`;
}
