import type { Push, ResourceSource } from '../../snapshot/push.ts';

/** What one flush of the compile sent to whom. */
export interface FlushRecord {
  /** It brought what came after this revision … */
  readonly from: number;
  /** … up to this one. */
  readonly to: number;
  /** ms since the epoch. */
  readonly at: number;
  /** Sets of proxies that were sent something; shared with the compile. */
  readonly concerned: readonly ReadonlySet<string>[];
}

export interface ConcernedProxies {
  readonly proxies: ReadonlySet<string>;
  /** When the first flush of them began, in ms since the epoch; undefined: none sent anything. */
  readonly since: number | undefined;
  /** False: the revisions are too old to say, and `proxies` is empty. */
  readonly isKnown: boolean;
}

/** Flushes that are remembered. */
const defaultLimit = 512;

/**
 * Remembers which proxies each flush concerned, for the question whether a change has arrived. Costs a few references per flush: the
 * sets belong to the classes of the compile and are shared.
 */
export class FlushLog {
  readonly #limit: number;
  readonly #records: FlushRecord[] = [];
  /** Of revisions up to this one nothing is known. */
  #forgotten = 0;
  #concerned: ReadonlySet<string>[] = [];

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  /** Listens to what the compile pushes; returns the way to stop. */
  follow(compile: Pick<ResourceSource, 'onPush'>): () => void {
    return compile.onPush((push) => this.#pushed(push));
  }

  #pushed({ deltas }: Push): void {
    for (const { proxies } of deltas)
      if (proxies.size > 0 && !this.#concerned.includes(proxies)) this.#concerned.push(proxies);
  }

  /** A flush has ended. */
  flushed(from: number, to: number): void {
    const concerned = this.#concerned;
    this.#concerned = [];
    if (concerned.length === 0) return;
    this.#records.push({ from, to, at: Date.now(), concerned });
    if (this.#records.length > this.#limit) this.#forgotten = this.#records.shift()?.to ?? this.#forgotten;
  }

  /** The proxies that changes of the revisions `first` to `last` were sent to. What was flushed together with them counts too. */
  concernedBy(first: number, last: number): ConcernedProxies {
    if (first <= this.#forgotten) return { proxies: new Set(), since: undefined, isKnown: false };
    const records = this.#records.filter(({ from, to }) => from < last && to >= first);
    const sets = new Set(records.flatMap(({ concerned }) => concerned));
    const proxies = new Set([...sets].flatMap((set) => [...set]));
    return { proxies, since: records[0]?.at, isKnown: true };
  }
}
