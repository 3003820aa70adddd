import type { PushDelta } from '../snapshot/push.ts';
import { endpointSetOf, type Resource, typeUrls } from '../snapshot/resource.ts';
import { collectDelta } from './collect-delta.ts';
import { collectSotw } from './collect-sotw.ts';
import type { Draft } from './draft.ts';
import type { GrpcStream } from './grpc-stream.ts';
import { encodeAbsentVirtualHost, encodeAliased, encodeBody, encodeTrailer } from './response.ts';
import { advanceRetirement, clusterFacts, hasWork } from './safe-order.ts';
import type { StreamContext } from './stream-context.ts';
import type { StreamHandle } from './stream-handle.ts';
import { noteRouteConfigs } from './subscribe.ts';
import type { Watch } from './watch.ts';
import { shortType } from './xds-type.ts';

/** What the client is sent, in the safe order. */
export class StreamResponses {
  readonly #stream: StreamHandle;
  readonly #context: StreamContext;
  readonly #isAggregated: boolean;
  /** Endpoints that must follow clusters which were sent before the client's first request for endpoints. */
  readonly #earlyEndpoints = new Set<string>();
  #transport: GrpcStream | undefined;
  #nonce = 0;
  #blockedSince: number | undefined;
  #resume: NodeJS.Timeout | undefined;
  #resumesAt = Number.POSITIVE_INFINITY;

  constructor(stream: StreamHandle, context: StreamContext, isAggregated: boolean) {
    this.#stream = stream;
    this.#context = context;
    this.#isAggregated = isAggregated;
  }

  attach(transport: GrpcStream): void {
    this.#transport = transport;
  }

  /** Since when the client has not read what was written; undefined: it has. ms, monotonic. */
  get blockedSince(): number | undefined {
    return this.#blockedSince;
  }

  close(): void {
    clearTimeout(this.#resume);
  }

  takeEarlyEndpoints(watch: Watch): void {
    for (const name of this.#earlyEndpoints) watch.forced.add(name);
    this.#earlyEndpoints.clear();
  }

  /** Takes note of a change; the queue gives this stream its turn. */
  note(delta: PushDelta, revision: number): void {
    const watch = this.#stream.watches.get(delta.typeUrl);
    if (!watch) return;
    const busy =
      watch.inFlight !== undefined || (this.#transport?.blocked ?? true) || watch.wait(this.#stream.now) > 0;
    watch.note(delta, revision, busy);
    this.#context.queue.add(this.#stream);
  }

  /** Sends what can be sent, in the safe order, until the connection is full. */
  advance(): number {
    if (this.#stream.isClosed || !this.#transport) return 0;
    const before = this.#transport.bytesWritten;
    this.#transport.batch(() => this.#stream.guard(() => this.#advanceAll()));
    if (this.#transport.blocked) this.#blockedSince ??= this.#stream.now;
    return this.#transport.bytesWritten - before;
  }

  #advanceAll(): void {
    this.#advanceOnce();
    if (advanceRetirement(this.#stream, this.#context.limits.removalGraceMs)) this.#advanceOnce();
  }

  #advanceOnce(): void {
    for (const watch of this.#stream.order) {
      if (this.#transport?.blocked || this.#stream.isClosed) return;
      if (watch.inFlight || !hasWork(this.#stream, watch)) continue;
      const wait = watch.wait(this.#stream.now);
      if (wait > 0) {
        this.#resumeIn(wait);
        continue;
      }
      const draft = this.#stream.delta ? collectDelta(this.#stream, watch) : collectSotw(this.#stream, watch);
      if (draft) this.#send(watch, draft);
      else if (!hasWork(this.#stream, watch)) {
        watch.oldest = undefined;
        this.#context.ledger.progress(this.#stream);
      }
    }
  }

  /** One timer serves all types: whoever still waits when it fires asks again. */
  #resumeIn(ms: number): void {
    const at = this.#stream.now + ms;
    if (at >= this.#resumesAt) return;
    clearTimeout(this.#resume);
    this.#resumesAt = at;
    this.#resume = setTimeout(() => {
      this.#resumesAt = Number.POSITIVE_INFINITY;
      this.#context.queue.add(this.#stream);
    }, Math.ceil(ms));
  }

  #send(watch: Watch, draft: Draft): void {
    const { typeUrl } = watch;
    const nonce = (++this.#nonce).toString(36);
    const revision = this.#stream.views.revision;
    const body = encodeBody(draft.resources, this.#stream.delta ? 'delta' : 'sotw');
    const own = encodeTrailer({ typeUrl, version: String(revision), nonce, removed: draft.removed });
    const named = [
      ...[...draft.aliased].map(([resource, aliases]) => encodeAliased(resource, aliases)),
      ...draft.absent.map(encodeAbsentVirtualHost),
    ];
    const shared = named.length === 0 ? body.buffers : [...body.buffers, ...named];
    const length = named.reduce((sum, buffer) => sum + buffer.length, body.length);
    watch.inFlight = {
      nonce,
      resources: draft.aliased.size === 0 ? draft.resources : [...draft.resources, ...draft.aliased.keys()],
      removed: draft.removed,
      revision: watch.oldest ?? revision,
      sentRevision: revision,
      sentAt: this.#stream.now,
      slow: this.#afterSend(watch, draft.resources),
      trial: draft.trial,
    };
    watch.lastNonce = nonce;
    watch.lastSent = { nonce, revision, at: Date.now() };
    if (!hasWork(this.#stream, watch)) watch.oldest = undefined;
    this.#transport?.send(shared, length, own);
    const type = shortType(typeUrl);
    this.#context.metrics.add('pushes', 1, type);
    this.#context.metrics.add('push_bytes', length + own.length, type);
  }

  /** What a response entails for other types. Returns the clusters in it that warm slowly. */
  #afterSend(watch: Watch, resources: readonly Resource[]): ReadonlySet<string> | undefined {
    if (watch.typeUrl === typeUrls.route && this.#stream.delta) noteRouteConfigs(this.#stream, resources);
    if (watch.typeUrl === typeUrls.endpoints && this.#takesUnasked) watch.noteUnasked(resources);
    if (watch.typeUrl !== typeUrls.cluster) return undefined;
    const facts = clusterFacts(resources);
    if (facts.eds && this.#isAggregated) this.#followWithEndpoints(watch, resources);
    return facts.slow;
  }

  /**
   * While Envoy starts, clusters wait in its cluster manager before they take endpoints; it asks for listeners once that is over.
   * Only from then on does what comes unasked count as an answer.
   */
  get #takesUnasked(): boolean {
    return this.#stream.delta && this.#stream.watches.has(typeUrls.listener);
  }

  /** Envoy takes a cluster's endpoints in the same burst, and does not ask for those of a live cluster that changed. */
  #followWithEndpoints(watch: Watch, resources: readonly Resource[]): void {
    const endpoints = this.#stream.watches.get(typeUrls.endpoints);
    const sent = this.#stream.delta
      ? resources
      : resources.filter((resource) => watch.held.get(resource.name) !== resource);
    if (endpoints) {
      endpoints.following.push(sent);
      endpoints.oldest ??= this.#stream.views.revision;
    } else if (watch.lastSent !== undefined || watch.held.size > 0)
      for (const resource of sent) {
        const name = endpointSetOf(resource);
        if (name !== undefined) this.#earlyEndpoints.add(name);
      }
  }

  onDrain(): void {
    this.#blockedSince = undefined;
    this.#context.queue.add(this.#stream);
  }
}
