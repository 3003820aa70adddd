import { expect, test } from 'vitest';
import { medianInterval, quantile, ratios, verdict } from './statistics.ts';

test('a round without a figure gives no ratio', () => {
  expect(ratios([1, 2, 3], [2, 0, 4])).toEqual([0.5, 0.75]);
  expect(ratios([1, 2], [4])).toEqual([0.25]);
});

test('quantiles are values that were measured', () => {
  expect(quantile([4, 1, 3, 2, 5], 0.25)).toBe(2);
  expect(quantile([], 0.5)).toBe(0);
});

test('the interval of a median holds it, narrows with more rounds, and is the same each time', () => {
  const few = [0.6, 0.62, 0.64, 0.66, 0.68, 0.7];
  const many = Array.from({ length: 20 }, () => few).flat();
  const [low, high] = medianInterval(few);
  expect(low).toBeLessThanOrEqual(0.65);
  expect(high).toBeGreaterThanOrEqual(0.65);
  expect(low).toBeGreaterThanOrEqual(0.6);
  expect(high).toBeLessThanOrEqual(0.7);
  const narrow = medianInterval(many);
  expect(narrow[1] - narrow[0]).toBeLessThan(high - low);
  expect(medianInterval(few)).toEqual([low, high]);
});

test('no verdict where the interval lies on both sides of the budget', () => {
  expect(verdict([0.6, 0.65], 0.65)).toBe('holds');
  expect(verdict([0.66, 0.7], 0.65)).toBe('missed');
  expect(verdict([0.6, 0.7], 0.65)).toBe('undecided');
});
