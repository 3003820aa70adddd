import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * An access log of tab-separated lines; Envoy writes them a little later. Lines are found by their first field, unless said otherwise.
 */
export class AccessLog {
  readonly #file: string;
  readonly #keyOf: (fields: readonly string[]) => string;
  readonly #ignored: (fields: readonly string[]) => boolean;
  readonly #known = new Map<string, string[]>();
  #read = 0;
  #rest = '';

  constructor(
    file: string,
    keyOf: (fields: readonly string[]) => string = ([first = '']) => first,
    ignored: (fields: readonly string[]) => boolean = () => false,
  ) {
    this.#file = file;
    this.#keyOf = keyOf;
    this.#ignored = ignored;
  }

  /** What came so far does not count any more: keys may come again. */
  forget(): void {
    this.#known.clear();
  }

  /** The lines of all keys; throws where one does not come. */
  async lines(wanted: readonly string[]): Promise<ReadonlyMap<string, string[]>> {
    const found = await this.linesWithin(wanted, 30_000);
    const missing = wanted.find((key) => !found.has(key));
    if (missing !== undefined) throw new Error(`request ${missing} is not in the access log`);
    return found;
  }

  /** The lines of all keys that come in time. */
  async linesWithin(wanted: readonly string[], timeoutMs: number): Promise<ReadonlyMap<string, string[]>> {
    const until = performance.now() + timeoutMs;
    while (wanted.some((key) => !this.#known.has(key)) && performance.now() < until) {
      await sleep(20);
      await this.#more();
    }
    return this.#known;
  }

  async #more(): Promise<void> {
    const file = await open(this.#file, 'r');
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(size - this.#read),
        0,
        size - this.#read,
        this.#read,
      );
      this.#read += bytesRead;
      const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) {
        const fields = line.split('\t');
        if (!this.#ignored(fields)) this.#known.set(this.#keyOf(fields), fields);
      }
    } finally {
      await file.close();
    }
  }
}
