import type { SchemaNode } from './schema-node.ts';

/** A JSON schema (draft 7), as editors and checkers read it. */
export type JsonSchema = { readonly [key: string]: unknown };

const copied = [
  'description',
  'default',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'minimum',
  'maximum',
  'multipleOf',
  'uniqueItems',
  'required',
] as const;

/**
 * A structural schema (OpenAPI v3 as Kubernetes uses it) as a JSON schema that says the same of a text: fields that it does not know are
 * refused, `nullable` and `x-kubernetes-int-or-string` become types. CEL rules have no counterpart.
 */
export function toJsonSchema(node: SchemaNode): JsonSchema {
  const result: Record<string, unknown> = {};
  for (const key of copied) if (node[key] !== undefined) result[key] = node[key];
  const type = typeOf(node);
  if (type !== undefined) result.type = type;
  if (node.exclusiveMinimum && node.minimum !== undefined) {
    result.exclusiveMinimum = node.minimum;
    delete result.minimum;
  }
  if (node.exclusiveMaximum && node.maximum !== undefined) {
    result.exclusiveMaximum = node.maximum;
    delete result.maximum;
  }
  if (node.properties) result.properties = mapValues(node.properties, toJsonSchema);
  if (node.items) result.items = toJsonSchema(node.items);
  if (typeof node.additionalProperties === 'object')
    result.additionalProperties = toJsonSchema(node.additionalProperties);
  else if (node.properties && !node['x-kubernetes-preserve-unknown-fields'])
    result.additionalProperties = node.additionalProperties ?? false;
  // What stands in these says more of the fields above, and knows no fields of its own.
  for (const key of ['allOf', 'anyOf', 'oneOf'] as const)
    if (node[key]) result[key] = node[key].map(constraint);
  if (node.not) result.not = constraint(node.not);
  return result;
}

function constraint(node: SchemaNode): JsonSchema {
  const { additionalProperties: _, ...rest } = toJsonSchema(node);
  const properties = node.properties && mapValues(node.properties, constraint);
  return { ...rest, ...(properties ? { properties } : {}) };
}

function typeOf(node: SchemaNode): unknown {
  if (node['x-kubernetes-int-or-string']) return ['integer', 'string'];
  if (node.type === undefined) return undefined;
  return node.nullable ? [node.type, 'null'] : node.type;
}

function mapValues<T>(fields: Readonly<Record<string, SchemaNode>>, map: (node: SchemaNode) => T) {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, map(field)]));
}
