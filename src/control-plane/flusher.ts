import { setImmediate as immediate } from 'node:timers/promises';
import type { Engine } from '../snapshot/engine/engine.ts';

/** The longest stretch of compile work without letting other work run, in ms. */
const sliceMs = 20;

/**
 * Brings the engine up to date after changes: one flush at a time, begun as soon as the event loop turns, so that what one
 * batch changed goes out together and nothing waits for a timer.
 */
export class Flusher {
  readonly #engine: Engine;
  readonly #onError: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #heldUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(engine: Engine, onError: (error: unknown) => void) {
    this.#engine = engine;
    this.#onError = onError;
  }

  /**
   * Asks for a flush; cheap, call it after every change. `heldUntil` (ms since the epoch): not before, unless a later request
   * says otherwise.
   */
  request(heldUntil = 0): void {
    this.#heldUntil = heldUntil;
    clearTimeout(this.#timer);
    if (this.#running || this.#closed) return;
    const wait = heldUntil - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => this.request(), wait);
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#engine.pending) this.request(this.#heldUntil);
    });
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
    while (this.#engine.pending && !this.#closed && this.#heldUntil <= Date.now()) {
      try {
        await this.#engine.flushAsync({ sliceMs, pause: () => immediate() });
      } catch (error) {
        this.#onError(error);
        return;
      }
    }
  }
}
