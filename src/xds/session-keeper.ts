import type { Http2Session } from 'node:http2';
import type { XdsLimits } from './limits.ts';
import type { XdsMetrics } from './metrics.ts';
import type { XdsStream } from './xds-stream.ts';

interface KeptSession {
  readonly streams: Set<XdsStream>;
  /** ms, monotonic; Infinity: it may stay. */
  readonly endsAt: number;
  pingedAt: number;
  isPinged: boolean;
}

/** A connection that is over its age may finish what is in flight this long, ms. */
const idleWaitMs = 10_000;

/** Watches over connections: pings them, ends dead ones, and ends old ones at a moment when nothing is in flight. */
export class SessionKeeper {
  readonly #limits: XdsLimits;
  readonly #metrics: XdsMetrics;
  readonly #sessions = new Map<Http2Session, KeptSession>();

  constructor(limits: XdsLimits, metrics: XdsMetrics) {
    this.#limits = limits;
    this.#metrics = metrics;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(session: Http2Session): void {
    const { maxConnectionAgeMs, connectionAgeJitter } = this.#limits;
    const spread = 1 + connectionAgeJitter * (2 * Math.random() - 1);
    const now = performance.now();
    this.#sessions.set(session, {
      streams: new Set(),
      endsAt: maxConnectionAgeMs > 0 ? now + maxConnectionAgeMs * spread : Number.POSITIVE_INFINITY,
      pingedAt: now,
      isPinged: false,
    });
    session.on('error', () => undefined);
    session.on('close', () => this.#sessions.delete(session));
  }

  bind(session: Http2Session, stream: XdsStream): void {
    this.#sessions.get(session)?.streams.add(stream);
  }

  unbind(session: Http2Session, stream: XdsStream): void {
    this.#sessions.get(session)?.streams.delete(stream);
  }

  tick(): void {
    const now = performance.now();
    for (const [session, kept] of this.#sessions) {
      if (now >= kept.endsAt) this.#retire(session, kept, now);
      else this.#ping(session, kept, now);
    }
  }

  #ping(session: Http2Session, kept: KeptSession, now: number): void {
    if (kept.isPinged) {
      if (now - kept.pingedAt <= this.#limits.keepaliveTimeoutMs) return;
      this.#metrics.add('stalled', 1, 'ping');
      session.destroy();
    } else if (now - kept.pingedAt > this.#limits.keepaliveMs && !session.destroyed) {
      kept.isPinged = true;
      kept.pingedAt = now;
      session.ping(() => {
        kept.isPinged = false;
      });
    }
  }

  #retire(session: Http2Session, kept: KeptSession, now: number): void {
    const isIdle = [...kept.streams].every((stream) => stream.isIdle);
    if (!isIdle && now < kept.endsAt + idleWaitMs) return;
    for (const stream of kept.streams)
      stream.end('the connection has reached its greatest age: connect again');
    session.close();
    if (now >= kept.endsAt + 2 * idleWaitMs) session.destroy();
  }

  /** Closes all, by force after the grace. */
  async close(graceMs: number): Promise<void> {
    for (const session of this.#sessions.keys()) session.close();
    const until = performance.now() + graceMs;
    while (this.#sessions.size > 0 && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
    for (const session of this.#sessions.keys()) session.destroy();
  }
}
