import { equalJson, hasKey, isObject, type JsonObject } from '../../../kit/json.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { FieldSet } from './field-set.ts';
import { itemsByKey, type Shape, shapeOf } from './shape.ts';

/** Every field of a value, as its owner claims them. */
export function toFieldSet(value: unknown, schema: SchemaNode | undefined): FieldSet {
  const set = new FieldSet();
  if (isObject(value)) collectMap(value, schema, set);
  return set;
}

function collectMap(value: JsonObject, schema: SchemaNode | undefined, set: FieldSet): void {
  const shape = shapeOf(schema, value);
  if (shape.type !== 'map') return;
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const element = `f:${name}`;
    collect(item, shape.field(name), set, element);
    const isEmptyMap = isObject(item) && Object.keys(item).length === 0;
    if (item === null || isEmptyMap || !shape.isNamed(name)) set.members.add(element);
  }
}

function collect(value: unknown, schema: SchemaNode | undefined, set: FieldSet, element: string): void {
  const shape = shapeOf(schema, value);
  if (shape.type === 'map') {
    collectBelow(set, element, (child) => collectMap(value as JsonObject, schema, child));
    return;
  }
  const items = shape.type === 'list' ? itemsByKey(value as unknown[], shape.keyOf) : undefined;
  if (shape.type !== 'list' || !items) {
    set.members.add(element);
    return;
  }
  collectBelow(set, element, (child) => {
    for (const [key, item] of items) {
      collect(item, shape.element, child, key);
      child.members.add(key);
    }
  });
  // An empty associative list has no item to own: its owner owns the list.
  if (items.size === 0) set.members.add(element);
}

function collectBelow(set: FieldSet, element: string, work: (child: FieldSet) => void): void {
  const child = new FieldSet();
  work(child);
  if (!child.empty) set.children.set(element, child);
}

export interface Comparison {
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

export function isSame(comparison: Comparison): boolean {
  return comparison.added.empty && comparison.modified.empty && comparison.removed.empty;
}

/** What changed between two values, by field. */
export function compareValues(before: unknown, after: unknown, schema: SchemaNode | undefined): Comparison {
  const result: Comparison = { added: new FieldSet(), modified: new FieldSet(), removed: new FieldSet() };
  compareMaps(isObject(before) ? before : {}, isObject(after) ? after : {}, schema, [], result);
  return result;
}

function compareMaps(
  before: JsonObject,
  after: JsonObject,
  schema: SchemaNode | undefined,
  path: readonly string[],
  result: Comparison,
): void {
  const shape = shapeOf(schema, after);
  if (shape.type !== 'map') return;
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const left = hasKey(before, name) ? before[name] : undefined;
    const right = hasKey(after, name) ? after[name] : undefined;
    compareAny(left, right, shape.field(name), [...path, `f:${name}`], result);
  }
}

function compareAny(
  before: unknown,
  after: unknown,
  schema: SchemaNode | undefined,
  path: readonly string[],
  result: Comparison,
): void {
  if (before === undefined && after === undefined) return;
  if (before === undefined || after === undefined) {
    const set = before === undefined ? result.added : result.removed;
    const value = before === undefined ? after : before;
    set.insert(path);
    insertAll(value, schema, path, set);
    return;
  }
  const left = shapeOf(schema, before);
  const right = shapeOf(schema, after);
  if (left.type === 'map' && right.type === 'map') {
    compareMaps(before as JsonObject, after as JsonObject, schema, path, result);
    return;
  }
  if (left.type === 'list' && right.type === 'list') {
    if (compareLists(before as unknown[], after as unknown[], right, path, result)) return;
  }
  if (equalJson(before, after)) return;
  // A value that changed its nature: what stood below it is gone.
  insertAll(before, schema, path, result.removed);
  insertAll(after, schema, path, result.added);
  result.modified.insert(path);
}

function insertAll(
  value: unknown,
  schema: SchemaNode | undefined,
  path: readonly string[],
  set: FieldSet,
): void {
  const shape = shapeOf(schema, value);
  if (shape.type === 'map') {
    for (const [name, item] of Object.entries(value as JsonObject)) {
      if (item === undefined) continue;
      const at = [...path, `f:${name}`];
      set.insert(at);
      insertAll(item, shape.field(name), at, set);
    }
  } else if (shape.type === 'list') {
    for (const [key, item] of itemsByKey(value as unknown[], shape.keyOf) ?? []) {
      const at = [...path, key];
      set.insert(at);
      insertAll(item, shape.element, at, set);
    }
  }
}

/** False when an item key stands twice in either list: the lists are then compared as wholes. */
function compareLists(
  before: readonly unknown[],
  after: readonly unknown[],
  shape: Shape & { type: 'list' },
  path: readonly string[],
  result: Comparison,
): boolean {
  const left = itemsByKey(before, shape.keyOf);
  const right = itemsByKey(after, shape.keyOf);
  if (!left || !right) return false;
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    compareAny(left.get(key), right.get(key), shape.element, [...path, key], result);
  }
  return true;
}
