import type { SchemaNode } from '../schema/schema-node.ts';

/** A failure while an expression runs; `||`, `&&` and the quantifiers may absorb it. */
export class CelError extends Error {}

/** The expression did more work than allowed; nothing absorbs it. */
export class CelBudgetError extends Error {}

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class Timestamp {
  /** Since 1970, in UTC. */
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class Optional {
  static readonly none = new Optional(undefined);
  readonly value: CelValue | undefined;
  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

/** The value of `type(x)`, and of the names of types. */
export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A value of a library's own type (URL, IP, quantity, …). */
export interface Opaque {
  readonly opaque: string;
  equals(other: Opaque): boolean;
}

/** An object with declared fields, read lazily from its JSON. */
export class CelObject {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly schema: SchemaNode;
  constructor(raw: Readonly<Record<string, unknown>>, schema: SchemaNode) {
    this.raw = raw;
    this.schema = schema;
  }
}

export type CelMap = ReadonlyMap<CelValue, CelValue>;

export type CelValue =
  | null
  | boolean
  | string
  | bigint
  | number
  | Uint
  | Uint8Array
  | Duration
  | Timestamp
  | Optional
  | TypeValue
  | CelObject
  | Opaque
  | readonly CelValue[]
  | CelMap;

export function isList(value: CelValue): value is readonly CelValue[] {
  return Array.isArray(value);
}

export function isMap(value: CelValue): value is CelMap {
  return value instanceof Map;
}

export function isOpaque(value: CelValue): value is Opaque {
  return typeof value === 'object' && value !== null && 'opaque' in value;
}

export function typeName(value: CelValue): string {
  if (value === null) return 'null_type';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'string':
      return 'string';
    case 'bigint':
      return 'int';
    case 'number':
      return 'double';
  }
  if (isList(value)) return 'list';
  if (isMap(value)) return 'map';
  if (value instanceof Uint) return 'uint';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof Duration) return 'google.protobuf.Duration';
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp';
  if (value instanceof Optional) return 'optional_type';
  if (value instanceof TypeValue) return 'type';
  return isOpaque(value) ? value.opaque : 'object';
}

/** CEL equality: values of different types are different, numbers compare across types. */
export function equal(a: CelValue, b: CelValue): boolean {
  if (a === b) return true;
  // Some published rules compare an absent optional with null.
  if (a instanceof Optional && b === null) return a.value === undefined;
  if (b instanceof Optional && a === null) return b.value === undefined;
  const x = numeric(a);
  const y = numeric(b);
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals a number of the same value.
  if (x !== undefined && y !== undefined) return x == y;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (isList(a)) return isList(b) && a.length === b.length && a.every((item, i) => equal(item, b[i] ?? null));
  if (isMap(a)) return isMap(b) && a.size === b.size && everyEntry(a, b);
  if (a instanceof CelObject) return b instanceof CelObject && equalJson(a.raw, b.raw);
  if (a instanceof Uint8Array)
    return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name;
  if (a instanceof Optional) return b instanceof Optional && equalOptional(a, b);
  return isOpaque(a) && isOpaque(b) && a.opaque === b.opaque && a.equals(b);
}

function everyEntry(a: CelMap, b: CelMap): boolean {
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !equal(value, other)) return false;
  }
  return true;
}

function equalOptional(a: Optional, b: Optional): boolean {
  if (a.value === undefined || b.value === undefined) return a.value === b.value;
  return equal(a.value, b.value);
}

function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) &&
      equalJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}

/** Any number, as something that compares; undefined for other values. */
export function numeric(value: CelValue): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  return value instanceof Uint ? value.value : undefined;
}

/** Negative, zero or positive. Throws `CelError` for values without an order. */
export function compare(a: CelValue, b: CelValue): number {
  const x = numeric(a) ?? nanosOf(a);
  const y = numeric(b) ?? nanosOf(b);
  if (x !== undefined && y !== undefined && (numeric(a) !== undefined) === (numeric(b) !== undefined))
    return x < y ? -1 : x > y ? 1 : 0;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  throw new CelError(`${typeName(a)} and ${typeName(b)} have no order`);
}

function nanosOf(value: CelValue): bigint | undefined {
  return value instanceof Duration || value instanceof Timestamp ? value.nanos : undefined;
}

/** By code point, as UTF-8 bytes would. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const difference = (x[i]?.codePointAt(0) ?? 0) - (y[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
