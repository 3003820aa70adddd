import { describe, expect, test } from 'vitest';
import { compileSchema } from './compile-schema.ts';
import type { SchemaNode } from './schema-node.ts';

const meta = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'x' } };

function schemaOf(spec: SchemaNode) {
  return compileSchema({ type: 'object', properties: { spec } });
}

function issues(spec: SchemaNode, value: unknown, old?: unknown) {
  const found = schemaOf(spec).validate(
    { ...meta, spec: value },
    old === undefined ? undefined : { ...meta, spec: old },
  );
  return found.map(({ path, code, message }) => `${path} ${code}: ${message}`);
}

describe('validation', () => {
  const string: SchemaNode = { type: 'string' };

  test.each<[string, SchemaNode, unknown, string]>([
    ['wrong type', string, 5, 'spec FieldValueTypeInvalid: must be a string, but is an integer (5)'],
    ['null', string, null, 'spec FieldValueTypeInvalid: must be a string, but is null'],
    [
      'enum',
      { type: 'string', enum: ['A', 'B'] },
      'C',
      'spec FieldValueNotSupported: "C" is not supported; use one of "A", "B"',
    ],
    [
      'minimum',
      { type: 'integer', minimum: 1 },
      0,
      'spec FieldValueInvalid: 0 is too small: it must be at least 1',
    ],
    [
      'int32',
      { type: 'integer', format: 'int32' },
      2 ** 31,
      'spec FieldValueInvalid: 2147483648 does not fit into int32',
    ],
    [
      'fraction',
      { type: 'integer' },
      1.5,
      'spec FieldValueTypeInvalid: must be an integer, but is a number (1.5)',
    ],
    [
      'int or string',
      { 'x-kubernetes-int-or-string': true },
      true,
      'spec FieldValueTypeInvalid: must be an integer or a string, but is a boolean (true)',
    ],
    [
      'RE2 flags',
      { type: 'string', pattern: '^(?i)ab$' },
      'AC',
      'spec FieldValueInvalid: "AC" does not match ^(?i)ab$',
    ],
    [
      'code points',
      { type: 'string', maxLength: 1 },
      '😀😀',
      'spec FieldValueTooLong: must have at most 1 characters',
    ],
    [
      'format',
      { type: 'string', format: 'date-time' },
      '2024-13-01T00:00:00Z',
      'spec FieldValueInvalid: "2024-13-01T00:00:00Z" is not a date-time',
    ],
    [
      'required',
      { type: 'object', required: ['a'], properties: { a: string } },
      {},
      'spec.a FieldValueRequired: is required',
    ],
    [
      'items',
      { type: 'array', items: string },
      ['a', 1],
      'spec[1] FieldValueTypeInvalid: must be a string, but is an integer (1)',
    ],
    [
      'map values',
      { type: 'object', additionalProperties: string },
      { 'a.b/c': 1 },
      'spec[a.b/c] FieldValueTypeInvalid: must be a string, but is an integer (1)',
    ],
    [
      'set',
      { type: 'array', items: string, 'x-kubernetes-list-type': 'set' },
      ['a', 'a'],
      'spec[1] FieldValueDuplicate: "a" is in the list twice; remove one',
    ],
    [
      'too many items',
      { type: 'array', items: string, maxItems: 1 },
      ['a', 'b'],
      'spec FieldValueTooMany: must have at most 1 item, but has 2',
    ],
  ])('%s', (_, schema, value, complaint) => {
    expect(issues(schema, value)).toEqual([complaint]);
  });

  test('items of a map list are known by their keys, defaults included', () => {
    const schema: SchemaNode = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      items: {
        type: 'object',
        properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
      },
    };
    expect(issues(schema, [{ port: 1 }, { port: 1, protocol: 'UDP' }])).toEqual([]);
    expect(issues(schema, [{ port: 1 }, { port: 1, protocol: 'TCP' }])).toEqual([
      'spec[1] FieldValueDuplicate: another item has the same port 1, protocol "TCP"',
    ]);
  });

  test('oneOf names the fields that exclude each other', () => {
    const schema: SchemaNode = {
      type: 'object',
      properties: { a: string, b: string },
      oneOf: [
        { not: { anyOf: [{ required: ['a'] }, { required: ['b'] }] } },
        { required: ['a'] },
        { required: ['b'] },
      ],
    };
    expect(issues(schema, {})).toEqual([]);
    expect(issues(schema, { a: '' })).toEqual([]);
    expect(issues(schema, { a: '', b: '' })).toEqual(['spec FieldValueInvalid: set only one of a, b']);
  });

  test('complaints are collected, and bounded', () => {
    const schema: SchemaNode = { type: 'array', items: string };
    expect(issues(schema, [1, 2, 3])).toHaveLength(3);
    expect(issues(schema, new Array(1000).fill(1))).toHaveLength(100);
  });

  test('metadata is checked for every kind', () => {
    const found = schemaOf({ type: 'object' }).validate({
      ...meta,
      metadata: { name: 'x', labels: { a: 1 } },
    });
    expect(found.map((issue) => issue.path)).toEqual(['metadata.labels.a']);
  });
});

describe('pruning', () => {
  const schema: SchemaNode = {
    type: 'object',
    properties: {
      known: { type: 'object', properties: { x: { type: 'string' } } },
      open: {
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        properties: { inner: { type: 'object' } },
      },
      map: {
        type: 'object',
        additionalProperties: { type: 'object', properties: { y: { type: 'string' } } },
      },
      list: { type: 'array', items: { type: 'object', properties: { z: { type: 'string' } } } },
    },
  };

  test('drops and names what the schema does not know, at every level', () => {
    const object = {
      ...meta,
      metadata: { name: 'x', foo: 1 },
      extra: 1,
      spec: {
        known: { x: 'a', y: 1 },
        open: { anything: { goes: 1 }, inner: { not: 1 } },
        map: { k: { y: 'b', z: 1 } },
        list: [{ z: 'c' }, { q: 1 }],
      },
    };
    const before = structuredClone(object);
    const { value, unknown } = schemaOf(schema).prune(object);
    expect(unknown).toEqual([
      'metadata.foo',
      'extra',
      'spec.known.y',
      'spec.open.inner.not',
      'spec.map.k.z',
      'spec.list[1].q',
    ]);
    expect(value).toEqual({
      ...meta,
      spec: {
        known: { x: 'a' },
        open: { anything: { goes: 1 }, inner: {} },
        map: { k: { y: 'b' } },
        list: [{ z: 'c' }, {}],
      },
    });
    expect(object).toEqual(before);
  });

  test('an object without unknown fields stays the same object', () => {
    const object = { ...meta, spec: { known: { x: 'a' } } };
    expect(schemaOf(schema).prune(object).value).toBe(object);
    expect(schemaOf(schema).applyDefaults(object)).toBe(object);
  });

  test('a key named __proto__ changes no prototype', () => {
    const object = JSON.parse(
      '{"apiVersion":"v1","kind":"T","metadata":{},"spec":{"known":{"__proto__":{"a":1}}}}',
    );
    const { value, unknown } = schemaOf(schema).prune(object);
    expect(unknown).toEqual(['spec.known.__proto__']);
    expect(Object.getPrototypeOf((value as { spec: { known: object } }).spec.known)).toBe(Object.prototype);
  });
});

describe('defaults', () => {
  const schema: SchemaNode = {
    type: 'object',
    properties: {
      mode: { type: 'string', default: 'A' },
      nested: { type: 'object', default: {}, properties: { port: { type: 'integer', default: 80 } } },
      nullable: { type: 'string', nullable: true },
      plain: { type: 'string' },
      list: { type: 'array', items: { type: 'object', properties: { k: { type: 'string', default: 'v' } } } },
    },
  };
  const filled = (spec: unknown) =>
    (schemaOf(schema).applyDefaults({ ...meta, spec }) as { spec: unknown }).spec;

  test('are filled in at every level', () => {
    expect(filled({ list: [{}] })).toEqual({ mode: 'A', nested: { port: 80 }, list: [{ k: 'v' }] });
  });

  test('nulls that the schema does not allow count as absent', () => {
    expect(filled({ mode: null, plain: null, nullable: null })).toEqual({
      mode: 'A',
      nested: { port: 80 },
      nullable: null,
    });
  });

  test('are copies', () => {
    const first = filled({}) as { nested: { port: number } };
    first.nested.port = 1;
    expect(filled({})).toEqual({ mode: 'A', nested: { port: 80 } });
  });
});

describe('rules', () => {
  const rule = (text: string, more = {}): SchemaNode => ({
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'integer' } },
    'x-kubernetes-validations': [{ rule: text, ...more }],
  });

  test('give their message, reason and place', () => {
    const schema = rule('self.a <= self.b', {
      message: 'a must not exceed b',
      reason: 'FieldValueForbidden',
      fieldPath: '.a',
    });
    expect(issues(schema, { a: 1, b: 2 })).toEqual([]);
    expect(issues(schema, { a: 3, b: 2 })).toEqual(['spec.a FieldValueForbidden: a must not exceed b']);
  });

  test('messages may be computed', () => {
    const schema = rule('self.a <= self.b', {
      message: 'plain',
      messageExpression: '"a is " + string(self.a)',
    });
    expect(issues(schema, { a: 3, b: 2 })).toEqual(['spec FieldValueInvalid: a is 3']);
  });

  test('transition rules run on updates only', () => {
    const schema = rule('self.a == oldSelf.a', { message: 'a is immutable' });
    expect(issues(schema, { a: 1 })).toEqual([]);
    expect(issues(schema, { a: 1 }, { a: 1 })).toEqual([]);
    expect(issues(schema, { a: 1 }, { a: 2 })).toEqual(['spec FieldValueInvalid: a is immutable']);
  });

  test('optionalOldSelf runs always', () => {
    const schema = rule('oldSelf.hasValue() || self.a == 0', {
      optionalOldSelf: true,
      message: 'must start at 0',
    });
    expect(issues(schema, { a: 1 })).toEqual(['spec FieldValueInvalid: must start at 0']);
    expect(issues(schema, { a: 1 }, { a: 0 })).toEqual([]);
  });

  test('old items of map lists are found by key', () => {
    const schema: SchemaNode = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, v: { type: 'integer' } },
        'x-kubernetes-validations': [{ rule: 'self.v >= oldSelf.v', message: 'v only grows' }],
      },
    };
    const old = [
      { name: 'a', v: 5 },
      { name: 'b', v: 1 },
    ];
    expect(
      issues(
        schema,
        [
          { name: 'b', v: 1 },
          { name: 'a', v: 4 },
        ],
        old,
      ),
    ).toEqual(['spec[1] FieldValueInvalid: v only grows']);
  });

  test('run only once types are right', () => {
    expect(issues(rule('self.a > 1'), { a: 'x' })).toEqual([
      'spec.a FieldValueTypeInvalid: must be an integer, but is a string ("x")',
    ]);
  });

  test('too much work is refused long before it is done', () => {
    const schema: SchemaNode = {
      type: 'array',
      items: { type: 'string' },
      'x-kubernetes-validations': [{ rule: 'self.all(a, self.all(b, self.all(c, a + b + c != "")))' }],
    };
    // All of it would be a thousand million steps.
    const found = issues(schema, new Array(1000).fill('x'));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('more work than allowed');
  });
});
