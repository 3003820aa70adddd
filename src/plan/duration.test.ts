import { expect, test } from 'vitest';
import { parseDuration } from './duration.ts';

test.each([
  ['10s', 10_000],
  ['1h30m', 5_400_000],
  ['2.5s', 2_500],
  ['500ms', 500],
  ['1500us', 1.5],
  ['0s', 0],
  ['0', 0],
  ['', undefined],
  [undefined, undefined],
  ['10', undefined],
  ['s', undefined],
  ['1s2', undefined],
  ['-1s', undefined],
])('%s is %s ms', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});
