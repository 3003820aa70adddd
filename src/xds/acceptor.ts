import { createServer, type Server, type Socket } from 'node:net';

/** Connections that wait are admitted in steps of this length, ms. */
const stepMs = 20;

export interface AcceptorOptions {
  readonly host: string;
  readonly port: number;
  /** Connections per second after a burst. */
  readonly perSecond: number;
  readonly burst: number;
  /** Connections that may wait; further ones are closed. */
  readonly queue: number;
  readonly onSocket: (socket: Socket) => void;
  readonly onRefused: () => void;
}

/**
 * Accepts connections at a bounded rate. After a restart every proxy comes back at once, and TLS handshakes would starve those
 * that are already served; the ones that wait cost a socket each, nothing more.
 */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  #tokens: number;
  #filledAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Resolves with the port once it listens; rejects with the error of listen(2). */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: this.#options.host, port: this.#options.port }, () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    if (this.#waiting.length >= this.#options.queue) {
      socket.destroy();
      this.#options.onRefused();
      return;
    }
    socket.on('error', ignore);
    this.#waiting.push(socket);
    this.#admit();
  }

  #admit(): void {
    const now = performance.now();
    const { perSecond, burst } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) * perSecond) / 1000);
    this.#filledAt = now;
    while (this.#tokens >= 1) {
      const socket = this.#waiting.shift();
      if (!socket) return;
      if (socket.destroyed) continue;
      this.#tokens--;
      this.#options.onSocket(socket);
    }
    if (this.#waiting.length === 0 || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#admit();
    }, stepMs);
  }
}

/** A connection that breaks while it waits is found destroyed when its turn comes. */
function ignore(): void {}
