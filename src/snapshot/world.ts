import { deepEqual } from '../kit/deep-equal.ts';
import { getOrMake } from '../kit/maps.ts';
import { defaultMeshConfig, type MeshConfig } from '../registry/mesh-config.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { Key } from './query.ts';
import { SortedKeys } from './sorted-keys.ts';
import type { Trial } from './trial.ts';

/** A typed name of a kind of object in the world: `VirtualService`, or a derived one such as `service`. */
export interface KindToken<T> {
  readonly name: string;
  /** Phantom: carries T for type inference only. */
  readonly type?: T;
}

export function defineKindToken<T>(name: string): KindToken<T> {
  return Object.freeze({ name });
}

/** Files each object of a kind under zero or more keys. `keysOf` is pure. Lists hold object keys, sorted. */
export interface Index {
  readonly name: string;
  readonly kind: string;
  readonly keysOf: (object: never, key: Key) => readonly Key[];
}

const indexes = new Map<string, Index>();

export function defineIndex<T>(
  name: string,
  kind: KindToken<T>,
  keysOf: (object: T, key: Key) => readonly Key[],
): Index {
  if (indexes.has(name)) throw new Error(`two indexes are named ${name}`);
  const index = Object.freeze({ name, kind: kind.name, keysOf: keysOf as Index['keysOf'] });
  indexes.set(name, index);
  return index;
}

/** All indexes over a kind. Indexes are defined at module level, before a world is made. */
export function indexesOf(kind: string): Index[] {
  return [...indexes.values()].filter((index) => index.kind === kind);
}

/** A change of the world: an object that came or changed (`value`), or went (undefined). */
export interface WorldChange {
  kind: string;
  key: Key;
  value: unknown;
}

/** What an `apply` or `setMesh` really changed: the reads that no longer answer the same. */
export interface WorldEffect {
  object?(kind: string, key: Key): void;
  list?(index: string, key: Key): void;
  mesh?(field: keyof MeshConfig): void;
}

const noKeys: readonly Key[] = Object.freeze([]);

/**
 * The mesh as data: objects by kind and key, their indexes, and the mesh-wide settings. Objects are frozen when they come in.
 * An object whose `keysOf` throws is filed under no key of that index (the error is kept in `indexErrors`).
 */
export class World {
  readonly #kinds = new Map<string, Map<Key, unknown>>();
  readonly #indexesByKind = new Map<string, Index[]>();
  readonly #lists = new Map<string, Map<Key, SortedKeys>>();
  #mesh: MeshConfig = defaultMeshConfig;

  /** What is tried on some proxies; see there. Views look here, readers of the world itself see what is in force. */
  trial: Trial | undefined;

  /** Index failures of the present objects, by `index kind key`; bounded by the number of objects. */
  readonly indexErrors = new Map<string, unknown>();

  /** Applies changes in order. A value that is deeply equal to the present one is dropped: the old object keeps its identity. */
  apply(changes: Iterable<WorldChange>, effect: WorldEffect = {}): void {
    for (const change of changes) this.#applyOne(change, effect);
  }

  setMesh(mesh: MeshConfig, effect: WorldEffect = {}): void {
    const old = this.#mesh;
    this.#mesh = deepFreeze({ ...mesh }, true);
    for (const field of new Set([...Object.keys(old), ...Object.keys(mesh)]) as Set<keyof MeshConfig>)
      if (!deepEqual(old[field], mesh[field])) effect.mesh?.(field);
  }

  get mesh(): MeshConfig {
    return this.#mesh;
  }

  get<T>(kind: KindToken<T>, key: Key): T | undefined {
    return this.#kinds.get(kind.name)?.get(key) as T | undefined;
  }

  /** Sorted (by UTF-16 code unit), frozen; the same array until the list changes. */
  list(index: Index, key: Key): readonly Key[] {
    return this.#lists.get(index.name)?.get(key)?.values() ?? noKeys;
  }

  /** How many objects of a kind there are. */
  count(kind: string): number {
    return this.#kinds.get(kind)?.size ?? 0;
  }

  #applyOne({ kind, key, value }: WorldChange, effect: WorldEffect): void {
    const objects = getOrMake(this.#kinds, kind, () => new Map<Key, unknown>());
    const old = objects.get(key);
    if (old === value || deepEqual(old, value)) return;
    if (value === undefined) objects.delete(key);
    else objects.set(key, deepFreeze(value, true));
    effect.object?.(kind, key);
    for (const index of this.#indexesOver(kind)) this.#reindex(index, key, old, value, effect);
  }

  #indexesOver(kind: string): Index[] {
    return getOrMake(this.#indexesByKind, kind, () => indexesOf(kind));
  }

  #reindex(index: Index, key: Key, old: unknown, value: unknown, effect: WorldEffect): void {
    const before = this.#keysOf(index, old, key);
    const after = this.#keysOf(index, value, key);
    if (before.length === after.length && before.every((k, i) => k === after[i])) return;
    const lists = getOrMake(this.#lists, index.name, () => new Map<Key, SortedKeys>());
    const kept = new Set(after);
    const had = new Set(before);
    for (const under of had) {
      if (kept.has(under)) continue;
      const list = lists.get(under);
      list?.delete(key);
      if (list?.size === 0) lists.delete(under);
      effect.list?.(index.name, under);
    }
    for (const under of kept) {
      if (had.has(under)) continue;
      getOrMake(lists, under, () => new SortedKeys()).add(key);
      effect.list?.(index.name, under);
    }
  }

  #keysOf(index: Index, object: unknown, key: Key): readonly Key[] {
    const id = `${index.name} ${index.kind} ${key}`;
    this.indexErrors.delete(id);
    if (object === undefined) return noKeys;
    try {
      return index.keysOf(object as never, key);
    } catch (error) {
      this.indexErrors.set(id, error);
      return noKeys;
    }
  }
}
