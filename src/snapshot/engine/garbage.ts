import { clean, dead, type Entry } from './entry.ts';
import { removeLink } from './links.ts';
import type { RootClass } from './root-class.ts';

/**
 * Entries that nothing refers to. They are kept for a while: the last proxy of a class that reconnects, or a service that is
 * applied again, finds them. What is no longer valid is not worth keeping.
 */
export class Garbage {
  /** Unreferenced, by the time since when; oldest first. */
  readonly #unheld = new Map<Entry, number>();
  readonly #stale = new Set<Entry>();
  readonly #retire: (entry: Entry) => void;
  /** Milliseconds; set by the engine at each step. */
  now = 0;

  constructor(retire: (entry: Entry) => void) {
    this.#retire = retire;
  }

  get size(): number {
    return this.#unheld.size;
  }

  unheld(entry: Entry): void {
    this.#unheld.delete(entry);
    this.#unheld.set(entry, this.now);
    if (entry.state !== clean) this.#stale.add(entry);
  }

  held(entry: Entry): void {
    this.#unheld.delete(entry);
  }

  stale(entry: Entry): void {
    this.#stale.add(entry);
  }

  unlink(child: Entry, parent: Entry | RootClass): void {
    child.parents = removeLink(child.parents, parent);
    if (child.parents === undefined && child.state !== dead) this.unheld(child);
  }

  /** For a parent whose own grace period is over: what it held alone goes with it. */
  drop(child: Entry, parent: RootClass): void {
    child.parents = removeLink(child.parents, parent);
    this.#cascade(child);
  }

  /** Retires what is stale, and what has been unreferenced since before `before`; what hung below goes with it. */
  collect(before: number): void {
    for (const entry of this.#stale)
      if (entry.parents === undefined && entry.state !== clean) this.#retire(entry);
    this.#stale.clear();
    for (const [entry, since] of this.#unheld) {
      if (since > before) break;
      // What it held alone is as old as it: no second grace period.
      const children = entry.children;
      this.#retire(entry);
      for (const child of children) this.#cascade(child);
    }
  }

  #cascade(entry: Entry): void {
    if (entry.parents !== undefined || entry.state === dead) return;
    const children = entry.children;
    this.#retire(entry);
    for (const child of children) this.#cascade(child);
  }
}
