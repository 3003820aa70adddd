import type { MeshProxy } from './proxy.ts';

/**
 * A fact about a proxy that a query may read. Reads are recorded: two proxies share a result when the attributes that were
 * read agree. `value` must be pure; values are compared by `JSON`-like equality of primitives (string, number, boolean, undefined).
 */
export interface Attribute<
  T extends string | number | boolean | undefined = string | number | boolean | undefined,
> {
  readonly id: string;
  readonly value: (proxy: MeshProxy) => T;
}

const attributes = new Map<string, Attribute>();

/** Defines an attribute at module level. Anything with nearly as many values as there are proxies splits every class: avoid. */
export function defineAttribute<T extends string | number | boolean | undefined>(
  id: string,
  value: (proxy: MeshProxy) => T,
): Attribute<T> {
  if (attributes.has(id)) throw new Error(`two attributes are named ${id}`);
  const attribute = Object.freeze({ id, value });
  attributes.set(id, attribute);
  return attribute;
}

/** An attribute that is no part of the program but of something that passes: its id must never come again. */
export function ofOneUse<T extends string | number | boolean | undefined>(
  id: string,
  value: (proxy: MeshProxy) => T,
): Attribute<T> {
  return Object.freeze({ id, value });
}

/** Canonical text of a label selector, its identity as an attribute. */
export function selectorId(labels: Readonly<Record<string, string>>): string {
  const keys = Object.keys(labels).sort();
  const text = keys.map((key) => `${key}=${labels[key]}`).join(',');
  // Valid labels hold neither sign; where one does, the short form would be ambiguous.
  return text.split(',').length === keys.length && text.split('=').length === keys.length + 1
    ? text
    : JSON.stringify(keys.map((key) => [key, labels[key]]));
}
