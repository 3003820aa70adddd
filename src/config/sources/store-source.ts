import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { backoffDelay } from '../../kit/retry.ts';
import { type ConfigObject, objectKey } from '../object.ts';
import {
  type ObjectRef,
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreEvent,
} from '../store/store.ts';
import type { ConfigBatch, ConfigChange, ConfigSource } from './source.ts';

export interface StoreSourceOptions {
  store: Store;
  /** Default `store`. */
  name?: string;
  /** Told why the source is behind and tries again; undefined when it is up to date again. */
  onProblem?: (problem: string | undefined) => void;
  clock?: Clock;
}

interface Known {
  group: string;
  kind: string;
  key: string;
  /** The revision that last wrote it. */
  version: string | undefined;
}

/** Without these there is no going on from where the watch was: the state is listed again. */
const lostTrack = new Set<StoreErrorCode>([
  'RevisionCompacted',
  'RevisionInFuture',
  'WatchOverflow',
  'ContinueExpired',
]);
const pageSize = 500;

/**
 * Everything in a store as a source: all objects first, then one batch per commit. An interrupted watch goes on where it
 * was; where history is gone, the state is listed again and only what differs is delivered.
 */
export class StoreSource implements ConfigSource {
  readonly name: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #onProblem: (problem: string | undefined) => void;
  /** What was delivered, by `resource/namespace/name`: what a new list is compared with. */
  #known = new Map<string, Known>();
  #problem = false;

  constructor(options: StoreSourceOptions) {
    this.#store = options.store;
    this.name = options.name ?? 'store';
    this.#clock = options.clock ?? systemClock;
    this.#onProblem = options.onProblem ?? (() => {});
  }

  /** Rejects only where the store was closed, or `sink` throws, before the initial batch was delivered. */
  start(sink: (batch: ConfigBatch) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#run(sink, signal, resolve).then(resolve, reject);
    });
  }

  async #run(sink: (batch: ConfigBatch) => void, signal: AbortSignal, delivered: () => void): Promise<void> {
    let revision: number | undefined;
    let initial = true;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (revision === undefined) {
          const { batch, known } = await this.#list(initial);
          if (signal.aborted) return;
          if (initial || batch.changes.length > 0) sink(batch);
          this.#known = known;
          revision = batch.revision;
          initial = false;
          delivered();
        }
        for await (const item of this.#store.watch({ from: revision, signal })) {
          failures = 0;
          this.#report(undefined);
          if (item.type === 'events') {
            sink({
              revision: item.revision,
              changes: item.events.map((event) => this.#follow(event)),
              initial: false,
            });
          }
          revision = item.revision;
        }
      } catch (error) {
        if (!(error instanceof StoreError) || error.code === 'StoreClosed') {
          this.#report(`the source ${this.name} ended: ${messageOf(error)}`);
          throw error;
        }
        if (lostTrack.has(error.code)) revision = undefined;
        this.#report(`the source ${this.name} is behind and tries again: ${error.message}`);
        await this.#clock.sleep(backoffDelay(failures++, { maxMs: 5000 }), { signal });
      }
    }
  }

  /** The whole state, as a difference to what was delivered. */
  async #list(initial: boolean): Promise<{ batch: ConfigBatch; known: Map<string, Known> }> {
    const changes: ConfigChange[] = [];
    const known = new Map<string, Known>();
    let token: string | undefined;
    let revision: number;
    do {
      const page = await this.#store.list({
        limit: pageSize,
        ...(token === undefined ? {} : { continue: token }),
      });
      revision = page.revision;
      token = page.continue;
      for (const { ref, object } of page.items) {
        const id = refId(ref);
        const now = identify(object);
        known.set(id, now);
        if (this.#known.get(id)?.version === now.version) continue;
        changes.push({ group: now.group, kind: now.kind, key: now.key, object });
      }
    } while (token !== undefined);
    for (const [id, { group, kind, key }] of this.#known) {
      if (!known.has(id)) changes.push({ group, kind, key });
    }
    return { batch: { revision, changes, initial }, known };
  }

  #follow({ type, ref, object }: StoreEvent): ConfigChange {
    const now = identify(object);
    const { group, kind, key } = now;
    if (type === 'deleted') {
      this.#known.delete(refId(ref));
      return { group, kind, key };
    }
    this.#known.set(refId(ref), now);
    return { group, kind, key, object };
  }

  #report(problem: string | undefined): void {
    if (problem === undefined && !this.#problem) return;
    this.#problem = problem !== undefined;
    this.#onProblem(problem);
  }
}

function refId(ref: ObjectRef): string {
  return `${ref.resource}/${ref.namespace}/${ref.name}`;
}

function identify(object: ConfigObject): Known {
  const slash = object.apiVersion.indexOf('/');
  const group = slash === -1 ? '' : object.apiVersion.slice(0, slash);
  return { group, kind: object.kind, key: objectKey(object), version: object.metadata.resourceVersion };
}
