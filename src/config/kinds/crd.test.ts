import { expect, test } from 'vitest';
import type { ConfigObject } from '../object.ts';
import { admitSchema } from '../schema/admit-schema.ts';
import { createBuiltInRegistry } from './built-in-kinds.ts';
import { kindFromCrd, validateCrd } from './crd.ts';

function crd(schema: object, more: object = {}): ConfigObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'crontabs.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { kind: 'CronTab', plural: 'crontabs', shortNames: ['ct'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: { status: {} },
        },
      ],
      ...more,
    },
  };
}

const good = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['schedule'],
      properties: {
        schedule: { type: 'string', pattern: '^(\\S+ ){4}\\S+$' },
        replicas: { type: 'integer', minimum: 0, default: 1 },
      },
      'x-kubernetes-validations': [{ rule: 'self.replicas < 10', message: 'too many' }],
    },
  },
};

test('a user’s kind is served, defaulted and checked', () => {
  const registry = createBuiltInRegistry();
  const definition = crd(good);
  expect(validateCrd(definition)).toEqual([]);
  registry.define(kindFromCrd(definition));
  const found = registry.byResource('example.com', 'v1', 'crontabs');
  if (!found) throw new Error('the kind is not there');
  const object = (spec: object) => ({
    apiVersion: 'example.com/v1',
    kind: 'CronTab',
    metadata: { name: 'a' },
    spec,
  });
  const admit = (spec: object) => admitSchema({ ...found, object: object(spec), old: undefined });
  expect(admit({ schedule: '* * * * 5' }).object.spec).toEqual({ schedule: '* * * * 5', replicas: 1 });
  expect(admit({ schedule: 'x', replicas: 11 }).issues.map((issue) => issue.path)).toEqual(['spec.schedule']);
  expect(admit({ schedule: '* * * * 5', replicas: 11 }).issues.map((issue) => issue.message)).toEqual([
    'too many',
  ]);
  expect(found.version.statusSubresource).toBe(true);
  registry.remove('example.com', 'crontabs');
  expect(registry.byKind('example.com', 'CronTab')).toBeUndefined();
});

const root = 'spec.versions[0].schema.openAPIV3Schema';
const inSpec = (spec: object) => ({ type: 'object', properties: { spec } });

test.each<[string, object, string]>([
  ['no type', inSpec({}), `${root}.properties.spec.type`],
  ['unknown type', inSpec({ type: 'strin' }), `${root}.properties.spec.type`],
  ['a list without items', inSpec({ type: 'array' }), `${root}.properties.spec.items`],
  [
    'a reference',
    inSpec({ type: 'object', $ref: '#/x' }),
    `${root}.properties.spec[$ref]`.replace('[$ref]', '.$ref'),
  ],
  ['a bad pattern', inSpec({ type: 'string', pattern: '(?=x)' }), `${root}.properties.spec.pattern`],
  ['a bad default', inSpec({ type: 'integer', default: 'x' }), `${root}.properties.spec.default`],
  [
    'a rule on a field that is not there',
    inSpec({ type: 'object', properties: {}, 'x-kubernetes-validations': [{ rule: 'self.nope' }] }),
    `${root}.properties.spec.x-kubernetes-validations[0].rule`,
  ],
  [
    'a list key that may be absent',
    inSpec({
      type: 'array',
      items: { type: 'object', properties: { a: { type: 'string' } } },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a'],
    }),
    `${root}.properties.spec.x-kubernetes-list-map-keys[0]`,
  ],
  [
    'a type inside anyOf',
    inSpec({ type: 'object', anyOf: [{ type: 'object' }] }),
    `${root}.properties.spec.anyOf[0].type`,
  ],
  ['a root that is no object', { type: 'string' }, `${root}.type`],
])('%s is refused', (_, schema, path) => {
  expect(validateCrd(crd(schema)).map((issue) => issue.path)).toContain(path);
});

test('names, versions and conversion are checked', () => {
  const definition = crd(good, {
    group: 'nodots',
    versions: [
      { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: good } },
      { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: good } },
    ],
    conversion: { strategy: 'Webhook' },
  });
  expect(validateCrd(definition).map((issue) => issue.path)).toEqual([
    'metadata.name',
    'spec.group',
    'spec.conversion.strategy',
    'spec.versions',
    'spec.versions[1].name',
  ]);
});
