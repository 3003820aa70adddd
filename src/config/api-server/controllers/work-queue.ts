import type { Clock } from '../../../kit/clock.ts';
import { backoffDelay } from '../../../kit/retry.ts';

/**
 * Runs work once per key at a time; a key added while its work runs is run once more. Failures are retried with a growing
 * delay, at most `attempts` times in a row, then left to the next event.
 */
export function createWorkQueue(options: {
  work: (key: string) => Promise<void>;
  signal: AbortSignal;
  clock: Clock;
  onError: (key: string, error: unknown) => void;
  /** Default 10. */
  attempts?: number;
  /** Keys worked on at the same time. Default 4. */
  parallel?: number;
}) {
  const { work, signal, clock, attempts = 10, parallel = 4 } = options;
  const waiting = new Set<string>();
  const running = new Set<string>();
  const failures = new Map<string, number>();

  const pump = () => {
    for (const key of waiting) {
      if (running.size >= parallel || signal.aborted) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      running.add(key);
      void runOne(key);
    }
  };

  const runOne = async (key: string) => {
    try {
      await work(key);
      failures.delete(key);
    } catch (error) {
      const failed = (failures.get(key) ?? 0) + 1;
      failures.set(key, failed);
      if (!signal.aborted) options.onError(key, error);
      if (failed < attempts && !signal.aborted) void retryLater(key, failed);
      else failures.delete(key);
    } finally {
      running.delete(key);
      pump();
    }
  };

  const retryLater = async (key: string, failed: number) => {
    await clock.sleep(backoffDelay(failed, { initialMs: 20, maxMs: 10_000 }), { signal, unref: true });
    if (!signal.aborted) add(key);
  };

  const add = (key: string) => {
    waiting.add(key);
    pump();
  };
  return { add, idle: () => waiting.size === 0 && running.size === 0 };
}
