import { hashWords } from '../kit/hash.ts';

const encoder = new TextEncoder();

/**
 * Addresses for what files give none: in `prefix.0.1` to `prefix.255.254`, from the name alone, so that they stay what they are
 * when other objects come and go. Two names with one hash are the exception: the later asks for the next free one.
 */
export class AddressPool {
  readonly #prefix: string;
  readonly #taken = new Set<string>();

  /** `prefix`: two numbers, such as `10.244`. */
  constructor(prefix: string, taken: Iterable<string> = []) {
    this.#prefix = prefix;
    for (const address of taken) this.#taken.add(address);
  }

  /** Undefined when all are taken. */
  take(name: string): string | undefined {
    const [hash] = hashWords(encoder.encode(name));
    for (let step = 0; step < 0xfffe; step++) {
      const slot = ((hash + step) % 0xfffe) + 1;
      const address = `${this.#prefix}.${slot >> 8}.${slot & 255}`;
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      return address;
    }
    return undefined;
  }
}
