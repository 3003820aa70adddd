import { expect, test } from 'vitest';
import { boundedList, parseBoundedList } from './bounded-list.ts';

test('what fits is listed, the rest counted', () => {
  expect(boundedList([], 10)).toBe('');
  expect(boundedList(['a', 'b'], 10)).toBe('a,b');
  expect(boundedList(['aaaa', 'bbbb', 'cccc', 'd'], 10)).toBe('aaaa,bbbb,+2');
  expect(boundedList(['far too long', 'b'], 5)).toBe('+2');
});

test('it is read back', () => {
  expect(parseBoundedList('')).toEqual({ names: [], more: 0 });
  expect(parseBoundedList('a,b')).toEqual({ names: ['a', 'b'], more: 0 });
  expect(parseBoundedList('aaaa,bbbb,+2')).toEqual({ names: ['aaaa', 'bbbb'], more: 2 });
  expect(parseBoundedList('+2')).toEqual({ names: [], more: 2 });
});
