import { expect, test } from 'vitest';
import { readPlainYaml } from './plain-yaml.ts';
import { parseYamlDocuments } from './yaml-documents.ts';

test.each([
  ['an anchor', 'a: &x b\n'],
  ['an alias', 'a: *x\n'],
  ['a tag', 'a: !!str 1\n'],
  ['a key that stands twice', 'a: 1\na: 2\n'],
  ['a merge key', '<<: {a: 1}\n'],
  ['a key in a value', 'a: b: c\n'],
  ['a pair in a list', 'a: [b: c]\n'],
  ['a tab', 'a:\tb\n'],
  ['an end marker', 'a: b\n...\n'],
  ['a line break taken out', 'a: "b\\\n  c"\n'],
  ['a key behind an item of a list', 'a:\n- {b: c} d: e\n'],
  ['a key that says so', '? a\n: b\n'],
  ['an indented marker', ' ---\na: b\n'],
  ['a block scalar that says how deep it stands', 'a: |2\n   b\n'],
  ['an infinity', 'a: .inf\n'],
  ['a prototype', '__proto__: {}\n'],
  ['crooked indentation', 'a:\n    b: 1\n  c: 2\n'],
  ['a list at the root', '- a\n'],
])('%s is left to the whole parser', (_, text) => {
  expect(readPlainYaml(text, 200)).toBeUndefined();
});

test('positions of plainly written objects are those of their fields', () => {
  const text =
    '# a comment\n---\n# another\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: x\n    image: y\n';
  const [one] = parseYamlDocuments(text, 'a.yaml').objects;
  const place = (path: string) => {
    const { line, column } = one?.positions.at(path) ?? {};
    return `${line}:${column}`;
  };
  expect(['', 'metadata.name', 'spec.containers[0]', 'spec.containers[0].image'].map(place)).toEqual([
    '4:1',
    '6:12',
    '9:5',
    '10:5',
  ]);
});
