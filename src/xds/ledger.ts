import type { Origin } from '../config/origin.ts';
import type { DeliveryMark, RejectedResource } from './watch.ts';

/** SYNCED: everything sent is acknowledged. STALE: something is not sent or not answered yet. NACKED: the client refused something. */
export type SyncState = 'SYNCED' | 'STALE' | 'NOT SENT' | 'NACKED';

export interface TypeStatus {
  readonly typeUrl: string;
  readonly state: SyncState;
  /** Times in ms since the epoch; undefined: never. */
  readonly sent: DeliveryMark | undefined;
  readonly acknowledged: DeliveryMark | undefined;
  readonly rejected: readonly RejectedResource[];
  /** Number of resources that the client holds. */
  readonly held: number;
}

export interface ProxyStatus {
  readonly proxyId: string;
  readonly namespace: string;
  readonly protocol: 'delta' | 'sotw';
  readonly connectedAt: number;
  readonly address: string;
  readonly types: readonly TypeStatus[];
}

/** Name and version of each resource that a client acknowledged last. */
export interface HeldResources {
  readonly typeUrl: string;
  readonly resources: readonly { readonly name: string; readonly version: string }[];
}

export interface RejectedEvent {
  readonly proxyId: string;
  readonly typeUrl: string;
  readonly resources: readonly string[];
  /** What the client said. */
  readonly message: string;
  readonly origins: readonly Origin[];
  /** The resources one by one, with the version that was refused. */
  readonly details: readonly RejectedResource[];
}

export interface RecoveredEvent {
  readonly proxyId: string;
  readonly typeUrl: string;
  readonly resources: readonly string[];
}

/** Why a client has not answered for a type yet. */
export type LagReason =
  /** It was sent, and the client has neither acknowledged nor refused it. */
  | 'unanswered'
  /** The client does not read what was written to its connection. */
  | 'unread'
  /** A listener or route waits for clusters that warm, or that the client refused. */
  | 'waits for clusters'
  /** Not sent yet: the type has a pace, or others have their turn. */
  | 'unsent';

/** A type of which a client has not answered for a revision. */
export interface Lag {
  readonly typeUrl: string;
  readonly reason: LagReason;
  /** When the response that is not answered was sent, in ms since the epoch; undefined: none is. */
  readonly sentAt: number | undefined;
  /** What the client acknowledged last of the type; undefined: nothing. */
  readonly acknowledged: DeliveryMark | undefined;
}

/** A client that has not answered for a revision; `types` is empty where its state could not be told apart. */
export interface ProxyLag {
  readonly proxyId: string;
  readonly namespace: string;
  readonly types: readonly Lag[];
}

/** A stream, as the ledger sees it. */
export interface LedgerStream {
  readonly proxyId: string;
  readonly namespace: string;
  isSynced(revision: number): boolean;
  /** What keeps it from being synced; empty where it is. A client that has just come lags until it has acknowledged its first state. */
  lag(revision: number): readonly Lag[];
  status(): ProxyStatus;
  heldResources(): readonly HeldResources[];
  rejectedResources(): readonly RejectedEvent[];
}

export interface WaitResult {
  /** The revision is compiled and every proxy concerned has answered; rejected resources count as answered. */
  readonly done: boolean;
  /** Proxies that have not acknowledged in time. */
  readonly waiting: readonly string[];
  /** What proxies refuse at present. */
  readonly rejected: readonly RejectedEvent[];
}

interface Waiter {
  readonly revision: number;
  readonly streams: Set<LedgerStream>;
  readonly finish: () => void;
}

/** How often a wait looks whether the source has reached a revision: a change that alters no resource makes no push. */
const revisionPollMs = 5;

export interface LedgerOptions {
  /** How long a refusal outlives the stream of the proxy that made it, in ms: it may come back. Default 30,000. */
  readonly goneGraceMs?: number;
}

const defaultGoneGraceMs = 30_000;

/** What every connected proxy was sent, and what it said to it. */
export class Ledger {
  readonly #streams = new Set<LedgerStream>();
  readonly #waiters = new Set<Waiter>();
  readonly #onRejected = new Set<(event: RejectedEvent) => void>();
  readonly #onRecovered = new Set<(event: RecoveredEvent) => void>();
  readonly #goneGraceMs: number;
  #revision: () => number = () => 0;

  constructor(options: LedgerOptions = {}) {
    this.#goneGraceMs = options.goneGraceMs ?? defaultGoneGraceMs;
  }

  /** For the server: where the delivered revision is read. */
  bind(revision: () => number): void {
    this.#revision = revision;
  }

  open(stream: LedgerStream): void {
    this.#streams.add(stream);
  }

  close(stream: LedgerStream): void {
    this.#streams.delete(stream);
    this.#leave(stream, () => true);
    const refused = stream.rejectedResources();
    if (refused.length > 0) setTimeout(() => this.#forget(refused), this.#goneGraceMs).unref();
  }

  /** What a proxy refused before it left, and does not refuse at present: it came back and took it, or it is gone for good. */
  #forget(refused: readonly RejectedEvent[]): void {
    for (const { proxyId, typeUrl, resources } of refused) {
      const again = [...this.#streams]
        .filter((stream) => stream.proxyId === proxyId)
        .flatMap((stream) => stream.rejectedResources())
        .filter((event) => event.typeUrl === typeUrl)
        .flatMap((event) => event.resources);
      const over = resources.filter((name) => !again.includes(name));
      if (over.length > 0) this.noteRecovered({ proxyId, typeUrl, resources: over });
    }
  }

  /** For the server: a stream has acknowledged or rejected something. */
  progress(stream: LedgerStream): void {
    if (this.#waiters.size > 0) this.#leave(stream, (revision) => stream.isSynced(revision));
  }

  #leave(stream: LedgerStream, isDone: (revision: number) => boolean): void {
    for (const waiter of this.#waiters) {
      if (!waiter.streams.has(stream) || !isDone(waiter.revision)) continue;
      waiter.streams.delete(stream);
      if (waiter.streams.size === 0) waiter.finish();
    }
  }

  noteRejected(event: RejectedEvent): void {
    for (const listener of this.#onRejected) listener(event);
  }

  noteRecovered(event: RecoveredEvent): void {
    for (const listener of this.#onRecovered) listener(event);
  }

  /** Calls back when a proxy refuses resources. Returns the unsubscribe function. */
  onRejected(listener: (event: RejectedEvent) => void): () => void {
    this.#onRejected.add(listener);
    return () => this.#onRejected.delete(listener);
  }

  /** Calls back when a proxy took a newer version of what it had refused, no longer needs it, or is gone for good. */
  onRecovered(listener: (event: RecoveredEvent) => void): () => void {
    this.#onRecovered.add(listener);
    return () => this.#onRecovered.delete(listener);
  }

  /** The state of every connected proxy, in the order of their ids. */
  snapshot(): ProxyStatus[] {
    const all = [...this.#streams].map((stream) => stream.status());
    return all.sort((a, b) => (a.proxyId < b.proxyId ? -1 : a.proxyId > b.proxyId ? 1 : 0));
  }

  /** What one proxy holds, as it acknowledged it. Undefined: it is not connected. */
  held(proxyId: string): readonly HeldResources[] | undefined {
    const streams = [...this.#streams].filter((stream) => stream.proxyId === proxyId);
    return streams.length === 0 ? undefined : streams.flatMap((stream) => stream.heldResources());
  }

  /**
   * Waits until the proxies (default: all that are connected when the revision is reached) have answered everything up to a
   * configuration revision. A proxy that disconnects is no longer waited for. Never rejects.
   */
  async waitFor(
    revision: number,
    options: { proxies?: ReadonlySet<string>; timeoutMs: number },
  ): Promise<WaitResult> {
    const until = performance.now() + options.timeoutMs;
    while (this.#revision() < revision) {
      if (performance.now() >= until) return this.#result(this.#select(options.proxies), false);
      await new Promise((resolve) => setTimeout(resolve, revisionPollMs));
    }
    const streams = new Set(
      [...this.#select(options.proxies)].filter((stream) => !stream.isSynced(revision)),
    );
    if (streams.size > 0) await this.#wait(revision, streams, Math.max(0, until - performance.now()));
    return this.#result(streams);
  }

  /** Which of some proxies have not answered for a revision, in the order of their ids, and which are not connected at all. */
  lags(
    revision: number,
    proxies: ReadonlySet<string>,
  ): { readonly lagging: readonly ProxyLag[]; readonly absent: readonly string[] } {
    const absent = new Set(proxies);
    const lagging = new Map<string, ProxyLag>();
    for (const stream of this.#select(proxies)) {
      const { proxyId, namespace } = stream;
      absent.delete(proxyId);
      const types = [...(lagging.get(proxyId)?.types ?? []), ...stream.lag(revision)];
      if (types.length > 0) lagging.set(proxyId, { proxyId, namespace, types });
    }
    return {
      lagging: [...lagging.values()].sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1)),
      absent: [...absent].sort(),
    };
  }

  /** What some proxies refuse at present. */
  refusals(proxies: ReadonlySet<string>): readonly RejectedEvent[] {
    return [...this.#select(proxies)].flatMap((stream) => stream.rejectedResources());
  }

  /** Ids of the proxies that are connected. */
  connected(): ReadonlySet<string> {
    return new Set([...this.#streams].map(({ proxyId }) => proxyId));
  }

  #select(proxies: ReadonlySet<string> | undefined): Set<LedgerStream> {
    if (!proxies) return new Set(this.#streams);
    return new Set([...this.#streams].filter((stream) => proxies.has(stream.proxyId)));
  }

  #wait(revision: number, streams: Set<LedgerStream>, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve();
      };
      const timer = setTimeout(finish, timeoutMs);
      const waiter: Waiter = { revision, streams, finish };
      this.#waiters.add(waiter);
    });
  }

  #result(waiting: ReadonlySet<LedgerStream>, isReached = true): WaitResult {
    return {
      done: isReached && waiting.size === 0,
      waiting: [...new Set([...waiting].map((stream) => stream.proxyId))].sort(),
      rejected: [...this.#streams].flatMap((stream) => stream.rejectedResources()),
    };
  }
}

export function createLedger(options?: LedgerOptions): Ledger {
  return new Ledger(options);
}
