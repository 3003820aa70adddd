import { expect, test } from 'vitest';
import { deepEqual } from './deep-equal.ts';

test.each([
  [1, 1],
  [Number.NaN, Number.NaN],
  [{ a: [1, { b: null }] }, { a: [1, { b: null }] }],
  [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  [new Map([['a', { b: 1 }]]), new Map([['a', { b: 1 }]])],
  [new Set(['a']), new Set(['a'])],
  [5n, 5n],
])('%o equals %o', (a, b) => {
  expect(deepEqual(a, b)).toBe(true);
});

test.each([
  [1, '1'],
  [null, {}],
  [[], {}],
  [[1], [1, 2]],
  [{ a: undefined }, { b: 1 }],
  [{ a: undefined }, {}],
  [new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  [new Uint8Array([1]), [1]],
  [new Map([['a', 1]]), new Map([['b', 1]])],
  [new Set(['a']), new Set(['b'])],
  [{ a: { b: 1 } }, { a: { b: 2 } }],
])('%o differs from %o', (a, b) => {
  expect(deepEqual(a, b)).toBe(false);
});
