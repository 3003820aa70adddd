import { expect, test } from 'vitest';
import { seenClock } from './seen-clock.ts';

test('a pause counts as one step', () => {
  let wall = 1_000;
  const now = seenClock(() => wall);
  for (let i = 0; i < 4; i++) {
    wall += 25;
    now();
  }
  expect(now()).toBe(100);
  wall += 5_000;
  expect(now()).toBe(150);
  expect(now()).toBe(150);
});
