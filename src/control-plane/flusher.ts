import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { Pace, type PaceOptions } from '../kit/pace.ts';
import type { Engine } from '../snapshot/engine/engine.ts';

/** How often a hold is looked at again, in ms: its clock may stand still while the process has no chance to run. */
const holdStepMs = 25;

/** The longest stretch of compile work without letting other work run, in ms. */
const sliceMs = 20;

/**
 * Edits one by one are flushed at once. Thousands in a burst are flushed together where a flush takes long, as it does when each
 * alters a list of thousands: else every flush but the last would be work for nothing.
 */
const defaultPace: PaceOptions = { share: 0.1, freeMs: 5, allowanceMs: 250, maxMs: 1_000 };

/**
 * Brings the engine up to date after changes: one flush at a time, begun as soon as the event loop turns, so that what one
 * batch changed goes out together and nothing waits for a timer.
 */
export class Flusher {
  readonly #engine: Engine;
  readonly #onError: (error: unknown) => void;
  readonly #pace: Pace;
  readonly #onFlush: ((from: number, to: number) => void) | undefined;
  readonly #now: () => number;
  #running: Promise<void> | undefined;
  #heldUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * `pace`: of flushes that follow each other, by the CPU time that they take. `onFlush`: told of the revisions that a flush
   * took the mesh from and to, after its push. `now`: the clock of holds, in ms.
   */
  constructor(
    engine: Engine,
    onError: (error: unknown) => void,
    options: {
      readonly pace?: PaceOptions;
      readonly onFlush?: (from: number, to: number) => void;
      readonly now?: () => number;
    } = {},
  ) {
    this.#engine = engine;
    this.#onError = onError;
    this.#pace = new Pace(options.pace ?? defaultPace);
    this.#onFlush = options.onFlush;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Asks for a flush; cheap, call it after every change. `heldUntil` (by the clock of holds): not before, unless a later request
   * says otherwise.
   */
  request(heldUntil = 0): void {
    this.#heldUntil = heldUntil;
    clearTimeout(this.#timer);
    if (this.#running || this.#closed) return;
    const wait = this.#holdMs;
    if (wait > 0) {
      this.#timer = setTimeout(() => this.request(heldUntil), Math.min(wait, holdStepMs));
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#engine.pending) this.request(this.#heldUntil);
    });
  }

  /** Asks for a flush that waits no less than those asked for before. Resolves when what is applied by now has been pushed. */
  async soon(): Promise<void> {
    if (this.#running) await this.#running;
    while (this.#engine.pending && !this.#closed) {
      if (!this.#running) this.request(this.#heldUntil);
      if (this.#running) {
        await this.#running;
        return;
      }
      await sleep(Math.max(1, Math.min(this.#holdMs, holdStepMs)), undefined, { ref: false });
    }
  }

  /** Nothing is under way or waits: `applyNow` pushes before it returns. */
  get isIdle(): boolean {
    return (
      !this.#running && !this.#engine.pending && !this.#closed && this.#pace.wait(performance.now()) <= 0
    );
  }

  /**
   * Makes a small change that a request waits for, and pushes it before it returns where nothing else is under way or waits. Resolves
   * when it has been pushed.
   */
  async applyNow(change: () => void): Promise<void> {
    const { isIdle } = this;
    change();
    if (!isIdle) return this.soon();
    const since = threadCpuMs();
    const from = this.#engine.revision;
    try {
      this.#engine.flush();
      this.#onFlush?.(from, this.#engine.revision);
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#pace.done(threadCpuMs() - since, performance.now());
    }
  }

  get #holdMs(): number {
    return this.#heldUntil === 0 ? 0 : this.#heldUntil - this.#now();
  }

  /** Resolves when everything applied so far has been pushed. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    await immediate();
    while (this.#engine.pending && !this.#closed && this.#holdMs <= 0) {
      const wait = this.#pace.wait(performance.now());
      if (wait > 0) {
        await sleep(wait, undefined, { ref: false });
        continue;
      }
      try {
        await this.#flush();
      } catch (error) {
        this.#onError(error);
        return;
      }
    }
  }

  /** What other work does in the pauses does not count, nor how busy the machine is. */
  async #flush(): Promise<void> {
    let cpuMs = 0;
    let since = threadCpuMs();
    const pause = async (): Promise<void> => {
      cpuMs += threadCpuMs() - since;
      await immediate();
      since = threadCpuMs();
    };
    const from = this.#engine.revision;
    try {
      await this.#engine.flushAsync({ sliceMs, pause });
      this.#onFlush?.(from, this.#engine.revision);
    } finally {
      this.#pace.done(cpuMs + threadCpuMs() - since, performance.now());
    }
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
