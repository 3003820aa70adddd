import { type ClientHttp2Session, connect } from 'node:http2';

/** ms between pings. */
const pauseMs = 3;

/**
 * Pings the server all the time over a connection of its own: the longest round trip is how long its event loop was busy with
 * one thing. Runs in a process that does nothing else.
 */
export class Pinger {
  readonly #session: ClientHttp2Session;
  #longest = 0;
  #sentAt = 0;

  constructor(url: string) {
    this.#session = connect(url, { rejectUnauthorized: false });
    this.#session.on('error', () => undefined);
    this.#session.once('connect', () => this.#ping());
  }

  #ping(): void {
    if (this.#session.destroyed) return;
    this.#sentAt = performance.now();
    this.#session.ping(() => {
      this.#longest = Math.max(this.#longest, performance.now() - this.#sentAt);
      setTimeout(() => this.#ping(), pauseMs);
    });
  }

  /** The longest round trip since the last call, ms. */
  takeLongest(): number {
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  close(): void {
    this.#session.destroy();
  }
}
