import { expect, it } from 'vitest';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import { testResource } from '../snapshot/testing.ts';
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

it('holds up no virtual host that a request waits for', () => {
  const watch = slow(typeUrls.virtualHost);
  watch.asked.set('80/asked', '80/name');
  expect(watch.wait(0)).toBe(0);
});

it('takes endpoints that came with their cluster as the one list that the push made, and only those', () => {
  const endpoints = (name: string): Resource => testResource(typeUrls.endpoints, name, name);
  const upserts = [endpoints('a'), endpoints('b')];
  const push = { typeUrl: typeUrls.endpoints, proxies: new Set<string>(), upserts, removed: [] };
  const watch = new Watch(typeUrls.endpoints, defaultLimits.pace);
  watch.note(push, 1, false);
  watch.following.push([testResource(typeUrls.cluster, 'a', 'a')]);
  expect(watch.takeDeltaOf([endpoints('a')])).toBeUndefined();
  expect(watch.takeDeltaOf([...upserts].reverse())).toBeUndefined();
  expect(watch.following).toHaveLength(1);
  expect(watch.takeDeltaOf([...upserts])?.upserts).toBe(upserts);
  expect(watch.hasWork).toBe(false);
});
