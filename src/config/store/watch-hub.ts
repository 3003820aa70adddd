import type { StoreError, StoreEvent, WatchItem } from './store.ts';
import { WatchQueue } from './watch-queue.ts';

/** What a watch is about: everything, one resource, one namespace (of one resource, or of all). */
export interface WatchFilter {
  resource?: string | undefined;
  namespace?: string | undefined;
}

/** All that one revision changed. */
export interface Commit {
  revision: number;
  events: StoreEvent[];
}

interface Subscription {
  filter: WatchFilter;
  queue: WatchQueue;
}

/** Hands each commit to the watchers that are up to date. Watchers with the same filter get the very same item. */
export class WatchHub {
  readonly #subscriptions = new Set<Subscription>();

  subscribe(
    filter: WatchFilter,
    from: number,
    maxQueued: number | undefined,
  ): { queue: WatchQueue; end: () => void } {
    const subscription = { filter, queue: new WatchQueue(from, maxQueued) };
    this.#subscriptions.add(subscription);
    return { queue: subscription.queue, end: () => this.#subscriptions.delete(subscription) };
  }

  publish(commit: Commit): void {
    const { revision, events } = commit;
    const items = new Map<string, WatchItem | undefined>();
    for (const { filter, queue } of this.#subscriptions) {
      const id = `${filter.resource ?? '*'}/${filter.namespace ?? '*'}`;
      if (!items.has(id)) {
        const wanted = events.filter((event) => matches(event, filter));
        items.set(id, wanted.length === 0 ? undefined : { type: 'events', revision, events: wanted });
      }
      const item = items.get(id);
      if (item) queue.push(item);
    }
  }

  /** Tells watchers that saw nothing lately how far they are. */
  progress(revision: number): void {
    for (const { queue } of this.#subscriptions) {
      if (queue.revision < revision) queue.push({ type: 'progress', revision });
    }
  }

  fail(error: StoreError): void {
    for (const { queue } of this.#subscriptions) queue.fail(error);
    this.#subscriptions.clear();
  }
}

export function matches(event: StoreEvent, { resource, namespace }: WatchFilter): boolean {
  if (resource !== undefined && event.ref.resource !== resource) return false;
  return namespace === undefined || event.ref.namespace === namespace;
}
