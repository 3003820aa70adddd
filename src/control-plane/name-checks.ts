import { lookup } from 'node:dns/promises';
import type { ConfigObject } from '../config/object.ts';
import type { ConfigChange } from '../config/sources/source.ts';
import type { ObjectRef } from '../config/store/store.ts';
import { parseIp } from '../kit/ip.ts';
import type { ServiceEntrySpec } from '../registry/schema.ts';
import type { StatusWriter } from './status-writer.ts';

/** The condition that says whether the names that an entry's proxies look up exist, as far as the control plane can see. */
export const resolvedCondition = 'NamesResolved';

export interface NameChecksOptions {
  readonly writer: StatusWriter;
  readonly refOf: (key: string) => ObjectRef | undefined;
  /** Rejects where a name has no address. Default: the system's resolver. */
  readonly resolve?: (name: string) => Promise<unknown>;
  /** All names are looked up again this often, in ms. Default 60,000. */
  readonly everyMs?: number;
}

/** Look-ups at a time: a resolver that does not answer must not fill the thread pool that files are read by. */
const atOnce = 2;
/** Names beyond are not looked up. */
const maxNames = 2_000;

/**
 * Looks up what ServiceEntries of resolution DNS name, and says on the entry what cannot be found. Only said, never acted on: proxies
 * resolve by themselves, perhaps by other servers, and a name that they cannot find is an empty cluster to them.
 */
export class NameChecks {
  readonly #options: Required<NameChecksOptions>;
  readonly #names = new Map<string, readonly string[]>();
  /** Entries that said something last time: an entry that was never wrong gets no condition. */
  readonly #wrong = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #running = 0;
  #closed = false;

  constructor(options: NameChecksOptions) {
    this.#options = { resolve: (name) => lookup(name), everyMs: 60_000, ...options };
    this.#timer = setInterval(() => {
      for (const key of this.#names.keys()) this.#want(key);
    }, this.#options.everyMs).unref();
  }

  observe(changes: readonly ConfigChange[]): void {
    for (const { kind, key, object } of changes) {
      if (kind !== 'ServiceEntry') continue;
      const names = object ? namesOf(object) : [];
      const before = this.#names.get(key) ?? [];
      if (object && hasCondition(object)) this.#wrong.add(key);
      if (names.length === 0) this.#names.delete(key);
      else if (this.#names.size < maxNames) this.#names.set(key, names);
      if (names.join() !== before.join()) this.#want(key);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  #want(key: string): void {
    this.#waiting.add(key);
    while (this.#running < atOnce && this.#waiting.size > 0) {
      const [next = ''] = this.#waiting;
      this.#waiting.delete(next);
      this.#running++;
      void this.#check(next).finally(() => {
        this.#running--;
        const [more] = this.#waiting;
        if (more !== undefined && !this.#closed) this.#want(more);
      });
    }
  }

  async #check(key: string): Promise<void> {
    const missing: string[] = [];
    const names = this.#names.get(key) ?? [];
    for (const name of names)
      await this.#options.resolve(name).catch((error: NodeJS.ErrnoException) => {
        missing.push(`${name} (${error.code ?? error.message})`);
      });
    const ref = this.#options.refOf(key);
    if (!ref || this.#closed || (missing.length === 0 && !this.#wrong.has(key))) return;
    if (missing.length > 0) this.#wrong.add(key);
    else this.#wrong.delete(key);
    this.#options.writer.report(
      ref,
      resolvedCondition,
      missing.length === 0
        ? null
        : {
            status: 'False',
            reason: 'NameNotFound',
            message: `the control plane finds no address of ${missing.slice(0, 5).join(', ')}; proxies that find none either answer 503`,
          },
    );
  }
}

/** The names that proxies look up for an entry. */
function namesOf(object: ConfigObject): string[] {
  const {
    resolution,
    endpoints = [],
    hosts = [],
    workloadSelector,
  } = (object.spec ?? {}) as ServiceEntrySpec;
  if (resolution !== 'DNS' && resolution !== 'DNS_ROUND_ROBIN') return [];
  const addresses = endpoints.flatMap(({ address }) => address ?? []);
  const named = endpoints.length > 0 || workloadSelector ? addresses : hosts;
  return named.filter((name) => !parseIp(name) && !name.startsWith('unix://') && !name.startsWith('*'));
}

function hasCondition(object: ConfigObject): boolean {
  const { conditions = [] } = (object.status ?? {}) as { conditions?: { type: string }[] };
  return conditions.some(({ type }) => type === resolvedCondition);
}
