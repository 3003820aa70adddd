import type { Clock } from '../../../kit/clock.ts';
import { getAt } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';
import type { Store, WriteOp } from '../../store/store.ts';

const resources = ['events', 'events.events.k8s.io'];
const batch = 200;

/** Deletes events that were last seen more than `ttlMs` ago; the number deleted. Kubernetes keeps them an hour. */
export async function expireEvents(store: Store, now: number, ttlMs: number): Promise<number> {
  let deleted = 0;
  for (const resource of resources) {
    const { items } = await store.list({ resource });
    const old = items.filter((item) => now - lastSeen(item.object) > ttlMs);
    for (let at = 0; at < old.length; at += batch) {
      const ops = old
        .slice(at, at + batch)
        .map((item): WriteOp => ({ type: 'delete', ref: item.ref, expect: item.revision }));
      // One that was seen again meanwhile fails the batch: the next round looks anew.
      if ((await store.commit(ops)).ok) deleted += ops.length;
    }
  }
  return deleted;
}

/** The newest of its times: an event without any was made now, as far as anybody can tell. */
function lastSeen(event: ConfigObject): number {
  const times = [
    event.lastTimestamp,
    event.eventTime,
    event.deprecatedLastTimestamp,
    getAt(event, 'series', 'lastObservedTime'),
    event.metadata.creationTimestamp,
  ].map((time) => (typeof time === 'string' ? Date.parse(time) : Number.NaN));
  const known = times.filter((time) => !Number.isNaN(time));
  return known.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...known);
}

/** Expires events every tenth of their time to live, until `signal` aborts. */
export async function keepExpiringEvents(options: {
  store: Store;
  clock: Clock;
  signal: AbortSignal;
  ttlMs: number;
  onError: (error: unknown) => void;
}): Promise<void> {
  const { store, clock, signal, ttlMs } = options;
  while (!signal.aborted) {
    await clock.sleep(ttlMs / 10, { signal, unref: true });
    if (signal.aborted) return;
    await expireEvents(store, clock.now(), ttlMs).catch(options.onError);
  }
}
