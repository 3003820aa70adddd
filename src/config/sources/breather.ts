import { setImmediate } from 'node:timers/promises';

/** Keeps long work from holding the event loop: after each slice of `sliceMs` (default 10) others get a turn. */
export class Breather {
  #since = performance.now();
  readonly #sliceMs: number;

  constructor(sliceMs = 10) {
    this.#sliceMs = sliceMs;
  }

  due(): boolean {
    return performance.now() - this.#since > this.#sliceMs;
  }

  async breathe(): Promise<void> {
    await setImmediate();
    this.#since = performance.now();
  }
}
