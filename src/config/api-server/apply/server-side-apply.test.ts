import { describe, expect, test } from 'vitest';
import { fc } from '../../../../test/support/properties.ts';
import { equalJson } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';
import { rootProperties } from '../../schema/metadata-schema.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { compareValues, toFieldSet } from './compare.ts';
import { FieldSet, printPath } from './field-set.ts';
import { decodeManagers, encodeManagers, mergeOldUpdates, recordUpdate } from './managed-fields.ts';
import { applyObject } from './server-side-apply.ts';

const text: SchemaNode = { type: 'string' };
const schema: SchemaNode = {
  type: 'object',
  properties: {
    ...rootProperties,
    spec: {
      type: 'object',
      properties: {
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['port', 'protocol'],
          items: {
            type: 'object',
            properties: {
              port: { type: 'integer' },
              protocol: { ...text, default: 'TCP' },
              name: text,
              target: text,
            },
          },
        },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
        hosts: { type: 'array', items: text },
        selector: { type: 'object', 'x-kubernetes-map-type': 'atomic', additionalProperties: text },
        settings: { type: 'object', additionalProperties: text },
        nested: { type: 'object', properties: { a: text, b: text } },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};

type Spec = Record<string, unknown>;

/** One object under several writers. */
function createSubject() {
  let live: ConfigObject | undefined;
  let second = 0;
  const time = () => `2026-01-01T00:00:${String(second++).padStart(2, '0')}Z`;
  const common = { schema, apiVersion: 'example.com/v1', subresource: '', maxUpdateManagers: 10 };
  const object = (spec: Spec, metadata: Partial<ConfigObject['metadata']> = {}): ConfigObject => ({
    apiVersion: 'example.com/v1',
    kind: 'Thing',
    metadata: { name: 'thing', namespace: 'default', ...metadata },
    spec,
  });
  const keep = (next: ConfigObject, managedFields: ConfigObject['metadata']['managedFields']) => {
    live = { ...next, metadata: { ...next.metadata, ...(managedFields ? { managedFields } : {}) } };
    return live;
  };
  return {
    apply: (
      manager: string,
      spec: Spec,
      options: { force?: boolean; metadata?: Partial<ConfigObject['metadata']> } = {},
    ) => {
      const applied = object(spec, options.metadata);
      const result = applyObject({
        ...common,
        live,
        applied,
        manager,
        force: options.force ?? false,
        time: time(),
      });
      return keep(result.object, result.managedFields);
    },
    update: (manager: string, spec: Spec, metadata: Partial<ConfigObject['metadata']> = {}) => {
      const next = object(spec, metadata);
      return keep(next, recordUpdate({ ...common, live, next, manager, time: time() }));
    },
    spec: () => live?.spec as Spec,
    metadata: () => live?.metadata,
    owner: (manager: string) => live?.metadata.managedFields?.find((one) => one.manager === manager),
    set: (next: ConfigObject) => {
      live = next;
    },
    live: () => live,
  };
}

const conflictsOf = (work: () => unknown): { message: string; fields: string[] } => {
  try {
    work();
  } catch (error) {
    const { status, message } = error as {
      message: string;
      status: { code: number; details: { causes: { field: string; reason: string }[] } };
    };
    expect(status.code).toBe(409);
    expect(status.details.causes.every((cause) => cause.reason === 'FieldManagerConflict')).toBe(true);
    return { message, fields: status.details.causes.map((cause) => cause.field) };
  }
  return { message: '', fields: [] };
};

describe('server-side apply', () => {
  test('an applier owns what it sends', () => {
    const subject = createSubject();
    subject.apply(
      'a',
      {
        ports: [{ port: 80, name: 'http' }],
        tags: ['x'],
        hosts: ['h'],
        selector: { app: 'a' },
        settings: { k: 'v' },
      },
      { metadata: { labels: { l: '1' } } },
    );
    expect(subject.owner('a')).toMatchObject({ operation: 'Apply', apiVersion: 'example.com/v1' });
    expect(subject.owner('a')?.fieldsV1).toEqual({
      'f:metadata': { 'f:labels': { 'f:l': {} } },
      'f:spec': {
        'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {} } },
        'f:tags': { 'v:"x"': {} },
        'f:hosts': {},
        'f:selector': {},
        'f:settings': { 'f:k': {} },
      },
    });
  });

  test('list maps and sets are merged item by item, atomic values whole', () => {
    const subject = createSubject();
    subject.apply('a', { ports: [{ port: 80, name: 'http' }], tags: ['x'], settings: { a: '1' } });
    subject.apply('b', { ports: [{ port: 443, name: 'https' }], tags: ['y'], settings: { b: '2' } });
    expect(subject.spec()).toEqual({
      ports: [
        { port: 80, name: 'http' },
        { port: 443, name: 'https' },
      ],
      tags: ['x', 'y'],
      settings: { a: '1', b: '2' },
    });
    subject.apply('a', { hosts: ['a'], selector: { app: 'a' } });
    expect(
      conflictsOf(() => subject.apply('b', { hosts: ['b'], selector: { app: 'a', v: '1' } })).fields,
    ).toEqual(['.spec.hosts', '.spec.selector']);
  });

  test('what an applier drops goes, unless another owns it', () => {
    const subject = createSubject();
    subject.apply('a', {
      ports: [{ port: 80, name: 'http', target: 't' }, { port: 90 }],
      settings: { a: '1', s: '1' },
      nested: { a: 'x' },
    });
    subject.apply('b', { ports: [{ port: 80, name: 'http' }], settings: { s: '1' } });
    subject.apply('a', { ports: [{ port: 80 }] });
    expect(subject.spec()).toEqual({ ports: [{ port: 80, name: 'http' }], settings: { s: '1' } });
    subject.apply('b', {});
    expect(subject.spec()).toEqual({ ports: [{ port: 80 }] });
    subject.apply('a', {});
    expect(subject.spec()).toEqual({});
  });

  test('what nobody applied stays when its neighbours go', () => {
    const subject = createSubject();
    subject.apply('a', { settings: { a: '1' }, tags: ['x'] });
    subject.update('editor', { settings: { a: '1', e: '2' }, tags: ['x', 'z'] });
    subject.apply('a', {});
    expect(subject.spec()).toEqual({ settings: { e: '2' }, tags: ['z'] });
  });

  test('defaults that nobody owns stay with their item and go with it', () => {
    const subject = createSubject();
    const live = subject.apply('a', { ports: [{ port: 80 }], nested: { a: '1' } });
    // Defaulting after the merge: no one's.
    subject.set({
      ...live,
      spec: { ports: [{ port: 80, protocol: 'TCP' }], nested: { a: '1', b: 'default' } },
    });
    subject.apply('a', { ports: [{ port: 80, name: 'x' }], nested: { a: '2' } });
    expect(subject.spec()).toEqual({
      ports: [{ port: 80, protocol: 'TCP', name: 'x' }],
      nested: { a: '2', b: 'default' },
    });
    subject.apply('a', { nested: { a: '2' } });
    expect(subject.spec()).toEqual({ nested: { a: '2', b: 'default' } });
  });

  test('a conflict names field and holder; force takes the field over', () => {
    const subject = createSubject();
    subject.apply('a', { ports: [{ port: 80, name: 'http' }] });
    subject.update('kubectl-edit', {
      ports: [{ port: 80, name: 'http', target: 'edited' }],
      nested: { a: 'edited' },
    });
    const one = conflictsOf(() => subject.apply('b', { ports: [{ port: 80, name: 'web' }] }));
    expect(one.message).toBe(
      'Apply failed with 1 conflict: conflict with "a": .spec.ports[port=80,protocol="TCP"].name',
    );
    const both = conflictsOf(() =>
      subject.apply('b', { ports: [{ port: 80, name: 'web', target: 'x' }], nested: { a: 'x' } }),
    );
    expect(both.message).toBe(
      'Apply failed with 3 conflicts: conflicts with "a":\n- .spec.ports[port=80,protocol="TCP"].name\n' +
        'conflicts with "kubectl-edit" using example.com/v1 at 2026-01-01T00:00:01Z:\n- .spec.nested.a\n- .spec.ports[port=80,protocol="TCP"].target',
    );
    subject.apply('b', { ports: [{ port: 80, name: 'web' }] }, { force: true });
    expect(subject.spec()).toMatchObject({ ports: [{ name: 'web', target: 'edited' }] });
    expect(subject.owner('a')?.fieldsV1).toEqual({
      'f:spec': { 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {} } } },
    });
  });

  test('equal values are shared without a conflict', () => {
    const subject = createSubject();
    subject.apply('a', { hosts: ['h'], nested: { a: '1' } });
    subject.apply('b', { hosts: ['h'] });
    expect(conflictsOf(() => subject.apply('b', { hosts: ['other'] })).fields).toEqual(['.spec.hosts']);
    subject.apply('a', { nested: { a: '1' } });
    subject.apply('b', { hosts: ['other'] });
    expect(subject.spec()).toEqual({ hosts: ['other'], nested: { a: '1' } });
  });

  test('an update takes over what it changes and nobody keeps what it removes', () => {
    const subject = createSubject();
    subject.apply('a', { hosts: ['h'], nested: { a: '1', b: '2' } });
    subject.update('editor', { hosts: ['changed'], nested: { a: '1' } });
    expect(subject.owner('a')?.fieldsV1).toEqual({ 'f:spec': { 'f:nested': { 'f:a': {} } } });
    expect(subject.owner('editor')?.fieldsV1).toEqual({ 'f:spec': { 'f:hosts': {} } });
  });

  test('a second apply of the same changes nothing, not even the time', () => {
    const subject = createSubject();
    subject.apply('a', { hosts: ['h'], tags: ['x'] });
    const before = subject.live();
    subject.apply('a', { hosts: ['h'], tags: ['x'] });
    expect(subject.live()).toEqual(before);
  });

  test('an object that nobody manages yet belongs to before-first-apply', () => {
    const subject = createSubject();
    subject.set({
      apiVersion: 'example.com/v1',
      kind: 'Thing',
      metadata: { name: 'thing', namespace: 'default' },
      spec: { hosts: ['h'] },
    });
    expect(conflictsOf(() => subject.apply('a', { hosts: ['x'] })).message).toContain(
      'conflict with "before-first-apply"',
    );
    subject.apply('a', { hosts: ['x'] }, { force: true });
    expect(subject.spec()).toEqual({ hosts: ['x'] });
  });

  test('items stand in the order that was applied, others where they stood', () => {
    const subject = createSubject();
    subject.update('u', { ports: [{ port: 1 }, { port: 2 }, { port: 3 }] });
    subject.apply('a', { ports: [{ port: 4 }, { port: 3 }, { port: 2 }] });
    expect((subject.spec().ports as { port: number }[]).map((one) => one.port)).toEqual([1, 4, 3, 2]);
  });

  test('a list with a key twice is replaced whole, and nulls unset', () => {
    const subject = createSubject();
    subject.update('u', { ports: [{ port: 1 }, { port: 1, name: 'again' }] });
    subject.apply('a', { ports: [{ port: 5 }], nested: null }, { force: true });
    expect(subject.spec()).toEqual({ ports: [{ port: 5 }] });
  });
});

test('more than ten updaters become ancient changes', () => {
  const subject = createSubject();
  for (let i = 0; i < 14; i++)
    subject.update(`u${i}`, {
      settings: Object.fromEntries(Array.from({ length: i + 1 }, (_, k) => [`k${k}`, 'v'])),
    });
  const entries = subject.metadata()?.managedFields ?? [];
  expect(entries).toHaveLength(10);
  expect(entries.map((one) => one.manager)).toContain('ancient-changes');
  const managers = decodeManagers(entries) ?? new Map();
  mergeOldUpdates(managers, 10);
  expect(encodeManagers(managers)).toEqual(entries);
});

test('FieldsV1 survives the way there and back; malformed ones are told', () => {
  const fields = {
    'f:a': { '.': {}, 'f:b': {} },
    'f:c': { 'k:{"name":"x"}': { 'f:d': {} }, 'v:"s"': {} },
    'i:0': {},
  };
  expect(FieldSet.fromFieldsV1(fields)?.toFieldsV1()).toEqual(fields);
  expect([...(FieldSet.fromFieldsV1(fields)?.paths() ?? [])].map(printPath).sort()).toEqual([
    '.a',
    '.a.b',
    '.c[="s"]',
    '.c[name="x"].d',
    '[0]',
  ]);
  expect(FieldSet.fromFieldsV1({ x: {} })).toBeUndefined();
  expect(FieldSet.fromFieldsV1({ 'f:a': 1 })).toBeUndefined();
  expect(decodeManagers([{ operation: 'Steal' }])).toBeUndefined();
});

const word = fc.constantFrom('a', 'b', 'c');
const specs = fc.record(
  {
    ports: fc.uniqueArray(fc.record({ port: fc.integer({ min: 1, max: 3 }), name: word }), {
      selector: (one) => one.port,
      maxLength: 3,
    }),
    tags: fc.uniqueArray(word, { maxLength: 3 }),
    hosts: fc.array(word, { maxLength: 2 }),
    selector: fc.dictionary(word, word, { maxKeys: 2 }),
    settings: fc.dictionary(word, word, { maxKeys: 3 }),
    nested: fc.record({ a: word, b: word }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

test('property: forced applies make true what each applier sends, and its set is what it sent', () => {
  const step = fc.record({
    manager: fc.constantFrom('x', 'y', 'z'),
    kind: fc.constantFrom('apply', 'apply', 'update'),
    spec: specs,
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      const subject = createSubject();
      for (const { manager, kind, spec } of steps) {
        if (kind === 'update') subject.update(manager, spec);
        else {
          subject.apply(manager, spec, { force: true });
          // Applying is idempotent, and the object then agrees with the applier in all that it sent.
          const once = subject.live();
          subject.apply(manager, spec);
          expect(equalJson(subject.live(), once)).toBe(true);
          const owned = FieldSet.fromFieldsV1(subject.owner(manager)?.fieldsV1 ?? {});
          const sent = toFieldSet({ spec }, schema);
          if (subject.metadata()?.managedFields?.filter((one) => one.manager === manager).length === 1) {
            expect(owned?.toFieldsV1()).toEqual(sent.toFieldsV1());
          }
        }
        // Nobody owns what is not there.
        const there = compareValues({}, { spec: subject.spec() ?? {} }, schema).added;
        for (const entry of subject.metadata()?.managedFields ?? []) {
          const claimed = FieldSet.fromFieldsV1(entry.fieldsV1 ?? {});
          expect(claimed?.difference(there).empty, JSON.stringify([entry, subject.spec()])).toBe(true);
        }
      }
    }),
    { numRuns: 300 },
  );
});
