import { crds } from '../../gen/crd/index.js';

/** What this reads of a schema of a CRD. */
export interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly enum?: readonly string[];
}

/** A place in an object: names of fields, keys of maps, indexes of lists. */
export type Place = readonly (string | number)[];

/** `group/Kind` → the schema of its spec, in the version that is stored. */
export const specSchemas: ReadonlyMap<string, SchemaNode> = new Map(
  crds.flatMap(({ group, kind, versions, schemas }) => {
    const stored = versions.find(({ storage }) => storage);
    const spec = stored && (schemas[stored.schema] as SchemaNode | undefined)?.properties?.spec;
    return spec ? [[`${group}/${kind}`, spec] as const] : [];
  }),
);

/** What a node holds: fields by name, elements of a list (`[]`), values of a map (`{}`); undefined: it is a value itself. */
function inner(node: SchemaNode): 'fields' | '[]' | '{}' | undefined {
  if (node.properties && Object.keys(node.properties).length > 0) return 'fields';
  if (node.items) return '[]';
  return typeof node.additionalProperties === 'object' ? '{}' : undefined;
}

/** The paths of all values, with `[]` for every element and `{}` for every value of a map. */
export function fieldsOf(node: SchemaNode, path = 'spec'): string[] {
  switch (inner(node)) {
    case 'fields':
      return Object.entries(node.properties ?? {}).flatMap(([name, one]) => fieldsOf(one, `${path}.${name}`));
    case '[]':
      return fieldsOf(node.items as SchemaNode, `${path}[]`);
    case '{}':
      return fieldsOf(node.additionalProperties as SchemaNode, `${path}{}`);
    default:
      return [path];
  }
}

export interface FieldUse {
  readonly path: string;
  readonly place: Place;
  readonly node: SchemaNode;
  readonly value: unknown;
}

/** The values that an object sets. */
export function usesIn(node: SchemaNode, value: unknown, path = 'spec', place: Place = ['spec']): FieldUse[] {
  const sort = inner(node);
  if (!sort) return [{ path, place, node, value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => {
    if (sort === '[]') return usesIn(node.items as SchemaNode, one, `${path}[]`, [...place, Number(key)]);
    if (sort === '{}')
      return usesIn(node.additionalProperties as SchemaNode, one, `${path}{}`, [...place, key]);
    const field = node.properties?.[key];
    return field ? usesIn(field, one, `${path}.${key}`, [...place, key]) : [];
  });
}

/** A copy with another value at a place; undefined takes it away. */
export function withValue<T>(object: T, place: Place, value: unknown): T {
  const [key, ...rest] = place;
  if (key === undefined) return value as T;
  const copy = (Array.isArray(object) ? [...object] : { ...object }) as Record<string | number, unknown>;
  const changed = withValue(copy[key], rest, value);
  if (changed !== undefined) copy[key] = changed;
  else if (Array.isArray(copy)) copy.splice(Number(key), 1);
  else delete copy[key];
  return copy as T;
}

/** What a value may become so that whoever reads it does something else: nothing, or another value of its type. */
export function alternatives({ node, value }: FieldUse): unknown[] {
  if (typeof value === 'boolean') return [undefined, !value];
  if (typeof value === 'number') return [undefined, value + 1];
  if (typeof value !== 'string') return [undefined];
  if (node.enum) return [undefined, ...node.enum.filter((one) => one !== value)];
  return [undefined, /^\d+(\.\d+)?(ms|s|m|h)$/.test(value) ? '7s' : `${value}x`];
}
