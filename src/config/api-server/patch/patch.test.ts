import { describe, expect, test } from 'vitest';
import { fc } from '../../../../test/support/properties.ts';
import { equalJson } from '../../../kit/json.ts';
import { createBuiltInRegistry } from '../../kinds/built-in-kinds.ts';
import { defaultLimits } from '../limits.ts';
import { objectSchema } from '../objects/schema-of.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMerge } from './strategic-merge.ts';

describe('JSON patch (RFC 6902, appendix A and errata)', () => {
  const patch = (document: unknown, ...operations: unknown[]) =>
    applyJsonPatch(document, operations, defaultLimits);
  test.each([
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
    [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['a'] }], { foo: ['bar', ['a']] }],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ baz: 'qux' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo' }],
    [
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [
      { a: [1] },
      [
        { op: 'copy', from: '/a', path: '/b' },
        { op: 'add', path: '/b/-', value: 2 },
      ],
      { a: [1], b: [1, 2] },
    ],
    [{ foo: 1 }, [{ op: 'add', path: '', value: { bar: 2 } }], { bar: 2 }],
    [{ foo: 1 }, [{ op: 'test', path: '/none', value: null }], { foo: 1 }],
  ])('%j %j', (document, operations, expected) => {
    const before = structuredClone(document);
    expect(patch(document, ...operations)).toEqual(expected);
    expect(document).toEqual(before);
  });
  test.each([
    [{ op: 'add', path: '/a/b', value: 1 }],
    [{ op: 'remove', path: '/b' }],
    [{ op: 'replace', path: '/b', value: 1 }],
    [{ op: 'test', path: '/foo', value: 'other' }],
    [{ op: 'add', path: '/list/9', value: 1 }],
    [{ op: 'add', path: '/list/01', value: 1 }],
    [{ op: 'move', from: '/list', path: '/list/0' }],
    [{ op: 'remove', path: '/foo/toString' }],
    [{ op: 'copy', from: '/constructor', path: '/x' }],
  ])('does not fit: %j', (operation) => {
    expect(() => patch({ foo: 'bar', list: [1] }, operation)).toThrow(
      'the JSON patch does not fit the object',
    );
  });
});

test('merge patch (RFC 7386, appendix A)', () => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, expected] of cases) expect(applyMergePatch(target, patch)).toEqual(expected);
});

describe('strategic merge', () => {
  const registry = createBuiltInRegistry();
  const merge = (kind: string, group: string, target: unknown, patch: unknown) => {
    const found = registry.byKind(group, kind);
    const version = found?.versions[0];
    if (!version) throw new Error(`no ${kind}`);
    return applyStrategicMerge(target, patch, objectSchema(version), kind) as {
      spec: Record<string, never>;
      metadata: unknown;
    };
  };
  const pod = (containers: unknown[], more: Record<string, unknown> = {}) => ({
    spec: { template: { spec: { containers, ...more } } },
  });
  const containers = (object: unknown) =>
    (object as ReturnType<typeof pod>).spec.template.spec.containers as { name: string }[];

  test('items are found by their merge key; new ones come first; $patch: delete removes', () => {
    const live = pod([
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '1' },
    ]);
    const patched = merge(
      'Deployment',
      'apps',
      live,
      pod([
        { name: 'c', image: '1' },
        { name: 'a', env: [{ name: 'Y', value: '2' }] },
        { name: 'b', $patch: 'delete' },
      ]),
    );
    expect(containers(patched)).toEqual([
      { name: 'c', image: '1' },
      {
        name: 'a',
        image: '1',
        env: [
          { name: 'Y', value: '2' },
          { name: 'X', value: '1' },
        ],
      },
    ]);
  });

  test('$setElementOrder, alone and with changes', () => {
    const live = pod([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    const order = merge('Deployment', 'apps', live, {
      spec: { template: { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }] } } },
    });
    expect(containers(order).map((one) => one.name)).toEqual(['b', 'c', 'a']);
  });

  test('$patch: replace, $retainKeys, $deleteFromPrimitiveList', () => {
    const live = pod([{ name: 'a' }], { volumes: [{ name: 'v', emptyDir: {} }] });
    const replaced = merge('Deployment', 'apps', live, pod([{ $patch: 'replace' }, { name: 'z' }] as never));
    expect(containers(replaced)).toEqual([{ name: 'z' }]);
    const retained = merge(
      'Deployment',
      'apps',
      { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: {} } } },
      { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
    );
    expect(retained.spec).toEqual({ strategy: { type: 'Recreate' } });
    const finalizers = merge(
      'ConfigMap',
      '',
      { metadata: { finalizers: ['a', 'b'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'], finalizers: ['c'] } },
    );
    expect(finalizers.metadata).toEqual({ finalizers: ['c', 'b'] });
  });

  test('lists without a key, and selectors, are replaced', () => {
    const live = pod([{ name: 'a', args: ['x'] }]);
    expect(containers(merge('Deployment', 'apps', live, pod([{ name: 'a', args: ['y'] }])))).toEqual([
      { name: 'a', args: ['y'] },
    ]);
    expect(
      merge(
        'Service',
        '',
        { spec: { ports: [{ port: 80, name: 'a' }] } },
        { spec: { ports: [{ port: 80, name: 'b' }, { port: 81 }] } },
      ).spec,
    ).toEqual({ ports: [{ port: 80, name: 'b' }, { port: 81 }] });
  });

  test('what makes no sense is refused', () => {
    expect(() => merge('Deployment', 'apps', pod([]), pod([{ image: 'x' }]))).toThrow(
      'lacks its merge key "name"',
    );
    expect(() => merge('Deployment', 'apps', pod([]), { $patch: 'explode' })).toThrow('unknown directive');
  });
});

test('property: a JSON patch made of replaces gives the document that it replaces with', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (before, after) => {
      expect(
        equalJson(
          applyJsonPatch({ v: before }, [{ op: 'replace', path: '/v', value: after }], defaultLimits),
          { v: after },
        ),
      ).toBe(true);
    }),
  );
});
