import { expect, test } from 'vitest';
import { cursorAt, rootField, siblingValue } from './yaml-cursor.ts';

/** The text with its cursor, written `|`. */
function at(text: string) {
  const lines = text.split('\n');
  const line = lines.findIndex((one) => one.includes('|'));
  const character = (lines[line] ?? '').indexOf('|');
  lines[line] = (lines[line] ?? '').replace('|', '');
  return { lines, line, cursor: cursorAt(lines, line, character) };
}

test.each<[string, string, unknown[], 'key' | 'value', string]>([
  ['an empty document', '|', [], 'key', ''],
  ['a name at the root', 'apiVersion: v1\nki|', [], 'key', 'ki'],
  ['a value at the root', 'kind: Virt|', ['kind'], 'value', 'Virt'],
  ['an empty value', 'kind: |', ['kind'], 'value', ''],
  ['a field of a map', 'spec:\n  ho|', ['spec'], 'key', 'ho'],
  ['a blank line in a map', 'spec:\n  hosts: [a]\n  |', ['spec'], 'key', ''],
  ['a blank line at the root', 'spec:\n  hosts: [a]\n|', [], 'key', ''],
  ['the first field of an item', 'spec:\n  http:\n    - na|', ['spec', 'http', 0], 'key', 'na'],
  ['behind a dash', 'spec:\n  http:\n    - |', ['spec', 'http', 0], 'key', ''],
  ['a later field of an item', 'spec:\n  http:\n    - name: a\n      ma|', ['spec', 'http', 0], 'key', 'ma'],
  ['the second item', 'spec:\n  http:\n    - name: a\n    - na|', ['spec', 'http', 1], 'key', 'na'],
  [
    'a list as far left as its field',
    'spec:\n  http:\n  - name: a\n  - na|',
    ['spec', 'http', 1],
    'key',
    'na',
  ],
  [
    'a list in a list',
    'spec:\n  http:\n  - match:\n    - uri:\n        pr|',
    ['spec', 'http', 0, 'match', 0, 'uri'],
    'key',
    'pr',
  ],
  [
    'a value deep down',
    'spec:\n  http:\n  - route:\n    - destination:\n        host: re|',
    ['spec', 'http', 0, 'route', 0, 'destination', 'host'],
    'value',
    're',
  ],
  ['an item that is a text', 'spec:\n  hosts:\n  - re|', ['spec', 'hosts', 0], 'key', 're'],
  ['the second document', 'kind: A\nspec:\n  a: 1\n---\nkind: B\nspec:\n  x|', ['spec'], 'key', 'x'],
  ['behind a block of text', 'spec:\n  text: >\n    a: b\n    c: d\n  x|', ['spec'], 'key', 'x'],
])('%s', (_, text, path, where, typed) => {
  expect(at(text).cursor).toMatchObject({ path, at: where, typed });
});

test('siblings are the fields of the same map, above and below', () => {
  const { cursor } = at('spec:\n  http:\n  - name: a\n    |\n    timeout: 1s\n  - retries: {}\n');
  expect([...(cursor?.siblings ?? [])].sort()).toEqual(['name', 'timeout']);
});

test('comments, flow style and blocks are left alone', () => {
  expect(at('# a: |').cursor).toBeUndefined();
  expect(at('spec: {a|}').cursor).toBeUndefined();
});

test('fields beside and at the root are read', () => {
  const { lines, line, cursor } = at(
    'kind: VirtualService\nspec:\n  http:\n  - route:\n    - destination:\n        host: ratings\n        subset: |\n    - destination:\n        host: details\n',
  );
  if (!cursor) throw new Error('no cursor');
  expect(siblingValue(lines, line, cursor, 'host')).toBe('ratings');
  expect(rootField(lines, cursor.document, 'kind')).toBe('VirtualService');
});
