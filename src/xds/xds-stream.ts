import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import type { PushDelta } from '../snapshot/push.ts';
import { endpointSetOf, type Resource, typeUrls } from '../snapshot/resource.ts';
import { admitProxy, decodeRequest, readProxy } from './admit-proxy.ts';
import type { Credentials } from './authenticate.ts';
import { collectDelta } from './collect-delta.ts';
import { collectSotw } from './collect-sotw.ts';
import { DebugStream, isDebugType } from './debug-stream.ts';
import type { Draft } from './draft.ts';
import type { GrpcStream } from './grpc-stream.ts';
import type { HeldResources, Lag, LedgerStream, ProxyStatus, RejectedEvent } from './ledger.ts';
import type { XdsMethod } from './methods.ts';
import { askOnDemand, recall } from './on-demand.ts';
import type { Registration } from './proxy-registry.ts';
import type { Pushable } from './push-queue.ts';
import type { XdsRequest } from './request.ts';
import { encodeAbsentVirtualHost, encodeAliased, encodeBody, encodeTrailer } from './response.ts';
import { advanceRetirement, clusterFacts, hasWork } from './safe-order.ts';
import { acknowledge, rejectFlight } from './settle.ts';
import type { StreamContext } from './stream-context.ts';
import type { StreamState } from './stream-state.ts';
import { groupRejections, heldOf, lagOf, statusOf } from './stream-status.ts';
import { noteRouteConfigs, subscribeDelta, subscribeSotw } from './subscribe.ts';
import type { Views } from './views.ts';
import { Watch } from './watch.ts';
import { deliveryOrder, shortType } from './xds-type.ts';

/** Types on one stream: far more than Envoy knows. */
const maxTypes = 64;
/** Requests that may arrive while the first one is authenticated. */
const maxEarlyRequests = 64;

/** One xDS call of one proxy: requests in, responses in the safe order out. */
export class XdsStream implements Pushable, LedgerStream, StreamState {
  readonly delta: boolean;
  readonly connectedAt = Date.now();
  readonly openedAt = performance.now();
  readonly watches = new Map<string, Watch>();
  readonly routeConfigs = new Set<string>();
  readonly freshRouteConfigs = new Set<string>();
  readonly warmingMs: number;
  readonly views: Views;
  /** Endpoints that must follow clusters which were sent before the client's first request for endpoints. */
  readonly #earlyEndpoints = new Set<string>();
  readonly #context: StreamContext;
  readonly #method: XdsMethod;
  readonly #credentials: Credentials;
  readonly #early: Buffer[] = [];
  /** Requests that came while what the client holds is looked up; undefined: none is. */
  #waiting: XdsRequest[] | undefined;
  #transport: GrpcStream | undefined;
  /** Set: the caller is no proxy, it asks for debug types. */
  #debug: DebugStream | undefined;
  #registration: Registration | undefined;
  #release: (() => void) | undefined;
  #order: Watch[] = [];
  #nonce = 0;
  #blockedSince: number | undefined;
  #resume: NodeJS.Timeout | undefined;
  #resumesAt = Number.POSITIVE_INFINITY;
  #closed = false;
  /** The first request came and is authentic; what the proxy needs is compiled, however long that takes. */
  #admitted = false;

  constructor(context: StreamContext, method: XdsMethod, credentials: Credentials) {
    this.#context = context;
    this.#method = method;
    this.#credentials = credentials;
    this.delta = method.delta;
    this.views = context.views;
    this.warmingMs = context.limits.warmingMs;
  }

  attach(transport: GrpcStream): void {
    this.#transport = transport;
  }

  get proxyId(): string {
    return this.#registration?.id ?? '';
  }

  get namespace(): string {
    return this.#registration?.proxy.namespace ?? '';
  }

  get now(): number {
    return performance.now();
  }

  onMessage(message: Buffer): void {
    const { debug } = this.#context;
    if (debug && this.#transport && !this.#registration && this.#early.length === 0 && !this.#debug)
      if (isDebugType(decodeRequest(message, this.delta, false).typeUrl)) {
        this.#debug = new DebugStream(debug, this.#credentials, this.#transport, this.delta);
        this.#admitted = true;
      }
    if (this.#debug) {
      this.#debug.onMessage(message);
      return;
    }
    if (this.#registration) {
      this.#guard(() => this.#handle(decodeRequest(message, this.delta, false)));
      return;
    }
    if (this.#early.push(Buffer.from(message)) > maxEarlyRequests)
      throw new GrpcError(grpcStatus.resourceExhausted, 'too many requests before the first was answered');
    if (this.#early.length === 1)
      this.#start(message).catch((error: unknown) => {
        if (!(error instanceof GrpcError))
          this.#context.log.warn({ err: error }, 'xDS stream failed to start');
        this.#transport?.fail(error);
      });
  }

  /** An error ends this stream, never another's: the client comes back and starts anew. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof GrpcError))
        this.#context.log.warn({ err: error, proxy: this.proxyId }, 'xDS stream failed');
      this.#transport?.fail(error);
    }
  }

  /** The first request names the node: who calls, and whether it may. */
  async #start(message: Buffer): Promise<void> {
    const proxy = readProxy(message, this.#method);
    this.#transport?.pause();
    const release = await admitProxy(proxy, this.#credentials, this.#context.authenticate);
    if (this.#closed) return release();
    this.#release = release;
    this.#admitted = true;
    await this.#context.registry.prepare(proxy);
    if (this.#closed) return;
    this.#registration = this.#context.registry.acquire(proxy, this);
    this.#context.ledger.open(this);
    this.#transport?.resume();
    for (const early of this.#early.splice(0))
      if (!this.#closed) this.#handle(decodeRequest(early, this.delta, false));
  }

  #handle(request: XdsRequest): void {
    if (this.#waiting) {
      this.#waiting.push(request);
      return;
    }
    const known = recall(this, this.#context.demand, request, this.#method.typeUrl);
    if (known) this.#handleAfter(known, request);
    else this.#handleNow(request);
  }

  /** What the client says that it holds must be known to be in use before it is compared with what it should hold. */
  #handleAfter(known: Promise<unknown>, request: XdsRequest): void {
    this.#waiting = [];
    const go = (): void => {
      const queued = this.#waiting ?? [];
      this.#waiting = undefined;
      if (this.#closed) return;
      this.#guard(() => {
        this.#handleNow(request);
        for (const next of queued) this.#handle(next);
      });
    };
    known.then(go, go);
  }

  #handleNow(request: XdsRequest): void {
    const watch = this.#watchOf(request);
    const first = !watch.started;
    watch.started = true;
    if (watch.names.size + request.subscribe.length > this.#context.limits.maxNames)
      throw new GrpcError(
        grpcStatus.resourceExhausted,
        `more than ${this.#context.limits.maxNames} names of one type`,
      );
    const isCurrent = this.#answer(watch, request);
    if (this.delta) {
      const rest = this.#ask(watch, request);
      if (first || rest.subscribe.length > 0 || request.unsubscribe.length > 0)
        subscribeDelta(this, watch, rest, first);
    } else if (first || isCurrent) subscribeSotw(this, watch, request, first);
    if (first && watch.typeUrl === typeUrls.endpoints) this.#takeEarlyEndpoints(watch);
    if (hasWork(this, watch)) watch.oldest ??= this.views.revision;
    if (this.#mayAdvance) this.#context.queue.add(this);
    this.#context.ledger.progress(this);
  }

  /** Most requests acknowledge the last thing that there was to send. */
  get #mayAdvance(): boolean {
    return this.#order.some((watch) => watch.retiring.size > 0 || (!watch.inFlight && hasWork(this, watch)));
  }

  /** Takes out the names that wait for the compile. */
  #ask(watch: Watch, request: XdsRequest): XdsRequest {
    const { rest, found } = askOnDemand(this, watch, this.#context.demand, request);
    found?.finally(() => {
      if (this.#closed) return;
      watch.oldest ??= this.views.revision;
      this.#context.queue.add(this);
    });
    return rest;
  }

  #watchOf(request: XdsRequest): Watch {
    const typeUrl = this.#method.typeUrl ?? request.typeUrl;
    if (typeUrl === '' || (request.typeUrl !== '' && request.typeUrl !== typeUrl))
      throw new GrpcError(
        grpcStatus.invalidArgument,
        `the type URL ${JSON.stringify(request.typeUrl)} does not belong on this stream`,
      );
    const known = this.watches.get(typeUrl);
    if (known) return known;
    if (this.watches.size >= maxTypes)
      throw new GrpcError(grpcStatus.resourceExhausted, `more than ${maxTypes} types on one stream`);
    const watch = new Watch(typeUrl, this.#context.limits.pace);
    this.watches.set(typeUrl, watch);
    this.#order = [...this.watches.values()].sort((a, b) => rank(a.typeUrl) - rank(b.typeUrl));
    return watch;
  }

  /**
   * Takes an acknowledgement or rejection. Returns whether the request is up to date: a state-of-the-world request that names
   * an older response says what the client wanted before it saw the newer one.
   */
  #answer(watch: Watch, request: XdsRequest): boolean {
    if (request.nonce === '') return true;
    const flight = watch.inFlight;
    if (flight?.nonce !== request.nonce) {
      if (request.nonce !== watch.lastNonce)
        this.#context.metrics.add('stale_requests', 1, shortType(watch.typeUrl));
      return request.nonce === watch.lastNonce && !flight;
    }
    watch.answered(this.now - flight.sentAt, this.now);
    const type = shortType(watch.typeUrl);
    if (request.error === undefined) {
      this.#context.metrics.add('acks', 1, type);
      const resources = acknowledge(this, watch, flight);
      if (resources.length > 0)
        this.#context.ledger.noteRecovered({ proxyId: this.proxyId, typeUrl: watch.typeUrl, resources });
      return true;
    }
    this.#context.metrics.add('nacks', 1, type);
    const rejected = rejectFlight(this, watch, flight, request.error);
    this.#context.log.warn(
      {
        proxy: this.proxyId,
        type,
        resources: rejected.map((resource) => resource.name),
        error: request.error.slice(0, 500),
      },
      'proxy rejected resources',
    );
    for (const event of groupRejections(this.proxyId, watch.typeUrl, rejected))
      this.#context.ledger.noteRejected(event);
    return true;
  }

  #takeEarlyEndpoints(watch: Watch): void {
    for (const name of this.#earlyEndpoints) watch.forced.add(name);
    this.#earlyEndpoints.clear();
  }

  /** Takes note of a change; the queue gives this stream its turn. */
  note(delta: PushDelta, revision: number): void {
    const watch = this.watches.get(delta.typeUrl);
    if (!watch) return;
    const busy =
      watch.inFlight !== undefined || (this.#transport?.blocked ?? true) || watch.wait(this.now) > 0;
    watch.note(delta, revision, busy);
    this.#context.queue.add(this);
  }

  /** Sends what can be sent, in the safe order, until the connection is full. */
  advance(): number {
    if (this.#closed || !this.#transport) return 0;
    const before = this.#transport.bytesWritten;
    this.#transport.batch(() => this.#guard(() => this.#advanceAll()));
    if (this.#transport.blocked) this.#blockedSince ??= this.now;
    return this.#transport.bytesWritten - before;
  }

  #advanceAll(): void {
    this.#advanceOnce();
    if (advanceRetirement(this, this.#context.limits.removalGraceMs)) this.#advanceOnce();
  }

  #advanceOnce(): void {
    for (const watch of this.#order) {
      if (this.#transport?.blocked || this.#closed) return;
      if (watch.inFlight || !hasWork(this, watch)) continue;
      const wait = watch.wait(this.now);
      if (wait > 0) {
        this.#resumeIn(wait);
        continue;
      }
      const draft = this.delta ? collectDelta(this, watch) : collectSotw(this, watch);
      if (draft) this.#send(watch, draft);
      else if (!hasWork(this, watch)) {
        watch.oldest = undefined;
        this.#context.ledger.progress(this);
      }
    }
  }

  /** One timer serves all types: whoever still waits when it fires asks again. */
  #resumeIn(ms: number): void {
    const at = this.now + ms;
    if (at >= this.#resumesAt) return;
    clearTimeout(this.#resume);
    this.#resumesAt = at;
    this.#resume = setTimeout(() => {
      this.#resumesAt = Number.POSITIVE_INFINITY;
      this.#context.queue.add(this);
    }, Math.ceil(ms));
  }

  #send(watch: Watch, draft: Draft): void {
    const { typeUrl } = watch;
    const nonce = (++this.#nonce).toString(36);
    const revision = this.views.revision;
    const body = encodeBody(draft.resources, this.delta ? 'delta' : 'sotw');
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
      sentAt: this.now,
      slow: this.#afterSend(watch, draft.resources),
      trial: draft.trial,
    };
    watch.lastNonce = nonce;
    watch.lastSent = { nonce, revision, at: Date.now() };
    if (!hasWork(this, watch)) watch.oldest = undefined;
    this.#transport?.send(shared, length, own);
    const type = shortType(typeUrl);
    this.#context.metrics.add('pushes', 1, type);
    this.#context.metrics.add('push_bytes', length + own.length, type);
  }

  /** What a response entails for other types. Returns the clusters in it that warm slowly. */
  #afterSend(watch: Watch, resources: readonly Resource[]): ReadonlySet<string> | undefined {
    if (watch.typeUrl === typeUrls.route && this.delta) noteRouteConfigs(this, resources);
    if (watch.typeUrl === typeUrls.endpoints && this.#takesUnasked) watch.noteUnasked(resources);
    if (watch.typeUrl !== typeUrls.cluster) return undefined;
    const facts = clusterFacts(resources);
    if (facts.eds && this.#method.typeUrl === undefined) this.#followWithEndpoints(watch, resources);
    return facts.slow;
  }

  /**
   * While Envoy starts, clusters wait in its cluster manager before they take endpoints; it asks for listeners once that is over.
   * Only from then on does what comes unasked count as an answer.
   */
  get #takesUnasked(): boolean {
    return this.delta && this.watches.has(typeUrls.listener);
  }

  /** Envoy takes a cluster's endpoints in the same burst, and does not ask for those of a live cluster that changed. */
  #followWithEndpoints(watch: Watch, resources: readonly Resource[]): void {
    const endpoints = this.watches.get(typeUrls.endpoints);
    const sent = this.delta
      ? resources
      : resources.filter((resource) => watch.held.get(resource.name) !== resource);
    if (endpoints) {
      endpoints.following.push(sent);
      endpoints.oldest ??= this.views.revision;
    } else if (watch.lastSent !== undefined || watch.held.size > 0)
      for (const resource of sent) {
        const name = endpointSetOf(resource);
        if (name !== undefined) this.#earlyEndpoints.add(name);
      }
  }

  onDrain(): void {
    this.#blockedSince = undefined;
    this.#context.queue.add(this);
  }

  /** Called about once a second: ends streams that do not move, and resumes what waits for a time to pass. */
  tick(): void {
    const { limits, metrics, log } = this.#context;
    const now = this.now;
    if (!this.#admitted && now - this.openedAt > limits.firstRequestMs) {
      metrics.add('refused', 1, 'no first request');
      this.#transport?.end(grpcStatus.invalidArgument, `no request came within ${limits.firstRequestMs} ms`);
      return;
    }
    if (this.#blockedSince !== undefined && now - this.#blockedSince > limits.stalledMs) {
      metrics.add('stalled', 1, 'stream');
      log.warn({ proxy: this.proxyId }, 'proxy reads nothing: its stream is closed');
      this.#transport?.destroy();
      return;
    }
    for (const watch of this.#order)
      if (watch.gated || watch.retiring.size > 0) {
        this.#context.queue.add(this);
        return;
      }
  }

  get isIdle(): boolean {
    return this.#order.every((watch) => !watch.inFlight && !hasWork(this, watch));
  }

  end(message: string): void {
    this.#transport?.end(grpcStatus.unavailable, message);
  }

  onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#debug?.close();
    clearTimeout(this.#resume);
    this.#context.queue.remove(this);
    this.#context.ledger.close(this);
    this.#release?.();
    if (this.#registration) this.#context.registry.release(this.#registration, this);
  }

  isSynced(revision: number): boolean {
    return this.#order.every((watch) => {
      const fresh = watch.typeUrl === typeUrls.virtualHost && this.freshRouteConfigs.size > 0;
      return !fresh && watch.isSynced(revision);
    });
  }

  lag(revision: number): readonly Lag[] {
    const { now } = this;
    const blocked = this.#blockedSince !== undefined;
    return this.#order.flatMap((watch) => {
      const lag = lagOf(watch, revision, { hasWork: hasWork(this, watch), blocked, now });
      return lag ? [lag] : [];
    });
  }

  status(): ProxyStatus {
    return {
      proxyId: this.proxyId,
      namespace: this.namespace,
      protocol: this.delta ? 'delta' : 'sotw',
      connectedAt: this.connectedAt,
      address: this.#credentials.remoteAddress,
      types: this.#order.map((watch) => statusOf(watch, hasWork(this, watch))),
    };
  }

  heldResources(): readonly HeldResources[] {
    return this.#order.map(heldOf);
  }

  rejectedResources(): readonly RejectedEvent[] {
    return this.#order.flatMap((watch) =>
      groupRejections(this.proxyId, watch.typeUrl, [...watch.rejected.values()]),
    );
  }
}

function rank(typeUrl: string): number {
  const index = deliveryOrder.indexOf(typeUrl);
  return index < 0 ? deliveryOrder.length : index;
}
