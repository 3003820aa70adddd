/** Anything that can be asked to send what it has. */
export interface Pushable {
  /** Returns how many bytes it wrote. */
  advance(): number;
}

/** Bytes written in one slice: the kernel takes about 1 ms for a MiB, after the slice and beyond its clock. */
const sliceBytes = 2 * 1024 * 1024;

/**
 * Lets many streams send in turn: first come, first served, each once, in slices of time between which the event loop reads
 * acknowledgements and accepts connections. One client costs one turn, however much waits for it.
 */
export class PushQueue {
  readonly #sliceMs: number;
  readonly #waiting = new Set<Pushable>();
  #scheduled = false;

  constructor(sliceMs: number) {
    this.#sliceMs = sliceMs;
  }

  add(stream: Pushable): void {
    this.#waiting.add(stream);
    this.#schedule();
  }

  remove(stream: Pushable): void {
    this.#waiting.delete(stream);
  }

  get length(): number {
    return this.#waiting.size;
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const until = performance.now() + this.#sliceMs;
    let left = this.#waiting.size;
    let bytes = 0;
    for (const stream of this.#waiting) {
      this.#waiting.delete(stream);
      bytes += stream.advance();
      if (--left <= 0 || bytes > sliceBytes || performance.now() > until) break;
    }
    this.#schedule();
  }
}
