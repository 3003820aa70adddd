import type { ConfigObject } from '../../config/object.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { ApiClient } from '../api/api-client.ts';

export type Objects<Collection extends string> = Readonly<Record<Collection, readonly ConfigObject[]>>;

interface ObjectsWatchOptions<Collection extends string> {
  /** What is followed, in words: for the log. */
  readonly what: string;
  /** Path of each collection at the API. */
  readonly paths: Readonly<Record<Collection, string>>;
  readonly client: () => ApiClient;
  /** The part of an object that matters; undefined: nothing of it. Changes of anything else are not told. Default: all of it. */
  readonly keep?: (collection: Collection, object: ConfigObject) => ConfigObject | undefined;
  readonly onChange: (objects: Objects<Collection>) => Promise<void>;
  readonly log: (line: string) => void;
  readonly clock?: Clock;
}

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly ConfigObject[];
}

/** Changes that come together are taken together. */
const pauseMs = 100;

/** Follows objects of the store. Lists again after whatever goes wrong: the control plane may be restarting. */
export class ObjectsWatch<Collection extends string> {
  readonly #options: ObjectsWatchOptions<Collection>;
  readonly #collections: readonly Collection[];
  readonly #clock: Clock;

  constructor(options: ObjectsWatchOptions<Collection>) {
    this.#options = options;
    this.#collections = Object.keys(options.paths) as Collection[];
    this.#clock = options.clock ?? systemClock;
  }

  /** Until the signal ends. */
  async run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#follow(signal, () => {
          attempt = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        if (attempt === 5)
          this.#options.log(`${this.#options.what} cannot be followed, trying on: ${messageOf(error)}`);
      }
      await this.#clock.sleep(backoffDelay(attempt, { initialMs: 100, maxMs: 5_000 }), { signal });
    }
  }

  /** What there is now. */
  async list(signal: AbortSignal): Promise<Objects<Collection>> {
    const { objects } = await this.#list(this.#options.client(), signal);
    return inLists(objects);
  }

  /** One list of everything, then its changes, until one of the watches ends. */
  async #follow(signal: AbortSignal, onListed: () => void): Promise<void> {
    const client = this.#options.client();
    const round = new AbortController();
    const end = AbortSignal.any([signal, round.signal]);
    const { objects, versions } = await this.#list(client, signal);
    onListed();
    const taker = this.#taker(() => inLists(objects));
    await taker();
    const watches = this.#collections.map(async (collection) => {
      const query = `watch=true&resourceVersion=${versions[collection]}`;
      for await (const event of client.stream(`${this.#options.paths[collection]}?${query}`, end)) {
        const { type, object } = event as { type: string; object: ConfigObject };
        if (type === 'ERROR') break;
        if (!['ADDED', 'MODIFIED', 'DELETED'].includes(type)) continue;
        if (this.#take(objects[collection], collection, object, type === 'DELETED')) void taker();
      }
    });
    try {
      await Promise.race(watches);
    } finally {
      round.abort();
      await Promise.allSettled(watches);
    }
  }

  async #list(client: ApiClient, signal: AbortSignal) {
    const objects = {} as Record<Collection, Map<string, ConfigObject>>;
    const versions = {} as Record<Collection, string>;
    const listed = this.#collections.map(async (collection) => {
      const list = await client.get<List>(this.#options.paths[collection], { signal });
      versions[collection] = list.metadata.resourceVersion;
      objects[collection] = new Map();
      for (const object of list.items) this.#take(objects[collection], collection, object, false);
    });
    await Promise.all(listed);
    return { objects, versions };
  }

  /** Whether something that matters changed. */
  #take(
    known: Map<string, ConfigObject>,
    collection: Collection,
    object: ConfigObject,
    gone: boolean,
  ): boolean {
    const { keep = (_, whole) => whole } = this.#options;
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const kept = gone ? undefined : keep(collection, object);
    if (!kept) return known.delete(key);
    const before = known.get(key);
    known.set(key, kept);
    return JSON.stringify(kept) !== JSON.stringify(before);
  }

  /** Takes what there is at the end of a pause; calls meanwhile are one. */
  #taker(now: () => Objects<Collection>): () => Promise<void> {
    const { onChange, log, what } = this.#options;
    let running: Promise<void> | undefined;
    let again = false;
    const take = async (): Promise<void> => {
      do {
        again = false;
        await this.#clock.sleep(pauseMs);
        await onChange(now()).catch((error) =>
          log(`${what} changed, and that could not be taken over: ${messageOf(error)}`),
        );
      } while (again);
      running = undefined;
    };
    return () => {
      again = running !== undefined;
      running ??= take();
      return running;
    };
  }
}

function inLists<Collection extends string>(
  objects: Readonly<Record<Collection, ReadonlyMap<string, ConfigObject>>>,
): Objects<Collection> {
  const lists = {} as Record<Collection, readonly ConfigObject[]>;
  for (const collection of Object.keys(objects) as Collection[])
    lists[collection] = [...objects[collection].values()];
  return lists;
}
