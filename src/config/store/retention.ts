import { type Clock, systemClock } from '../../kit/clock.ts';

export interface RetentionOptions {
  /** History that is kept: at least this many commits (default 10,000) … */
  historyCommits?: number;
  /** … and at least what is younger than this, in ms (default 5 minutes). */
  historyMs?: number;
  clock?: Clock;
}

/** Decides what history may go. Asked now and then, it remembers when which revision was the newest. */
export class Retention {
  readonly #commits: number;
  readonly #ms: number;
  readonly #clock: Clock;
  /** Oldest first. */
  #ages: { at: number; revision: number }[] = [];

  constructor(options: RetentionOptions) {
    this.#commits = options.historyCommits ?? 10_000;
    this.#ms = options.historyMs ?? 5 * 60_000;
    this.#clock = options.clock ?? systemClock;
  }

  /** History before this revision may be forgotten; 0: none. `revision` is the newest. */
  forgettable(revision: number): number {
    const now = this.#clock.now();
    if (this.#ages.at(-1)?.revision !== revision) this.#ages.push({ at: now, revision });
    const old = this.#ages.filter(({ at }) => at <= now - this.#ms);
    const newestOld = old.at(-1);
    if (!newestOld) return 0;
    this.#ages = this.#ages.slice(old.length - 1);
    return Math.max(0, Math.min(newestOld.revision, revision - this.#commits));
  }
}
