import type { ConfigObject } from '../../config/object.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { ApiClient } from '../api/api-client.ts';
import type { MeshGateway } from '../mesh-file/mesh-file.ts';
import { type GatewayObjects, gatewaysToStart } from './started-gateways.ts';

const group = '/apis/gateway.networking.k8s.io/v1';
/** What decides which gateways are to run. */
const collections = ['gateways', 'gatewayclasses', 'listenersets'] as const;

type Collection = (typeof collections)[number];

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly ConfigObject[];
}

/** Changes that come together are taken together. */
const pauseMs = 100;

/**
 * Follows the Gateways of the store, and tells which Envoys they want. Lists again after whatever goes wrong: the control plane may be
 * restarting.
 */
export class GatewayWatch {
  readonly #client: () => ApiClient;
  readonly #onChange: (gateways: readonly MeshGateway[]) => Promise<void>;
  readonly #log: (line: string) => void;
  readonly #clock: Clock;

  constructor(options: {
    client: () => ApiClient;
    onChange: (gateways: readonly MeshGateway[]) => Promise<void>;
    log: (line: string) => void;
    clock?: Clock;
  }) {
    this.#client = options.client;
    this.#onChange = options.onChange;
    this.#log = options.log;
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
        if (attempt === 5) this.#log(`Gateways cannot be followed, trying on: ${messageOf(error)}`);
      }
      await this.#clock.sleep(backoffDelay(attempt, { initialMs: 100, maxMs: 5_000 }), { signal });
    }
  }

  /** One list of everything, then its changes, until one of the watches ends. */
  async #follow(signal: AbortSignal, onListed: () => void): Promise<void> {
    const client = this.#client();
    const round = new AbortController();
    const end = AbortSignal.any([signal, round.signal]);
    const objects: Record<Collection, Map<string, ConfigObject>> = {
      gateways: new Map(),
      gatewayclasses: new Map(),
      listenersets: new Map(),
    };
    const lists = await Promise.all(
      collections.map((collection) => client.get<List>(`${group}/${collection}`, { signal })),
    );
    collections.forEach((collection, index) => {
      for (const object of lists[index]?.items ?? []) objects[collection].set(keyOf(object), object);
    });
    onListed();
    const taker = this.#taker(() => gatewaysToStart(inLists(objects)));
    await taker();
    const watches = collections.map(async (collection, index) => {
      const version = lists[index]?.metadata.resourceVersion ?? '';
      const path = `${group}/${collection}?watch=true&resourceVersion=${version}`;
      for await (const event of client.stream(path, end)) {
        const { type, object } = event as { type: string; object: ConfigObject };
        if (type === 'ERROR') break;
        if (type === 'DELETED') objects[collection].delete(keyOf(object));
        else if (type === 'ADDED' || type === 'MODIFIED') objects[collection].set(keyOf(object), object);
        else continue;
        void taker();
      }
    });
    try {
      await Promise.race(watches);
    } finally {
      round.abort();
      await Promise.allSettled(watches);
    }
  }

  /** Takes what is wanted at the end of a pause; calls meanwhile are one. */
  #taker(wanted: () => readonly MeshGateway[]): () => Promise<void> {
    let running: Promise<void> | undefined;
    let again = false;
    const take = async (): Promise<void> => {
      do {
        again = false;
        await this.#clock.sleep(pauseMs);
        await this.#onChange(wanted()).catch((error) =>
          this.#log(`gateways could not be started: ${messageOf(error)}`),
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

function keyOf({ metadata }: ConfigObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function inLists(objects: Record<Collection, Map<string, ConfigObject>>): GatewayObjects {
  const list = (collection: Collection) => [...objects[collection].values()];
  return {
    gateways: list('gateways'),
    classes: list('gatewayclasses'),
    listenerSets: list('listenersets'),
  };
}
