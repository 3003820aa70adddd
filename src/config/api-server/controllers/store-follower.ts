import type { Clock } from '../../../kit/clock.ts';
import { backoffDelay } from '../../../kit/retry.ts';
import type { Store, StoredObject, StoreEvent } from '../../store/store.ts';

export interface FollowerSink {
  /** The whole content, at the start and whenever changes were missed. */
  reset(objects: readonly StoredObject[]): void;
  /** The changes of one commit. */
  events(events: readonly StoreEvent[]): void;
}

export interface StoreFollower {
  /** Resolves when everything up to `revision` was seen, or after `timeoutMs`. */
  reached(revision: number, timeoutMs?: number): Promise<void>;
  /** Resolves once the first content was seen. */
  ready: Promise<void>;
  /** Lists and watches anew: for content of kinds that were not known before. */
  resync(): void;
}

interface Waiter {
  revision: number;
  done: () => void;
}

/** Follows everything in a store: list once, then watch; after an error again, with a growing delay. Ends with `signal`. */
export function followStore(options: {
  store: Store;
  /** Names of the resources there are. */
  resources: () => readonly string[];
  sink: FollowerSink;
  signal: AbortSignal;
  clock: Clock;
  log: (level: 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}): StoreFollower {
  const { store, sink, signal, clock } = options;
  let seen = 0;
  let waiters: Waiter[] = [];
  let round = new AbortController();
  let isReady = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const advance = (revision: number) => {
    seen = Math.max(seen, revision);
    const due = waiters.filter((waiter) => waiter.revision <= seen);
    if (due.length === 0) return;
    waiters = waiters.filter((waiter) => waiter.revision > seen);
    for (const waiter of due) waiter.done();
  };

  const follow = async (inner: AbortSignal) => {
    const revision = await store.revision();
    const objects: StoredObject[] = [];
    for (const resource of options.resources())
      objects.push(...(await store.list({ resource, revision })).items);
    sink.reset(objects);
    advance(revision);
    isReady();
    for await (const item of store.watch({ from: revision, signal: inner, maxQueued: 100_000 })) {
      if (item.type === 'events') sink.events(item.events);
      advance(item.revision);
    }
  };

  const run = async () => {
    for (let attempt = 0; !signal.aborted; ) {
      round = new AbortController();
      try {
        await follow(AbortSignal.any([signal, round.signal]));
        if (signal.aborted) return;
        if (!round.signal.aborted) throw new Error('the watch ended by itself');
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        options.log('warn', 'following the store failed, starting over', {
          error: error instanceof Error ? error.message : String(error),
        });
        await clock.sleep(backoffDelay(attempt++, { initialMs: 50, maxMs: 5_000 }), { signal, unref: true });
      }
    }
  };
  void run();

  return {
    ready,
    resync: () => round.abort(),
    reached: (revision, timeoutMs = 5_000) => {
      if (seen >= revision || signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const waiter: Waiter = {
          revision,
          done: () => {
            clearTimeout(timer);
            resolve();
          },
        };
        const timer = setTimeout(() => {
          waiters = waiters.filter((one) => one !== waiter);
          resolve();
        }, timeoutMs);
        waiters.push(waiter);
      });
    },
  };
}
