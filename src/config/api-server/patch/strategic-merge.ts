import { canonicalJson, equalJson, hasKey, isObject, type JsonObject, setKey } from '../../../kit/json.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { mergeKeys } from '../apply/shape.ts';
import { badRequest } from '../status.ts';
import { wellKnownMergeKey } from './well-known-merge-keys.ts';

const setOrder = '$setElementOrder/';
const deletePrimitives = '$deleteFromPrimitiveList/';

/**
 * Strategic merge patch (Kubernetes' community document "strategic-merge-patch"): lists of the object's own kinds are merged
 * by the keys that the schema names, and `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` direct it.
 */
export function applyStrategicMerge(
  target: unknown,
  patch: unknown,
  schema: SchemaNode | undefined,
  kind: string,
): unknown {
  if (!isObject(patch)) throw badRequest('a strategic merge patch is a JSON object');
  return mergeMap(isObject(target) ? target : {}, patch, schema, kind);
}

function mergeMap(
  target: JsonObject,
  patch: JsonObject,
  schema: SchemaNode | undefined,
  kind: string,
): JsonObject {
  const directive = patch.$patch;
  if (directive === 'replace') return withoutDirectives(patch) as JsonObject;
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') {
    throw badRequest(`$patch: unknown directive ${JSON.stringify(directive)}: use merge, replace or delete`);
  }
  const result = retainKeys(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(deletePrimitives)) continue;
    const field = key.slice(deletePrimitives.length);
    const list = result[field];
    if (!Array.isArray(value)) throw badRequest(`${key}: must be a list`);
    if (Array.isArray(list))
      result[field] = list.filter((item) => !value.some((gone) => equalJson(gone, item)));
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    mergeField(result, key, value, patch[setOrder + key], fieldSchema(schema, key), kind);
  }
  orderOnly(result, patch, schema, kind);
  return result;
}

function mergeField(
  result: JsonObject,
  key: string,
  value: unknown,
  order: unknown,
  schema: SchemaNode | undefined,
  kind: string,
): void {
  if (value === null) {
    delete result[key];
    return;
  }
  const before = hasKey(result, key) ? result[key] : undefined;
  const replaces = schema?.['x-kubernetes-patch-strategy']?.split(',').includes('replace') ?? false;
  if (isObject(value) && isObject(before) && !replaces)
    setKey(result, key, mergeMap(before, value, schema, kind));
  else if (Array.isArray(value)) setKey(result, key, mergeListField(before, value, order, schema, key, kind));
  else setKey(result, key, withoutDirectives(value));
}

function mergeListField(
  before: unknown,
  patch: readonly unknown[],
  order: unknown,
  schema: SchemaNode | undefined,
  field: string,
  kind: string,
): unknown[] {
  const live = Array.isArray(before) ? before : [];
  const how = listStrategy(schema, field, [...live, ...patch], kind);
  if (how === 'replace') return (withoutDirectives(patch) as unknown[]) ?? [];
  if (how === 'set') return orderItems(union(live, patch), live, order ?? patch, canonicalJson);
  const keyOf = (item: unknown) =>
    canonicalJson(how.keys.map((key) => (isObject(item) ? item[key] : undefined)));
  if (patch.some((item) => isObject(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isObject(item) && item.$patch !== undefined)).map(withoutDirectives);
  }
  let result: unknown[] = [...live];
  for (const item of patch) {
    if (!isObject(item)) throw badRequest(`${field}: the items of this list must be objects`);
    const [mainKey] = how.keys;
    if (mainKey !== undefined && !hasKey(item, mainKey)) {
      throw badRequest(`${field}: an item of the patch lacks its merge key "${mainKey}"`);
    }
    const at = result.findIndex((one) => keyOf(one) === keyOf(item));
    if (item.$patch === 'delete') result = result.filter((one) => keyOf(one) !== keyOf(item));
    else if (at < 0) result.push(withoutDirectives(item));
    else result[at] = mergeMap(result[at] as JsonObject, item, schema?.items, kind);
  }
  const own = patch.filter((item) => !(isObject(item) && item.$patch === 'delete'));
  return orderItems(result, live, order ?? own, keyOf);
}

type Strategy = 'replace' | 'set' | { keys: readonly string[] };

function listStrategy(
  schema: SchemaNode | undefined,
  field: string,
  items: readonly unknown[],
  kind: string,
): Strategy {
  const strategy = schema?.['x-kubernetes-patch-strategy'];
  const patchKey = schema?.['x-kubernetes-patch-merge-key'];
  const objects = items.some(isObject);
  if (strategy !== undefined) {
    if (!strategy.split(',').includes('merge')) return 'replace';
    return objects && patchKey !== undefined ? { keys: [patchKey] } : objects ? 'replace' : 'set';
  }
  if (schema?.['x-kubernetes-list-type'] === 'set') return 'set';
  if (schema?.['x-kubernetes-list-type'] === 'atomic') return 'replace';
  const keys = mergeKeys(schema);
  // Patches were written against one merge key: where the list map has several, the first is it (port of port/protocol).
  if (keys?.[0] !== undefined) return { keys: [keys[0]] };
  const known = objects ? wellKnownMergeKey(kind, field, items) : undefined;
  return known === undefined ? 'replace' : { keys: [known] };
}

function union(live: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const result = [...live];
  for (const item of patch) if (!result.some((one) => equalJson(one, item))) result.push(item);
  return result;
}

/** `$setElementOrder/list` may come without the list itself: only the order changes. */
function orderOnly(
  result: JsonObject,
  patch: JsonObject,
  schema: SchemaNode | undefined,
  kind: string,
): void {
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(setOrder)) continue;
    const field = key.slice(setOrder.length);
    const list = result[field];
    if (hasKey(patch, field) || !Array.isArray(list)) continue;
    const how = listStrategy(fieldSchema(schema, field), field, list, kind);
    if (how === 'replace') continue;
    const keys = how === 'set' ? undefined : how.keys;
    const keyOf = (item: unknown) =>
      keys && isObject(item) ? canonicalJson(keys.map((one) => item[one])) : canonicalJson(item);
    result[field] = orderItems(list, list, order, keyOf);
  }
}

/** Items named in `order` take that order; others stay before those that they stood before on the server. Else the named come first. */
function orderItems(
  items: readonly unknown[],
  live: readonly unknown[],
  order: unknown,
  keyOf: (item: unknown) => string,
): unknown[] {
  const wanted = Array.isArray(order) ? order : [];
  const rank = new Map(wanted.map((item, i) => [keyOf(item), i]));
  const position = new Map(live.map((item, i) => [keyOf(item), i]));
  const rankOf = (item: unknown) => rank.get(keyOf(item)) ?? 0;
  const named = items.filter((item) => rank.has(keyOf(item))).sort((a, b) => rankOf(a) - rankOf(b));
  const others = items.filter((item) => !rank.has(keyOf(item)));
  const result: unknown[] = [];
  while (named.length > 0 || others.length > 0) {
    const here = position.get(keyOf(named[0]));
    const other = position.get(keyOf(others[0]));
    const otherFirst = here !== undefined && other !== undefined && other < here;
    result.push(named.length === 0 || (others.length > 0 && otherFirst) ? others.shift() : named.shift());
  }
  return result;
}

function retainKeys(target: JsonObject, patch: JsonObject): JsonObject {
  const keep = patch.$retainKeys;
  if (keep === undefined) return { ...target };
  if (!Array.isArray(keep)) throw badRequest('$retainKeys: must be a list of field names');
  return Object.fromEntries(Object.entries(target).filter(([key]) => keep.includes(key)));
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.filter((item) => !(isObject(item) && item.$patch === 'delete')).map(withoutDirectives);
  }
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    if (!key.startsWith('$') && item !== null) setKey(result, key, withoutDirectives(item));
  }
  return result;
}

function fieldSchema(schema: SchemaNode | undefined, key: string): SchemaNode | undefined {
  const properties = schema?.properties;
  if (properties && hasKey(properties as JsonObject, key)) return properties[key];
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}
