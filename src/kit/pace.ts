export interface PaceOptions {
  /** Share of the time that the work may take in the long run; 0 to 1. */
  readonly share: number;
  /** ms of each piece of work that count for nothing. */
  readonly freeMs: number;
  /** ms of work that may be done ahead of the share: a single piece, however long, is followed at once by the next. */
  readonly allowanceMs: number;
  /** ms that the next piece waits at most; 0: it never waits. */
  readonly maxMs: number;
}

/**
 * How soon work may be done again, by how long it took the last times: work of which each piece does all that has come meanwhile.
 * Short pieces never wait, nor does a long one now and then; a burst of long ones comes together in fewer. Times in ms, monotonic.
 */
export class Pace {
  readonly #options: PaceOptions;
  /** ms of work that the share has not paid off yet. */
  #debt = 0;
  #debtAt = 0;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** A piece of work is done. */
  done(tookMs: number, now: number): void {
    const { freeMs, allowanceMs, maxMs, share } = this.#options;
    const debt = this.#debtAfter(now) + Math.max(0, tookMs - freeMs);
    this.#debt = Math.min(debt, allowanceMs + maxMs * share);
    this.#debtAt = now;
  }

  /** ms until the next piece may begin; 0: at once. */
  wait(now: number): number {
    const { allowanceMs, share } = this.#options;
    return Math.max(0, this.#debtAfter(now) - allowanceMs) / share;
  }

  #debtAfter(now: number): number {
    return Math.max(0, this.#debt - (now - this.#debtAt) * this.#options.share);
  }
}
