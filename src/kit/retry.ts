import { type Clock, systemClock } from './clock.ts';

export interface BackoffOptions {
  /** First delay in ms. Default 100. */
  initialMs?: number;
  /** No delay exceeds this, in ms. Default 30,000. */
  maxMs?: number;
  /** Growth per attempt. Default 2; at least 1. */
  factor?: number;
  /** Part of the delay that is random, 0 to 1. Default 0.5: between half the delay and all of it. */
  jitter?: number;
  /** In [0, 1). Default Math.random. */
  random?: () => number;
}

/** Delay in ms before attempt `attempt` (0 is the first retry). */
export function backoffDelay(attempt: number, options: BackoffOptions = {}): number {
  const { initialMs = 100, maxMs = 30_000, factor = 2, jitter = 0.5, random = Math.random } = options;
  const full = Math.min(maxMs, initialMs * factor ** Math.min(attempt, 64));
  return full * (1 - jitter * random());
}

export interface RetryOptions extends BackoffOptions {
  /** Attempts in all, the first included. Default 5. */
  attempts?: number;
  /** Overall bound in ms from the first attempt; no attempt starts later. Default none. */
  deadlineMs?: number;
  signal?: AbortSignal;
  clock?: Clock;
  /** False: give up at once with this error. Default: every error is worth another attempt. */
  retryable?: (error: unknown) => boolean;
  /** Told before each wait. */
  onRetry?: (error: unknown, attempt: number, delayMs: number) => void;
}

/** Runs `work` until it resolves; rejects with the last error when attempts, time or the signal end. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { attempts = 5, deadlineMs = Number.POSITIVE_INFINITY, clock = systemClock, signal } = options;
  const start = clock.now();
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      const delay = backoffDelay(attempt, options);
      const over = attempt + 1 >= attempts || clock.now() + delay - start > deadlineMs;
      if (over || signal?.aborted || options.retryable?.(error) === false) throw error;
      options.onRetry?.(error, attempt, delay);
      await clock.sleep(delay, signal ? { signal } : {});
      if (signal?.aborted) throw error;
    }
  }
}
