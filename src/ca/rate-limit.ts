import { type Clock, systemClock } from '../kit/clock.ts';

export interface BucketOptions {
  /** Tokens at the start and at most. */
  burst: number;
  /** Tokens that come back per second. */
  perSecond: number;
}

/** Token buckets by key. The number of keys is bounded: full buckets are forgotten first, then the oldest. */
export interface RateLimiter {
  /** Takes a token; false when there is none. */
  take(key: string): boolean;
  readonly size: number;
}

export function createRateLimiter(options: BucketOptions & { maxKeys?: number; clock?: Clock }): RateLimiter {
  const { burst, perSecond, maxKeys = 10_000, clock = systemClock } = options;
  const buckets = new Map<string, { tokens: number; at: number }>();
  const refilled = (bucket: { tokens: number; at: number }, now: number) =>
    Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * perSecond);

  function makeRoom(now: number): void {
    for (const [key, bucket] of buckets) if (refilled(bucket, now) >= burst) buckets.delete(key);
    for (const key of buckets.keys()) {
      if (buckets.size < maxKeys) return;
      buckets.delete(key);
    }
  }

  return {
    take(key) {
      const now = clock.now();
      const bucket = buckets.get(key);
      if (!bucket && buckets.size >= maxKeys) makeRoom(now);
      const tokens = bucket ? refilled(bucket, now) : burst;
      const granted = tokens >= 1;
      buckets.delete(key);
      buckets.set(key, { tokens: granted ? tokens - 1 : tokens, at: now });
      return granted;
    },
    get size() {
      return buckets.size;
    },
  };
}

/** Whether an address of a socket is this machine's own. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}
