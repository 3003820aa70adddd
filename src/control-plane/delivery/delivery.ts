import { setTimeout as sleep } from 'node:timers/promises';
import type { CompileFailure } from '../../snapshot/push.ts';
import type { Ledger, RejectedEvent } from '../../xds/ledger.ts';
import { shortType } from '../../xds/xds-type.ts';
import { type DeliveryReport, type Laggard, listed, type Refusal } from './delivery-report.ts';
import type { FlushLog } from './flush-log.ts';
import type { RevisionBook } from './revision-book.ts';

export interface DeliveryParts {
  readonly ledger: Ledger;
  readonly flushes: FlushLog;
  /** Of the store. */
  readonly revisions: RevisionBook;
  readonly engine: { readonly revision: number; failures(): CompileFailure[] };
}

/** A change of the store: the first and the last of its revisions. */
export interface AskedChange {
  readonly first: number;
  readonly last: number;
  /** How long the answer may wait for the change to arrive, in ms. */
  readonly waitMs: number;
}

interface Noted {
  readonly event: RejectedEvent;
  /** ms since the epoch. */
  readonly at: number;
}

/** Refusals that are remembered although something else was taken in their place. */
const maxNoted = 256;
/** How often a wait looks whether the compile has come so far, ms. */
const pollMs = 10;

/** Answers whether a change has reached every proxy that it concerns. Everything is worked out when somebody asks. */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #noted: Noted[] = [];

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** Listens to a ledger; returns the way to stop. */
  follow(): () => void {
    return this.#parts.ledger.onRejected((event) => {
      this.#noted.push({ event, at: Date.now() });
      if (this.#noted.length > maxNoted) this.#noted.shift();
    });
  }

  async report({ first, last, waitMs }: AskedChange): Promise<DeliveryReport> {
    const until = performance.now() + waitMs;
    const left = (): number => until - performance.now();
    const { engine, revisions } = this.#parts;
    let revision = this.#compiled(last);
    while (revision === undefined && left() > 0) {
      await sleep(pollMs, undefined, { ref: false });
      revision = this.#compiled(last);
    }
    if (revision === undefined) return { ...nothing, failures: failureTexts(engine.failures()) };
    return this.reportOf({
      first: revisions.meshRevisionOf(first) ?? revision,
      last: revision,
      waitMs: left(),
    });
  }

  /** The same for revisions of the mesh that are compiled. */
  async reportOf({ first, last, waitMs }: AskedChange): Promise<DeliveryReport> {
    const until = performance.now() + waitMs;
    const left = (): number => until - performance.now();
    const { ledger } = this.#parts;
    const proxies = this.#concerned(first, last).proxies;
    await ledger.waitFor(last, { proxies, timeoutMs: Math.max(0, left()) });
    // One that has just come back is not waited for above: its first state is still on its way.
    while (left() > 0 && ledger.lags(last, proxies).lagging.length > 0)
      await sleep(pollMs, undefined, { ref: false });
    return this.#describe(first, last);
  }

  /** The revision of the mesh that holds one of the store; undefined: it is not compiled yet. */
  #compiled(storeRevision: number): number | undefined {
    const { revisions, engine } = this.#parts;
    const revision = revisions.meshRevisionOf(storeRevision);
    return revision !== undefined && engine.revision >= revision ? revision : undefined;
  }

  #concerned(first: number, last: number) {
    const { flushes, ledger } = this.#parts;
    const found = flushes.concernedBy(first, last);
    return found.isKnown ? found : { ...found, proxies: ledger.connected() };
  }

  #describe(first: number, revision: number): DeliveryReport {
    const { ledger, engine } = this.#parts;
    const { proxies, since, isKnown } = this.#concerned(first, revision);
    const { lagging, absent } = ledger.lags(revision, proxies);
    const late = new Set([...lagging.map(({ proxyId }) => proxyId), ...absent]);
    const now = Date.now();
    const laggards = lagging.flatMap(({ proxyId, types }) =>
      types.map(
        ({ typeUrl, reason, sentAt, acknowledged }): Laggard => ({
          proxy: proxyId,
          type: shortType(typeUrl),
          reason,
          waitedMs: now - (sentAt ?? since ?? now),
          acknowledgedMs: acknowledged && now - acknowledged.at,
        }),
      ),
    );
    return {
      compiled: true,
      done: lagging.length === 0,
      isKnown,
      concerned: proxies.size,
      acknowledged: proxies.size - late.size,
      answered: [...proxies].filter((id) => !late.has(id)).sort(),
      laggards: laggards.slice(0, listed),
      absent: absent.slice(0, listed),
      refusals: this.#refusals(proxies, since ?? now).slice(0, listed),
      failures: failureTexts(engine.failures()),
    };
  }

  /** What the proxies refused since then, whether it still stands or not; then what any proxy refuses for longer. */
  #refusals(proxies: ReadonlySet<string>, since: number): Refusal[] {
    const { ledger } = this.#parts;
    const present = ledger.refusals(ledger.connected());
    const isNew = ({ proxyId, details }: RejectedEvent): boolean =>
      proxies.has(proxyId) && details.some(({ at }) => at >= since);
    const standing = new Set(present.map(identity));
    const past = this.#noted
      .filter(({ at, event }) => at >= since && proxies.has(event.proxyId) && !standing.has(identity(event)))
      .map(({ event }) => event);
    return [
      ...joined(present.filter(isNew), { stands: true, isNew: true }),
      ...joined(past, { stands: false, isNew: true }),
      ...joined(
        present.filter((event) => !isNew(event)),
        { stands: true, isNew: false },
      ),
    ];
  }
}

const nothing: DeliveryReport = {
  compiled: false,
  done: false,
  isKnown: true,
  concerned: 0,
  acknowledged: 0,
  answered: [],
  laggards: [],
  absent: [],
  refusals: [],
  failures: [],
};

function identity({ proxyId, typeUrl, message }: RejectedEvent): string {
  return `${proxyId} ${typeUrl} ${message}`;
}

/** The same words of many proxies as one refusal. */
function joined(events: readonly RejectedEvent[], kind: Pick<Refusal, 'stands' | 'isNew'>): Refusal[] {
  const groups = Map.groupBy(events, ({ typeUrl, message }) => `${typeUrl} ${message}`);
  return [...groups.values()].map((group) => ({
    proxies: [...new Set(group.map(({ proxyId }) => proxyId))].sort(),
    type: shortType(group[0]?.typeUrl ?? ''),
    resources: [...new Set(group.flatMap(({ resources }) => resources))].sort(),
    message: group[0]?.message ?? '',
    origins: group[0]?.origins ?? [],
    ...kind,
  }));
}

function failureTexts(failures: readonly CompileFailure[]): string[] {
  return failures
    .slice(0, listed)
    .map(
      ({ query, args, error }) =>
        `${query}(${args.join(', ')}): ${error instanceof Error ? error.message : error}`,
    );
}
