import type { PaceOptions } from '../kit/pace.ts';
import type { BackoffOptions } from '../kit/retry.ts';

/** Bounds of the xDS server. Every one may be set; the defaults suit one process with some thousands of proxies. */
export interface XdsLimits {
  /** Streams at a time, over all listeners. Default 10,000. Further ones are refused with RESOURCE_EXHAUSTED. */
  readonly maxStreams: number;
  /** Streams on one connection. Default 32: Envoy opens one, or one per type. */
  readonly maxStreamsPerConnection: number;
  /** New connections per second after a burst; a TLS handshake costs about 1.4 ms of CPU. Default 500. */
  readonly acceptPerSecond: number;
  /** Connections accepted at once. Default 200. */
  readonly acceptBurst: number;
  /** Connections that wait to be accepted. Default 5,000; further ones are closed. */
  readonly acceptQueue: number;
  /** Bytes of one request message. Default 4 MiB. */
  readonly maxRequestBytes: number;
  /** Bytes of a request's headers. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** Names that one stream may subscribe to per type. Default 100,000. */
  readonly maxNames: number;
  /** ms until the first request of a stream must have come. Default 15,000. */
  readonly firstRequestMs: number;
  /** ms that a client may leave what was written unread. Default 60,000; then its connection is closed. */
  readonly stalledMs: number;
  /** ms between HTTP/2 pings. Default 30,000. */
  readonly keepaliveMs: number;
  /** ms until a ping must be answered. Default 20,000. */
  readonly keepaliveTimeoutMs: number;
  /** ms after which a connection is ended, so that clients spread over replicas. Default 30 minutes; 0: never. */
  readonly maxConnectionAgeMs: number;
  /** Share of the age by which it varies at random. Default 0.1. */
  readonly connectionAgeJitter: number;
  /** ms that a cluster lives on after the last route to it was acknowledged gone. Default 30,000. */
  readonly removalGraceMs: number;
  /** ms that routes wait at most for a cluster that warms slowly. Default 15,000, as Envoy's initial_fetch_timeout. */
  readonly warmingMs: number;
  /**
   * How soon a client is sent the next response of route tables, by how long it took to answer the last ones; what waits meanwhile
   * comes together. Default: a client is kept busy for 15 % of its time, 250 ms ahead of that, and waits 2,000 ms at most.
   */
  readonly pace: PaceOptions;
  /**
   * Pauses before a refused secret is sent once more, which goes on as long as the refusal lasts: the files that it names may have come.
   * Default: half to all of 2 s at first, then twice as long each time, up to 30 s.
   */
  readonly secretRetry: BackoffOptions;
  /** ms of work on pushes before other events have their turn. Default 8. */
  readonly sliceMs: number;
}

export const defaultLimits: XdsLimits = Object.freeze({
  maxStreams: 10_000,
  maxStreamsPerConnection: 32,
  acceptPerSecond: 500,
  acceptBurst: 200,
  acceptQueue: 5_000,
  maxRequestBytes: 4 * 1024 * 1024,
  maxHeaderBytes: 16 * 1024,
  maxNames: 100_000,
  firstRequestMs: 15_000,
  stalledMs: 60_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 20_000,
  maxConnectionAgeMs: 30 * 60_000,
  connectionAgeJitter: 0.1,
  removalGraceMs: 30_000,
  warmingMs: 15_000,
  pace: { share: 0.15, freeMs: 10, allowanceMs: 250, maxMs: 2_000 },
  secretRetry: { initialMs: 2_000, maxMs: 30_000 },
  sliceMs: 8,
});
