import { describe, expect, it } from 'vitest';
import { Pace } from './pace.ts';

const options = { share: 0.2, freeMs: 10, allowanceMs: 250, maxMs: 2_000 };

describe('Pace', () => {
  it('lets short pieces of work cost nothing, however many', () => {
    const pace = new Pace(options);
    for (let now = 0; now < 10_000; now += 11) {
      pace.done(10, now);
      expect(pace.wait(now)).toBe(0);
    }
  });

  it('lets a long one now and then be followed at once', () => {
    const pace = new Pace(options);
    for (let now = 0; now < 60_000; now += 2_000) {
      expect(pace.wait(now)).toBe(0);
      pace.done(200, now + 200);
      expect(pace.wait(now + 200)).toBe(0);
    }
  });

  it('gives a burst of long ones their share of the time', () => {
    const pace = new Pace(options);
    let now = 0;
    let busy = 0;
    let pieces = 0;
    while (now < 60_000) {
      now += 100;
      busy += 100;
      pieces++;
      pace.done(100, now);
      now += pace.wait(now);
    }
    expect(busy / now).toBeGreaterThan(0.2);
    expect(busy / now).toBeLessThan(0.25);
    expect(pieces).toBeLessThan(150);
  });

  it('bounds the wait, however long the work took', () => {
    const pace = new Pace(options);
    for (let i = 0; i < 5; i++) pace.done(60_000, i);
    expect(pace.wait(5)).toBeLessThanOrEqual(2_000);
    expect(pace.wait(2_005)).toBe(0);
    const never = new Pace({ ...options, maxMs: 0 });
    never.done(60_000, 0);
    expect(never.wait(0)).toBe(0);
  });
});
