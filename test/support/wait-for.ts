import { systemClock } from '../../src/kit/clock.ts';
import { messageOf } from '../../src/kit/coded-error.ts';

/**
 * Calls `check` until it returns something truthy, and returns that. Errors count as "not yet". Rejects after `timeoutMs`
 * (default 30,000) naming `what` and the last answer.
 */
export async function waitFor<T>(
  what: string,
  check: () => T | Promise<T>,
  options: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 30_000, intervalMs = 20 } = options;
  const end = systemClock.now() + timeoutMs;
  for (let last = 'no answer'; ; await systemClock.sleep(intervalMs)) {
    try {
      const value = await check();
      if (value) return value;
      last = String(value);
    } catch (error) {
      last = messageOf(error);
    }
    if (systemClock.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms; last: ${last}`);
  }
}
