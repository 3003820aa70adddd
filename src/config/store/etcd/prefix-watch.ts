import { systemClock } from '../../../kit/clock.ts';
import { backoffDelay } from '../../../kit/retry.ts';
import { StoreError } from '../store.ts';
import { type Commit, type WatchFilter, WatchHub } from '../watch-hub.ts';
import type { WatchQueue } from '../watch-queue.ts';
import type { EtcdClient, WatchStream } from './client.ts';
import { readCommits } from './commits.ts';
import type { DecodedObjects } from './decoded-objects.ts';
import type { EtcdKeys } from './keys.ts';

/** Attempts to reach etcd again, a minute or so in all, before the watchers are told. */
const mostAttempts = 30;
/** Commits kept for watchers that begin a little behind, as after a list. */
const mostRecent = 1000;

export interface Subscription {
  queue: WatchQueue;
  /** Commits after `from` that were seen already. */
  recent: readonly Commit[];
  /** Everything up to here is in `recent` or before `from`; all after it comes through the queue. */
  position: number;
  /** Commits between `from` and this revision (inclusive) are in neither: read them with a watch of one's own. 0: none. */
  missingUpTo: number;
  end: () => void;
}

/**
 * One watch of all our keys for all watchers of this process: each event crosses the network and is parsed once. Begins
 * with the first subscriber, resumes after interruptions where it was.
 */
export class PrefixWatch {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #objects: DecodedObjects;
  readonly #hub = new WatchHub();
  readonly #abort = new AbortController();
  #starting: Promise<void> | undefined;
  #running = false;
  #stream: WatchStream | undefined;
  /** Everything up to here was handed out. */
  #position = 0;
  /** Revision of the newest commit at or before the position. */
  #newestCommit = 0;
  #recent: Commit[] = [];
  /** `#recent` has all commits after this. */
  #recentFrom = 0;

  constructor(client: EtcdClient, keys: EtcdKeys, objects: DecodedObjects) {
    this.#client = client;
    this.#keys = keys;
    this.#objects = objects;
  }

  async subscribe(filter: WatchFilter, from: number, maxQueued: number | undefined): Promise<Subscription> {
    if (!this.#running) {
      this.#starting ??= this.#start().finally(() => {
        this.#starting = undefined;
      });
      await this.#starting;
    }
    const { queue, end } = this.#hub.subscribe(filter, Math.max(from, this.#position), maxQueued);
    const complete = from >= this.#recentFrom;
    return {
      queue,
      end,
      position: Math.max(from, this.#position),
      recent: complete ? this.#recent.filter((commit) => commit.revision > from) : [],
      missingUpTo: complete || from >= this.#newestCommit ? 0 : this.#newestCommit,
    };
  }

  progress(): void {
    this.#hub.progress(this.#position);
  }

  close(): void {
    this.#abort.abort();
    this.#stream?.cancel();
    this.#hub.fail(new StoreError('StoreClosed', 'the store was closed'));
  }

  async #start(): Promise<void> {
    const head = await this.#client.range({ key: this.#keys.head });
    this.#position = head.revision;
    this.#newestCommit = head.kvs[0]?.modRevision ?? 0;
    this.#recent = [];
    this.#recentFrom = head.revision;
    this.#running = true;
    void this.#run();
  }

  /** Ends when closed, when etcd stays away, or when history was lost meanwhile; the next subscriber starts it again. */
  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      try {
        await this.#follow(() => {
          failures = 0;
        });
      } catch (error) {
        const known = this.#client.storeError(error);
        failures++;
        if (known.code !== 'StoreUnavailable' || failures >= mostAttempts) {
          this.#running = false;
          this.#hub.fail(known);
          return;
        }
      }
      const delay = backoffDelay(failures, { initialMs: 50, maxMs: 3000 });
      await systemClock.sleep(delay, { signal: this.#abort.signal });
    }
    this.#running = false;
  }

  async #follow(alive: () => void): Promise<void> {
    const stream = this.#client.watch(this.#keys.root, this.#keys.rootEnd, this.#position + 1);
    this.#stream = stream;
    try {
      for await (const response of stream) {
        checkWatch(response);
        alive();
        for (const commit of readCommits(response, this.#keys, this.#objects)) this.#take(commit);
        // A word without events: nothing happened to our keys up to here.
        if (response.events.length === 0 && !response.created)
          this.#position = Math.max(this.#position, response.revision);
      }
    } finally {
      stream.cancel();
    }
  }

  #take(commit: Commit): void {
    // Some versions of etcd repeat events after a watch was behind (etcd pull request 15248).
    if (commit.revision <= this.#newestCommit) return;
    this.#position = Math.max(this.#position, commit.revision);
    this.#newestCommit = commit.revision;
    this.#recent.push(commit);
    if (this.#recent.length > mostRecent) {
      this.#recent = this.#recent.slice(mostRecent / 2);
      this.#recentFrom = (this.#recent[0] as Commit).revision - 1;
    }
    this.#hub.publish(commit);
  }
}

/** Throws where the answer says that the watch is over. */
export function checkWatch(response: {
  canceled: boolean;
  compactRevision: number;
  cancelReason: string;
}): void {
  if (response.compactRevision > 0) {
    throw new StoreError(
      'RevisionCompacted',
      `history begins at ${response.compactRevision}; list again from the newest state`,
    );
  }
  if (response.canceled)
    throw new StoreError('StoreUnavailable', `etcd ended the watch: ${response.cancelReason}`);
}
