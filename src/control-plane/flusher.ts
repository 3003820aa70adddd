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
  #closed = false;

  constructor(engine: Engine, onError: (error: unknown) => void) {
    this.#engine = engine;
    this.#onError = onError;
  }

  /** Asks for a flush; cheap, call it after every change. */
  request(): void {
    if (this.#running || this.#closed) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#engine.pending) this.request();
    });
  }

  /** Resolves when everything applied so far has been pushed. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  close(): void {
    this.#closed = true;
  }

  async #run(): Promise<void> {
    await immediate();
    while (this.#engine.pending && !this.#closed) {
      try {
        await this.#engine.flushAsync({ sliceMs, pause: () => immediate() });
      } catch (error) {
        this.#onError(error);
        return;
      }
    }
  }
}
