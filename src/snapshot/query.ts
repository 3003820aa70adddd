import type { View } from './view.ts';

export type Key = string;

/**
 * A pure, synchronous function of a view and interned string arguments, memoised by the engine.
 * Equal results (by `equal`, default: deep structural equality for plain data, identity first) stop the propagation of a change.
 */
export interface Query<A extends readonly Key[] = readonly Key[], T = unknown> {
  readonly name: string;
  readonly compute: (view: View, ...args: A) => T;
  readonly equal: Equal<T> | undefined;
}

/** Compared as a method is: a query of `string[]` serves where one of `readonly string[]` is asked for. */
type Equal<T> = { bivariant(a: T, b: T): boolean }['bivariant'];

/**
 * A keyed family of results: the only O(services) shape allowed at a root. Items that return undefined are absent.
 * A throwing item is isolated: the others live on, the failure is reported.
 */
export interface Collection<T = unknown> {
  readonly name: string;
  readonly keys: Query<[], readonly Key[]>;
  readonly item: Query<[Key], T | undefined>;
  /** Of resources: the type of all of them. Absent: there may be several. */
  readonly typeUrl?: string;
}

const names = new Set<string>();

function claim(name: string): void {
  if (names.has(name)) throw new Error(`two queries are named ${name}: query names identify memo tables`);
  names.add(name);
}

/** Defines a query. Call at module level only; `name` must be unique in the process. */
export function defineQuery<A extends readonly Key[], T>(
  name: string,
  compute: (view: View, ...args: A) => T,
  options: { equal?: (a: T, b: T) => boolean } = {},
): Query<A, T> {
  claim(name);
  return Object.freeze({ name, compute, equal: options.equal });
}

export function defineCollection<T>(
  name: string,
  keys: Query<[], readonly Key[]>,
  item: Query<[Key], T | undefined>,
  typeUrl?: string,
): Collection<T> {
  claim(name);
  return Object.freeze({ name, keys, item, ...(typeUrl === undefined ? {} : { typeUrl }) });
}
