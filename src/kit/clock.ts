/** Time as a value, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`, at once when `signal` is or becomes aborted. Never rejects. Does not keep the process alive alone when `unref`. */
  sleep(ms: number, options?: { signal?: AbortSignal; unref?: boolean }): Promise<void>;
}

/** setTimeout fires at once above 2^31-1 ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, options) =>
    new Promise((resolve) => {
      const signal = options?.signal;
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(ms, 0), LONGEST_TIMER));
      const handle: { unref?: () => void } = timer;
      if (options?.unref) handle.unref?.();
      signal?.addEventListener('abort', done, { once: true });
    }),
};
