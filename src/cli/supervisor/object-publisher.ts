import type { ConfigObject } from '../../config/object.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { backoffDelay } from '../../kit/retry.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { fieldManager } from './mesh-objects.ts';

/** Where the kinds that a mesh file owns are served. */
const collections: Readonly<Record<string, (namespace: string) => string>> = {
  Namespace: () => '/api/v1/namespaces',
  ServiceAccount: (namespace) => `/api/v1/namespaces/${namespace}/serviceaccounts`,
  Service: (namespace) => `/api/v1/namespaces/${namespace}/services`,
  Pod: (namespace) => `/api/v1/namespaces/${namespace}/pods`,
  WorkloadEntry: (namespace) => `/apis/networking.istio.io/v1/namespaces/${namespace}/workloadentries`,
};

/** The order in which kinds are written: what others refer to comes first. */
const kindOrder = Object.keys(collections);

interface Wanted {
  readonly object: ConfigObject;
  readonly subresource?: 'status';
}

/**
 * Brings objects to the API server and keeps at it: what is wanted last of an object is what arrives, however often the
 * server is away meanwhile. An object that is refused is reported once and not tried again until it changes.
 */
export class ObjectPublisher {
  readonly #client: ApiClient;
  readonly #log: (line: string) => void;
  readonly #clock: Clock;
  readonly #pending = new Map<string, Wanted>();
  readonly #abort = new AbortController();
  #working: Promise<void> | undefined;
  #idle: (() => void)[] = [];

  constructor(client: ApiClient, log: (line: string) => void, clock: Clock = systemClock) {
    this.#client = client;
    this.#log = log;
    this.#clock = clock;
  }

  /** Wants an object (or its status) to be as given; replaces what was wanted of it before. */
  want(object: ConfigObject, subresource?: 'status'): void {
    const key = `${identity(object)}${subresource ? '/status' : ''}`;
    this.#pending.set(key, { object, ...(subresource ? { subresource } : {}) });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when everything wanted has been written (or refused), or the signal ends. */
  settled(signal: AbortSignal): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** Deletes objects; one that is gone already counts as deleted. */
  async remove(objects: readonly ConfigObject[]): Promise<void> {
    for (const object of objects) {
      this.#pending.delete(identity(object));
      this.#pending.delete(`${identity(object)}/status`);
      try {
        await this.#client.request({ method: 'DELETE', path: pathOf(object), timeoutMs: 5_000 });
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404))
          this.#log(`${identity(object)} could not be deleted: ${messageOf(error)}`);
      }
    }
  }

  close(): void {
    this.#abort.abort();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #work(): Promise<void> {
    for (let attempt = 0; this.#pending.size > 0 && !this.#abort.signal.aborted; ) {
      const [key, wanted] = this.#next();
      try {
        await this.#write(wanted);
        attempt = 0;
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (isTransient(error)) {
          if (attempt === 3) this.#log(`cannot write to the API, trying on: ${messageOf(error)}`);
          await this.#clock.sleep(backoffDelay(attempt++, { initialMs: 50, maxMs: 2_000 }), {
            signal: this.#abort.signal,
          });
          continue;
        }
        this.#log(`the API server refuses ${key}: ${messageOf(error)}`);
      }
      // A newer wish for the same object may have come meanwhile: that one stays.
      if (this.#pending.get(key) === wanted) this.#pending.delete(key);
    }
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #next(): [string, Wanted] {
    let best: [string, Wanted] | undefined;
    for (const entry of this.#pending) if (!best || rank(entry[1]) < rank(best[1])) best = entry;
    return best as [string, Wanted];
  }

  async #write({ object, subresource }: Wanted): Promise<void> {
    await this.#client.apply(pathOf(object), object, {
      fieldManager,
      force: true,
      signal: this.#abort.signal,
      ...(subresource ? { subresource } : {}),
    });
  }
}

function rank({ object, subresource }: Wanted): number {
  return kindOrder.indexOf(object.kind) + (subresource ? kindOrder.length : 0);
}

function identity(object: ConfigObject): string {
  return `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function pathOf(object: ConfigObject): string {
  const collection = collections[object.kind];
  if (!collection) throw new Error(`mesh files own no ${object.kind}`);
  return `${collection(object.metadata.namespace ?? '')}/${object.metadata.name}`;
}

/** The server is away, starting, or overloaded: another attempt can succeed. */
function isTransient(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500 || error.status === 429 || error.status === 409;
}
