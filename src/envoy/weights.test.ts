import { expect, test } from 'vitest';
import { fittingWeights } from './weights.ts';

test('weights whose sum is too large keep their proportions', () => {
  const [a, b, none] = fittingWeights([
    { weight: 2 ** 31 - 1 },
    { weight: 2 ** 31 - 1 },
    { weight: 0 },
    { weight: 2 ** 31 - 1 },
  ]);
  expect(a?.weight).toBe(b?.weight);
  expect((a?.weight ?? 0) * 3).toBeLessThanOrEqual(0xffffffff);
  expect(none?.weight).toBe(0);
  expect(fittingWeights([{ weight: 3_000_000_000_000 }, { weight: 1 }])[1]?.weight).toBe(1);
});

test('others stay as they are', () => {
  const items = [{ weight: 80 }, { weight: 20 }];
  expect(fittingWeights(items)).toBe(items);
});
