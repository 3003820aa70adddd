import { canonicalJson, hasKey, isObject, type JsonObject } from '../../../kit/json.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';

/**
 * How server-side apply sees a value: what its parts are called and who may own them. From `x-kubernetes-list-type`,
 * `-list-map-keys` and `-map-type`, with Kubernetes' defaults: lists are atomic, maps granular, values without a schema
 * are judged by what they are.
 */
export type Shape =
  | { type: 'scalar' }
  | { type: 'atomic' }
  | { type: 'map'; field: (name: string) => SchemaNode | undefined; isNamed: (name: string) => boolean }
  | { type: 'list'; element: SchemaNode | undefined; keyOf: (item: unknown) => string };

const scalar: Shape = { type: 'scalar' };
const atomic: Shape = { type: 'atomic' };

export function shapeOf(schema: SchemaNode | undefined, value: unknown): Shape {
  if (Array.isArray(value)) return listShape(schema);
  if (isObject(value)) return mapShape(schema);
  return scalar;
}

function mapShape(schema: SchemaNode | undefined): Shape {
  if (schema?.['x-kubernetes-map-type'] === 'atomic') return atomic;
  const properties = schema?.properties;
  const additional =
    typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const isNamed = (name: string) => properties !== undefined && hasKey(properties as JsonObject, name);
  return { type: 'map', isNamed, field: (name) => (isNamed(name) ? properties?.[name] : additional) };
}

function listShape(schema: SchemaNode | undefined): Shape {
  const element = schema?.items;
  const keys = mergeKeys(schema);
  if (keys) return { type: 'list', element, keyOf: (item) => mapItemKey(item, keys, element) };
  if (isSet(schema)) return { type: 'list', element, keyOf: (item) => `v:${canonicalJson(item)}` };
  return atomic;
}

function isSet(schema: SchemaNode | undefined): boolean {
  return schema?.['x-kubernetes-list-type'] === 'set';
}

/** The fields that tell the items of an associative list apart. */
export function mergeKeys(schema: SchemaNode | undefined): readonly string[] | undefined {
  if (!schema) return undefined;
  if (schema['x-kubernetes-list-type'] === 'map') return schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== undefined) return undefined;
  const key = schema['x-kubernetes-patch-merge-key'];
  return key !== undefined && schema['x-kubernetes-patch-strategy']?.split(',').includes('merge')
    ? [key]
    : undefined;
}

function mapItemKey(item: unknown, keys: readonly string[], element: SchemaNode | undefined): string {
  const values: JsonObject = {};
  for (const key of keys) {
    const value = isObject(item) && hasKey(item, key) ? item[key] : element?.properties?.[key]?.default;
    if (value !== undefined) values[key] = value;
  }
  return `k:${canonicalJson(values)}`;
}

/** Items by key. A list that holds a key twice cannot be owned by item: undefined. */
export function itemsByKey(
  list: readonly unknown[],
  keyOf: (item: unknown) => string,
): Map<string, unknown> | undefined {
  const items = new Map<string, unknown>();
  for (const item of list) {
    const key = keyOf(item);
    if (items.has(key)) return undefined;
    items.set(key, item);
  }
  return items;
}
