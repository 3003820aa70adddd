import type { SchemaNode } from '../../schema/schema-node.ts';

// Words for writing the schemas of built-in kinds compactly, with the list types that server-side apply needs and the merge
// keys of strategic merge patch.

export const string: SchemaNode = { type: 'string' };
export const boolean: SchemaNode = { type: 'boolean' };
export const int32: SchemaNode = { type: 'integer', format: 'int32' };
export const int64: SchemaNode = { type: 'integer', format: 'int64' };
export const time: SchemaNode = { type: 'string', format: 'date-time', nullable: true };
export const bytes: SchemaNode = { type: 'string', format: 'byte' };
export const intOrString: SchemaNode = { 'x-kubernetes-int-or-string': true };
export const strings: SchemaNode = { type: 'object', additionalProperties: string };
/** A quantity may be written as a number. */
export const quantities: SchemaNode = { type: 'object', additionalProperties: intOrString };
/** An object that is kept as it is. */
export const anyObject: SchemaNode = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

export function object(properties: Record<string, SchemaNode>, ...required: string[]): SchemaNode {
  return { type: 'object', properties, ...(required.length > 0 && { required }) };
}

/** As `object`, but unknown fields stay too. */
export function openObject(properties: Record<string, SchemaNode>, ...required: string[]): SchemaNode {
  return { ...object(properties, ...required), 'x-kubernetes-preserve-unknown-fields': true };
}

/** One of the given words; `''` is among them only where given. */
export function oneOf(...values: string[]): SchemaNode {
  return { type: 'string', enum: values };
}

export function withDefault(schema: SchemaNode, value: unknown): SchemaNode {
  return { ...schema, default: value };
}

export function list(items: SchemaNode): SchemaNode {
  return { type: 'array', items, 'x-kubernetes-list-type': 'atomic' };
}

/** A list of different values, merged by strategic merge. */
export function set(items: SchemaNode): SchemaNode {
  return { type: 'array', items, 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' };
}

/** A list whose items are known by keys. The first key is strategic merge's, unless `patchKey` says otherwise. */
export function mapList(keys: readonly string[], items: SchemaNode, patchKey?: string): SchemaNode {
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': [...keys],
    'x-kubernetes-patch-strategy': 'merge',
    'x-kubernetes-patch-merge-key': patchKey ?? keys[0] ?? 'name',
  };
}

/** A list that strategic merge knows by a key, while server-side apply takes it whole. */
export function patchList(key: string, items: SchemaNode): SchemaNode {
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'atomic',
    'x-kubernetes-patch-strategy': 'merge',
    'x-kubernetes-patch-merge-key': key,
  };
}

export const conditions = mapList(
  ['type'],
  openObject(
    {
      type: string,
      status: string,
      reason: string,
      message: string,
      lastTransitionTime: time,
      observedGeneration: int64,
    },
    'type',
    'status',
  ),
);

export const labelSelector: SchemaNode = {
  ...object({
    matchLabels: strings,
    matchExpressions: list(
      object({ key: string, operator: string, values: list(string) }, 'key', 'operator'),
    ),
  }),
  'x-kubernetes-map-type': 'atomic',
};

export const localReference: SchemaNode = { ...object({ name: string }), 'x-kubernetes-map-type': 'atomic' };

export const objectReference: SchemaNode = {
  ...object({
    apiVersion: string,
    kind: string,
    namespace: string,
    name: string,
    uid: string,
    resourceVersion: string,
    fieldPath: string,
  }),
  'x-kubernetes-map-type': 'atomic',
};
