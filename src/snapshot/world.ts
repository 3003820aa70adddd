import type { Key } from './query.ts';

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
