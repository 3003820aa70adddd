import { expect, it } from 'vitest';
import { typeUrls } from '../snapshot/resource.ts';
import { defaultLimits } from './limits.ts';
import { Watch } from './watch.ts';

const slow = (typeUrl: string): Watch => {
  const watch = new Watch(typeUrl, defaultLimits.pace);
  watch.answered(5_000, 0);
  return watch;
};

it('paces route tables alone: clusters, endpoints and listeners follow as fast as they are answered', () => {
  for (const typeUrl of [typeUrls.virtualHost, typeUrls.route])
    expect(slow(typeUrl).wait(0)).toBeGreaterThan(0);
  for (const typeUrl of [typeUrls.cluster, typeUrls.endpoints, typeUrls.listener])
    expect(slow(typeUrl).wait(0)).toBe(0);
});

it('holds up no part of a rejected response', () => {
  const watch = slow(typeUrls.virtualHost);
  watch.trials.push({ names: ['80/good'], removed: [], restore: [], budget: { left: 1 } });
  expect(watch.wait(0)).toBe(0);
});
