import type { SchemaNode } from '../schema/schema-node.ts';
import { parseDuration, parseTimestamp } from './time.ts';
import { CelObject, type CelValue, Timestamp } from './value.ts';

const RESERVED =
  /^__(true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while)__$/;

/** A JSON value as a CEL value, with the types that its schema gives it. `undefined` stays undefined. */
export function fromJson(value: unknown, schema: SchemaNode | undefined): CelValue | undefined {
  if (value === undefined) return undefined;
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return fromString(value, schema?.format);
  if (typeof value === 'number')
    return schema?.type === 'number' || !Number.isInteger(value) ? value : BigInt(value);
  if (Array.isArray(value)) return value.map((item) => fromJson(item, schema?.items) ?? null);
  if (typeof value !== 'object') return undefined;
  const record = value as Record<string, unknown>;
  if (schema?.properties || schema?.['x-kubernetes-embedded-resource']) return new CelObject(record, schema);
  const values = typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const map = new Map<CelValue, CelValue>();
  for (const key of Object.keys(record)) map.set(key, fromJson(record[key], values) ?? null);
  return map;
}

function fromString(text: string, format: string | undefined): CelValue {
  switch (format) {
    case 'duration':
      return parseDuration(text) ?? text;
    case 'date-time':
      return parseTimestamp(text) ?? text;
    case 'date': {
      const midnight = parseTimestamp(`${text}T00:00:00Z`);
      return midnight ? new Timestamp(midnight.nanos) : text;
    }
    case 'byte':
      return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    default:
      return text;
  }
}

/** The property that an identifier of a rule stands for: `__dash__` and the like, and reserved words, are escaped. */
export function unescapeProperty(name: string): string {
  if (!name.includes('__')) return name;
  if (RESERVED.test(name)) return name.slice(2, -2);
  return name.replace(
    /__(underscores|dot|dash|slash)__/g,
    (_, word: string) => ({ underscores: '__', dot: '.', dash: '-', slash: '/' })[word] ?? '',
  );
}

/** A field of an object: its value (undefined: absent), or `undeclared` where the schema has no such field. */
export function readField(
  object: CelObject,
  property: string,
): { declared: boolean; value: CelValue | undefined } {
  const schema = object.schema.properties?.[property] ?? implicit(object.schema, property);
  if (!schema) return { declared: false, value: undefined };
  const raw = Object.hasOwn(object.raw, property) ? object.raw[property] : undefined;
  // A null that the schema does not allow counts as absent.
  return { declared: true, value: raw === null && !schema.nullable ? undefined : fromJson(raw, schema) };
}

/** What every resource has without its schema saying so. */
function implicit(schema: SchemaNode, property: string): SchemaNode | undefined {
  if (!schema['x-kubernetes-embedded-resource']) return undefined;
  if (property === 'metadata')
    return { type: 'object', properties: { name: { type: 'string' }, generateName: { type: 'string' } } };
  return property === 'apiVersion' || property === 'kind' ? { type: 'string' } : undefined;
}
