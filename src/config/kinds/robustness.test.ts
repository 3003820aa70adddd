import { expect, test } from 'vitest';
import { fc } from '../../../test/support/properties.ts';
import type { ConfigObject } from '../object.ts';
import { admitSchema } from '../schema/admit-schema.ts';
import type { SchemaNode } from '../schema/schema-node.ts';
import { builtInKinds } from './built-in-kinds.ts';

// Rules must never throw, whatever an object says: values are made from each kind's schema, so that most of them get past it.

const text = fc.oneof(
  fc.constantFrom(
    '',
    '*',
    'a',
    'a.b.c',
    '*.a.com',
    'ns/name',
    './*',
    '10.0.0.1',
    '10.0.0.0/8',
    '::1',
    'unix:///x',
    '5s',
    '0s',
  ),
  fc.constantFrom(
    'http',
    'HTTPS',
    'mesh',
    '~',
    '%',
    '%A(',
    '{**}',
    '(?',
    'https://a/b',
    'a/b/c/d',
    '$(HOST_IP):1',
    '1e400',
  ),
  fc.string({ maxLength: 12 }),
);

function valuesOf(schema: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema['x-kubernetes-int-or-string']) return fc.oneof(fc.integer(), text);
  switch (schema.type) {
    case 'string':
      return text;
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({
        min: Math.max(schema.minimum ?? -2, -2),
        max: Math.min(schema.maximum ?? 70_000, 70_000),
      });
    case 'number':
      return fc.double({ noNaN: true, min: -1, max: 200 });
    case 'array':
      return depth > 9
        ? fc.constant([])
        : fc.array(valuesOf(schema.items ?? {}, depth + 1), { maxLength: 2 });
    case 'object':
      return objectOf(schema, depth);
    default:
      return fc.jsonValue({ maxDepth: 1 });
  }
}

function objectOf(schema: SchemaNode, depth: number): fc.Arbitrary<unknown> {
  if (typeof schema.additionalProperties === 'object')
    return fc.dictionary(text, valuesOf(schema.additionalProperties, depth + 1), { maxKeys: 2 });
  if (!schema.properties || depth > 9) return fc.constant({});
  const fields = Object.entries(schema.properties).map(([name, child]) => {
    const value = valuesOf(child, depth + 1);
    const required = schema.required?.includes(name);
    return [name, required ? value : fc.option(value, { nil: undefined, freq: 2 })] as const;
  });
  return fc
    .record(Object.fromEntries(fields))
    .map((record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)));
}

const kinds = builtInKinds().filter((kind) => kind.validate);

test.each(kinds.map((kind) => [kind.kind, kind] as const))(
  '%s: no value makes the rules throw',
  (_, kind) => {
    const version = kind.versions[0];
    if (!version) throw new Error('no version');
    const schema = version.schema as SchemaNode;
    const fields = { ...schema, properties: { ...schema.properties } };
    delete fields.properties.status;
    let accepted = 0;
    fc.assert(
      fc.property(valuesOf(fields, 0), (made) => {
        const object = {
          ...(made as object),
          apiVersion: kind.group === '' ? version.name : `${kind.group}/${version.name}`,
          kind: kind.kind,
          metadata: { name: 'x', namespace: 'ns' },
        } as ConfigObject;
        const before = JSON.stringify(object);
        const verdict = admitSchema({ kind, version, object, old: undefined });
        if (!verdict.issues.some((issue) => issue.severity === 'error')) {
          accepted++;
          kind.validate?.(verdict.object);
        }
        expect(JSON.stringify(object)).toBe(before);
      }),
      { numRuns: 300 },
    );
    // Otherwise the property says nothing.
    expect(accepted).toBeGreaterThan(0);
  },
);

test.each(kinds.map((kind) => [kind.kind, kind] as const))(
  '%s: no JSON makes the schema throw',
  (_, kind) => {
    const version = kind.versions[0];
    if (!version) throw new Error('no version');
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 3 }), (spec, metadata) => {
        const object = { apiVersion: 'v1', kind: kind.kind, metadata, spec } as unknown as ConfigObject;
        admitSchema({ kind, version, object, old: undefined });
      }),
      { numRuns: 100 },
    );
  },
);
