/** Where no line can be written over: a new one at most this often, in ms. */
const everyMs = 5_000;

/** Says on standard error what is waited for: one line that is written over on a terminal, now and then a line elsewhere. */
export class ProgressLine {
  readonly #title: string;
  readonly #terminal: boolean;
  #written = '';
  #writtenAt = performance.now();

  constructor(title: string) {
    this.#title = title;
    this.#terminal = process.stderr.isTTY === true && process.env.TERM !== 'dumb';
  }

  show(text: string): void {
    const line = `${this.#title}: ${text}`;
    if (line === this.#written) return;
    if (this.#terminal) {
      const width = Math.max(20, process.stderr.columns ?? 80) - 1;
      process.stderr.write(`\r\u001b[K${line.length > width ? `${line.slice(0, width - 1)}…` : line}`);
    } else {
      if (performance.now() - this.#writtenAt < everyMs) return;
      process.stderr.write(`${line}\n`);
    }
    this.#written = line;
    this.#writtenAt = performance.now();
  }

  end(): void {
    if (this.#terminal && this.#written !== '') process.stderr.write('\r\u001b[K');
    this.#written = '';
  }
}
