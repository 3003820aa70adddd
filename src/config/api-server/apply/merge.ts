import { hasKey, isObject, type JsonObject, setKey } from '../../../kit/json.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { FieldSet } from './field-set.ts';
import { itemsByKey, type Shape, shapeOf } from './shape.ts';

/** `applied` laid over `live`: maps and associative lists are merged, everything else is replaced. Shares parts with both. */
export function mergeApplied(live: unknown, applied: unknown, schema: SchemaNode | undefined): unknown {
  if (applied === undefined) return live;
  const shape = shapeOf(schema, applied);
  if (shape.type === 'map' && isObject(live)) return mergeMaps(live, applied as JsonObject, shape);
  if (shape.type === 'list' && Array.isArray(live)) return mergeLists(live, applied as unknown[], shape);
  return applied;
}

function mergeMaps(live: JsonObject, applied: JsonObject, shape: Shape & { type: 'map' }): JsonObject {
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(live)) {
    const theirs = hasKey(applied, name) ? applied[name] : undefined;
    setKey(result, name, mergeApplied(value, theirs, shape.field(name)));
  }
  for (const [name, value] of Object.entries(applied)) if (!hasKey(live, name)) setKey(result, name, value);
  return result;
}

/** Items of both keep the applied order; items only in `live` stay where they stood relative to their neighbours. */
function mergeLists(
  live: readonly unknown[],
  applied: readonly unknown[],
  shape: Shape & { type: 'list' },
): unknown[] {
  const left = itemsByKey(live, shape.keyOf);
  const right = itemsByKey(applied, shape.keyOf);
  if (!left || !right) return [...applied];
  const result: unknown[] = [];
  const done = new Set<string>();
  const leftKeys = [...left.keys()];
  const rightKeys = [...right.keys()];
  let l = 0;
  let r = 0;
  while (l < leftKeys.length || r < rightKeys.length) {
    const key = leftKeys[l];
    if (key !== undefined && (done.has(key) || !right.has(key))) {
      if (!done.has(key)) result.push(left.get(key));
      l++;
      continue;
    }
    const theirs = rightKeys[r++];
    if (theirs === undefined) break;
    result.push(mergeApplied(left.get(theirs), right.get(theirs), shape.element));
    done.add(theirs);
  }
  return result;
}

/** The value without the fields of `remove`. A container that loses its last part stays, empty, unless it is named itself. */
export function removeItems(value: unknown, remove: FieldSet, schema: SchemaNode | undefined): unknown {
  const shape = shapeOf(schema, value);
  if (shape.type === 'map') {
    const result: JsonObject = {};
    for (const [name, item] of Object.entries(value as JsonObject)) {
      const kept = removeOne(item, `f:${name}`, remove, shape.field(name));
      if (kept !== undefined) setKey(result, name, kept);
    }
    return result;
  }
  if (shape.type !== 'list') return value;
  return (value as unknown[])
    .map((item) => removeOne(item, shape.keyOf(item), remove, shape.element))
    .filter((item) => item !== undefined);
}

function removeOne(
  item: unknown,
  element: string,
  remove: FieldSet,
  schema: SchemaNode | undefined,
): unknown {
  if (remove.members.has(element)) return undefined;
  const below = remove.children.get(element);
  if (!below || below.empty) return item;
  return removeItems(item, below, schema);
}

/**
 * Adds the named fields of structures that the set only reaches through. A structure nobody owns by itself goes with its last
 * owned field; the keys of maps and the items of lists are owned one by one and need no such help.
 */
export function withNamedParents(set: FieldSet, schema: SchemaNode | undefined): FieldSet {
  const result = new FieldSet();
  for (const member of set.members) result.members.add(member);
  for (const [element, child] of set.children) {
    if (child.empty) continue;
    const below = schemaBelow(schema, element);
    if (below.named) result.members.add(element);
    result.children.set(element, withNamedParents(child, below.schema));
  }
  return result;
}

function schemaBelow(
  schema: SchemaNode | undefined,
  element: string,
): { schema: SchemaNode | undefined; named: boolean } {
  if (!element.startsWith('f:')) return { schema: schema?.items, named: false };
  const name = element.slice(2);
  const property =
    schema?.properties && hasKey(schema.properties as JsonObject, name) ? schema.properties[name] : undefined;
  if (property) return { schema: property, named: true };
  const additional =
    typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  return { schema: additional, named: false };
}
