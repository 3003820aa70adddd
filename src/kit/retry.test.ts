import { expect, test } from 'vitest';
import { backoffDelay, retry } from './retry.ts';

function fakeClock() {
  let now = 0;
  const slept: number[] = [];
  return {
    slept,
    clock: {
      now: () => now,
      sleep: async (ms: number) => {
        slept.push(ms);
        now += ms;
      },
    },
  };
}

test('delays double up to the bound and are jittered downwards', () => {
  const full = (attempt: number) => backoffDelay(attempt, { initialMs: 100, maxMs: 1_000, random: () => 0 });
  expect([0, 1, 2, 3, 4, 1_000].map(full)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  expect(backoffDelay(1, { initialMs: 100, jitter: 0.5, random: () => 1 })).toBe(100);
});

test('ends with the first success', async () => {
  const { clock, slept } = fakeClock();
  let calls = 0;
  const value = await retry(
    async () => {
      if (++calls < 3) throw new Error('no');
      return calls;
    },
    { clock, random: () => 0 },
  );
  expect(value).toBe(3);
  expect(slept).toEqual([100, 200]);
});

test('ends with the last error: after the attempts, the deadline, the signal, or an error not worth another', async () => {
  const failing = (options: Parameters<typeof retry>[1]) => {
    let calls = 0;
    const { clock } = fakeClock();
    return retry(async () => Promise.reject(new Error(`call ${++calls}`)), {
      clock,
      random: () => 0,
      ...options,
    }).catch((error: Error) => error.message);
  };
  expect(await failing({ attempts: 4 })).toBe('call 4');
  expect(await failing({ attempts: 100, deadlineMs: 1_000 })).toBe('call 4');
  expect(await failing({ retryable: () => false })).toBe('call 1');
  expect(await failing({ signal: AbortSignal.abort() })).toBe('call 1');
});
