import { isObject } from '../../kit/json.ts';
import { type FieldPath, rootPath } from '../field-path.ts';
import { type IssueCode, quote } from '../report.ts';
import { hasFormat, isInRange } from './formats.ts';
import { checkListType } from './list-type.ts';
import { compileRegex } from './regex.ts';
import type { SchemaNode } from './schema-node.ts';

/** Receives complaints. `full` ends the walk: nobody reads the thousandth. */
export interface Sink {
  add(path: FieldPath, code: IssueCode, message: string): void;
  readonly full: boolean;
}

export type Check = (value: unknown, path: FieldPath, sink: Sink) => void;

/** True where nothing complains. */
function accepts(checks: readonly Check[], value: unknown): boolean {
  let bad = false;
  const sink: Sink = {
    add: () => {
      bad = true;
    },
    get full() {
      return bad;
    },
  };
  for (const check of checks) {
    check(value, rootPath, sink);
    if (bad) return false;
  }
  return true;
}

/** What a schema demands of a value itself (not of what is below it). */
export function ownChecks(schema: SchemaNode): Check[] {
  const checks: Check[] = [];
  if (schema.type !== undefined || schema['x-kubernetes-int-or-string']) checks.push(typeCheck(schema));
  if (schema.enum) checks.push(enumCheck(schema.enum));
  checks.push(...stringChecks(schema), ...numberChecks(schema), ...sizeChecks(schema));
  if (schema.required?.length) checks.push(requiredCheck(schema.required));
  const listType = schema['x-kubernetes-list-type'];
  if (listType === 'set' || listType === 'map' || schema.uniqueItems) checks.push(checkListType(schema));
  checks.push(...combinators(schema));
  return checks;
}

/** A schema inside `oneOf`, `anyOf`, `allOf` or `not`: checked whole, with what is below. */
function compileNested(schema: SchemaNode): Check[] {
  const checks = ownChecks(schema);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const below = compileNested(property);
    checks.push((value, path, sink) => {
      if (!isObject(value) || value[name] === undefined) return;
      for (const check of below) check(value[name], path.field(name), sink);
    });
  }
  if (schema.items) {
    const below = compileNested(schema.items);
    checks.push((value, path, sink) => {
      if (!Array.isArray(value)) return;
      for (const [i, item] of value.entries()) for (const check of below) check(item, path.index(i), sink);
    });
  }
  return checks;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a number';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

const wanted: Record<string, [string, (value: unknown) => boolean]> = {
  string: ['a string', (value) => typeof value === 'string'],
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  integer: ['an integer', (value) => Number.isInteger(value)],
  number: ['a number', (value) => typeof value === 'number'],
  array: ['a list', Array.isArray],
  object: ['an object', isObject],
};

function typeCheck(schema: SchemaNode): Check {
  const [name, test] = schema['x-kubernetes-int-or-string']
    ? (['an integer or a string', (v: unknown) => typeof v === 'string' || Number.isInteger(v)] as const)
    : (wanted[schema.type ?? ''] ?? (['known', () => true] as const));
  return (value, path, sink) => {
    if (test(value) || (value === null && schema.nullable)) return;
    const given = value === null ? 'null' : `${typeName(value)} (${quote(value, 40)})`;
    sink.add(path, 'FieldValueTypeInvalid', `must be ${name}, but is ${given}`);
  };
}

function enumCheck(values: readonly unknown[]): Check {
  const known = new Set(values);
  const list = values.map((value) => quote(value)).join(', ');
  return (value, path, sink) => {
    if (known.has(value) || value === null || typeof value === 'object') return;
    sink.add(path, 'FieldValueNotSupported', `${quote(value)} is not supported; use one of ${list}`);
  };
}

function stringChecks(schema: SchemaNode): Check[] {
  const { pattern, format, minLength, maxLength } = schema;
  const checks: Check[] = [];
  const add = (check: (text: string, path: FieldPath, sink: Sink) => void) =>
    checks.push((value, path, sink) => {
      if (typeof value === 'string') check(value, path, sink);
    });
  if (minLength !== undefined)
    add((text, path, sink) => {
      if (text.length < minLength || length(text) < minLength)
        sink.add(path, 'FieldValueInvalid', `must have at least ${minLength} characters`);
    });
  if (maxLength !== undefined)
    add((text, path, sink) => {
      if (text.length > maxLength && length(text) > maxLength)
        sink.add(path, 'FieldValueTooLong', `must have at most ${maxLength} characters`);
    });
  if (format !== undefined)
    add((text, path, sink) => {
      if (!hasFormat(format, text)) sink.add(path, 'FieldValueInvalid', `${quote(text)} is not a ${format}`);
    });
  if (pattern !== undefined) {
    const regex = compileRegex(pattern);
    add((text, path, sink) => {
      if (regex && !regex.find(text))
        sink.add(path, 'FieldValueInvalid', `${quote(text)} does not match ${pattern}`);
    });
  }
  return checks;
}

/** Characters as Kubernetes counts them: code points. */
function length(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function numberChecks(schema: SchemaNode): Check[] {
  const { minimum, maximum, multipleOf, format } = schema;
  const checks: Check[] = [];
  const add = (fails: (value: number) => boolean, message: string) =>
    checks.push((value, path, sink) => {
      if (typeof value === 'number' && fails(value))
        sink.add(path, 'FieldValueInvalid', `${value} ${message}`);
    });
  if (minimum !== undefined && schema.exclusiveMinimum)
    add((value) => value <= minimum, `is too small: it must be more than ${minimum}`);
  else if (minimum !== undefined)
    add((value) => value < minimum, `is too small: it must be at least ${minimum}`);
  if (maximum !== undefined && schema.exclusiveMaximum)
    add((value) => value >= maximum, `is too large: it must be less than ${maximum}`);
  else if (maximum !== undefined)
    add((value) => value > maximum, `is too large: it must be at most ${maximum}`);
  if (multipleOf) add((value) => value % multipleOf !== 0, `must be a multiple of ${multipleOf}`);
  if (format !== undefined) add((value) => !isInRange(format, value), `does not fit into ${format}`);
  return checks;
}

function sizeChecks(schema: SchemaNode): Check[] {
  const { minItems, maxItems, minProperties, maxProperties } = schema;
  const checks: Check[] = [];
  if (minItems !== undefined || maxItems !== undefined)
    checks.push((value, path, sink) => {
      if (Array.isArray(value)) checkSize(value.length, 'item', minItems, maxItems, path, sink);
    });
  if (minProperties !== undefined || maxProperties !== undefined)
    checks.push((value, path, sink) => {
      if (isObject(value))
        checkSize(Object.keys(value).length, 'field', minProperties, maxProperties, path, sink);
    });
  return checks;
}

function checkSize(
  size: number,
  noun: string,
  min: number | undefined,
  max: number | undefined,
  path: FieldPath,
  sink: Sink,
): void {
  const plural = (n: number) => `${n} ${noun}${n === 1 ? '' : 's'}`;
  if (min !== undefined && size < min)
    sink.add(path, 'FieldValueInvalid', `must have at least ${plural(min)}, but has ${size}`);
  if (max !== undefined && size > max)
    sink.add(path, 'FieldValueTooMany', `must have at most ${plural(max)}, but has ${size}`);
}

function requiredCheck(names: readonly string[]): Check {
  return (value, path, sink) => {
    if (!isObject(value)) return;
    for (const name of names) {
      if (value[name] === undefined) sink.add(path.field(name), 'FieldValueRequired', 'is required');
    }
  };
}

function combinators(schema: SchemaNode): Check[] {
  const checks: Check[] = (schema.allOf ?? []).flatMap(compileNested);
  if (schema.anyOf) checks.push(anyOfCheck(schema.anyOf));
  if (schema.oneOf) checks.push(oneOfCheck(schema.oneOf));
  if (schema.not) {
    const not = compileNested(schema.not);
    checks.push((value, path, sink) => {
      if (accepts(not, value))
        sink.add(path, 'FieldValueInvalid', `${quote(value)} has a form that is not allowed here`);
    });
  }
  return checks;
}

function anyOfCheck(schemas: readonly SchemaNode[]): Check {
  const branches = schemas.map(compileNested);
  const names = requiredNames(schemas);
  return (value, path, sink) => {
    if (branches.some((branch) => accepts(branch, value))) return;
    if (names) sink.add(path, 'FieldValueRequired', `needs at least one of ${names.join(', ')}`);
    else sink.add(path, 'FieldValueInvalid', `${quote(value)} has none of the allowed forms`);
  };
}

function oneOfCheck(schemas: readonly SchemaNode[]): Check {
  const branches = schemas.map(compileNested);
  const names = requiredNames(schemas);
  return (value, path, sink) => {
    const count = branches.filter((branch) => accepts(branch, value)).length;
    if (count === 1) return;
    if (!names) {
      const what = count === 0 ? 'none' : `${count}`;
      sink.add(path, 'FieldValueInvalid', `must have exactly one of the allowed forms, but has ${what}`);
      return;
    }
    const set = isObject(value) ? names.filter((name) => value[name] !== undefined) : [];
    if (set.length > 1) sink.add(path, 'FieldValueInvalid', `set only one of ${set.join(', ')}`);
    else sink.add(path, 'FieldValueRequired', `needs one of ${names.join(', ')}`);
  };
}

/** The field names of "one of these is set", the usual shape of `oneOf` and `anyOf` in CRDs. */
function requiredNames(schemas: readonly SchemaNode[]): string[] | undefined {
  const names: string[] = [];
  for (const { required, not, ...rest } of schemas) {
    if (Object.keys(rest).length > 0) return undefined;
    if (required?.length === 1 && required[0] !== undefined && !not) names.push(required[0]);
    else if (!not || required) return undefined;
  }
  return names.length > 0 ? names : undefined;
}
