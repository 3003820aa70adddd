import type { Clock } from '../kit/clock.ts';
import type { ChainStatus } from './ring-status.ts';

const dayMs = 86_400_000;
/** Fewer days left than this are warned of, once a day. */
export const warnDays = 30;

/** The certificate clock: warns of certificates of the authority that end soon. */
export class EndWatch {
  readonly #clock: Clock;
  readonly #warn: ((message: string) => void) | undefined;
  readonly #warned = new Map<string, number>();

  constructor(clock: Clock, warn: ((message: string) => void) | undefined) {
    this.#clock = clock;
    this.#warn = warn;
  }

  look(chains: readonly ChainStatus[]): void {
    const now = this.#clock.now();
    for (const { what, subject, notAfter } of chains) {
      const left = notAfter.getTime() - now;
      const key = `${what} ${subject} ${notAfter.getTime()}`;
      if (left > warnDays * dayMs || now - (this.#warned.get(key) ?? Number.NEGATIVE_INFINITY) < dayMs)
        continue;
      this.#warned.set(key, now);
      const when =
        left < 0 ? 'has ended' : `ends in ${(left / dayMs).toFixed(left < 10 * dayMs ? 1 : 0)} days`;
      this.#warn?.(`the ${what} (${subject}) ${when}, on ${notAfter.toISOString()}`);
    }
    if (this.#warned.size > 100) this.#warned.clear();
  }
}
