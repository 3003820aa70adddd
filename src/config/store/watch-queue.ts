import { StoreError, type WatchItem } from './store.ts';

/** Default bound of a watch's unread events. */
export const defaultMaxQueued = 10_000;

/**
 * What one watcher has not read yet. Bounded: a watcher that falls behind by more loses the watch, not the store its
 * memory. Successive progress items are one.
 */
export class WatchQueue {
  #items: WatchItem[] = [];
  #head = 0;
  #events = 0;
  #end: { error?: StoreError } | undefined;
  #wake: (() => void) | undefined;
  readonly #maxQueued: number;
  /** The revision of the newest item that was ever queued. */
  revision: number;

  constructor(from: number, maxQueued = defaultMaxQueued) {
    this.revision = from;
    this.#maxQueued = maxQueued;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  push(item: WatchItem): void {
    if (this.#end) return;
    this.revision = item.revision;
    const last = this.#items.at(-1);
    if (item.type === 'progress' && last?.type === 'progress' && this.#items.length > this.#head) {
      this.#items[this.#items.length - 1] = item;
      return;
    }
    if (item.type === 'events') this.#events += item.events.length;
    if (this.#events > this.#maxQueued) {
      this.fail(
        new StoreError(
          'WatchOverflow',
          `more than ${this.#maxQueued} events waited to be read; read faster, or list again and watch from there`,
        ),
      );
      return;
    }
    this.#items.push(item);
    this.#wake?.();
  }

  /** Ends the watch with an error; what waits is dropped, because the reader has to start over anyhow. */
  fail(error: StoreError): void {
    if (this.#end) return;
    this.#end = { error };
    this.#items = [];
    this.#wake?.();
  }

  /** Ends the watch in peace. */
  finish(): void {
    if (this.#end) return;
    this.#end = {};
    this.#items = [];
    this.#wake?.();
  }

  /** The next item; undefined at the end. Throws the error that ended the watch. One reader at a time. */
  async next(): Promise<WatchItem | undefined> {
    while (this.#head >= this.#items.length) {
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const item = this.#items[this.#head++] as WatchItem;
    if (item.type === 'events') this.#events -= item.events.length;
    // Taking from the front of an array moves the rest; do that only now and then.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
