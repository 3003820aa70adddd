import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import type { PushDelta } from '../snapshot/push.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { admitProxy, decodeRequest, readProxy } from './admit-proxy.ts';
import type { Credentials } from './authenticate.ts';
import { DebugStream, isDebugType } from './debug-stream.ts';
import type { GrpcStream } from './grpc-stream.ts';
import type { HeldResources, Lag, ProxyStatus, RejectedEvent } from './ledger.ts';
import type { XdsMethod } from './methods.ts';
import type { Registration } from './proxy-registry.ts';
import type { XdsRequest } from './request.ts';
import { retryRefused } from './retry-refused.ts';
import { hasWork } from './safe-order.ts';
import type { StreamContext } from './stream-context.ts';
import type { StreamHandle } from './stream-handle.ts';
import { StreamRequests } from './stream-requests.ts';
import { StreamResponses } from './stream-responses.ts';
import { groupRejections, heldOf, lagOf, statusOf } from './stream-status.ts';
import type { Views } from './views.ts';
import type { Watch } from './watch.ts';
import { deliveryOrder } from './xds-type.ts';

/** Requests that may arrive while the first one is authenticated. */
const maxEarlyRequests = 64;

/** One xDS call of one proxy: requests in, responses in the safe order out. */
export class XdsStream implements StreamHandle {
  readonly delta: boolean;
  readonly connectedAt = Date.now();
  readonly openedAt = performance.now();
  readonly watches = new Map<string, Watch>();
  readonly routeConfigs = new Set<string>();
  readonly freshRouteConfigs = new Set<string>();
  readonly warmingMs: number;
  readonly views: Views;
  order: readonly Watch[] = [];
  readonly #context: StreamContext;
  readonly #method: XdsMethod;
  readonly #credentials: Credentials;
  /** A first request came that is not for debug types. */
  #isStarting = false;
  readonly #early: Buffer[] = [];
  readonly #requests: StreamRequests;
  readonly #responses: StreamResponses;
  #transport: GrpcStream | undefined;
  /** Set: the caller is no proxy, it asks for debug types. */
  #debug: DebugStream | undefined;
  #registration: Registration | undefined;
  #release: (() => void) | undefined;
  isClosed = false;
  /** The first request came and is authentic; what the proxy needs is compiled, however long that takes. */
  #admitted = false;

  constructor(context: StreamContext, method: XdsMethod, credentials: Credentials) {
    this.#context = context;
    this.#method = method;
    this.#credentials = credentials;
    this.delta = method.delta;
    this.views = context.views;
    this.warmingMs = context.limits.warmingMs;
    this.#responses = new StreamResponses(this, context, method.typeUrl === undefined);
    this.#requests = new StreamRequests(this, context, this.#responses, method.typeUrl);
  }

  attach(transport: GrpcStream): void {
    this.#transport = transport;
    this.#responses.attach(transport);
  }

  addWatch(watch: Watch): void {
    this.watches.set(watch.typeUrl, watch);
    this.order = [...this.watches.values()].sort((a, b) => rank(a.typeUrl) - rank(b.typeUrl));
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
    if (this.#registration) this.guard(() => this.#requests.take(decodeRequest(message, this.delta, false)));
    else if (this.#debug) this.#debug.onMessage(message);
    else if (this.#isStarting) this.#keepEarly(message);
    else this.#onFirst(message);
  }

  /** The first request names the node, or asks for a debug type. It is decoded once. */
  #onFirst(message: Buffer): void {
    const { debug } = this.#context;
    const request = decodeRequest(message, this.delta, true);
    if (debug && this.#transport && isDebugType(request.typeUrl)) {
      this.#debug = new DebugStream(debug, this.#credentials, this.#transport, this.delta);
      this.#admitted = true;
      this.#debug.onMessage(message);
      return;
    }
    this.#isStarting = true;
    this.#start(request).catch((error: unknown) => {
      if (!(error instanceof GrpcError)) this.#context.log.warn({ err: error }, 'xDS stream failed to start');
      this.#transport?.fail(error);
    });
  }

  #keepEarly(message: Buffer): void {
    if (this.#early.push(Buffer.from(message)) >= maxEarlyRequests)
      throw new GrpcError(grpcStatus.resourceExhausted, 'too many requests before the first was answered');
  }

  guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof GrpcError))
        this.#context.log.warn({ err: error, proxy: this.proxyId }, 'xDS stream failed');
      this.#transport?.fail(error);
    }
  }

  /** Who calls, and whether it may. */
  async #start(request: XdsRequest): Promise<void> {
    const proxy = readProxy(request, this.#method);
    this.#transport?.pause();
    const release = await admitProxy(proxy, this.#credentials, this.#context.authenticate);
    if (this.isClosed) return release();
    this.#release = release;
    this.#admitted = true;
    await this.#context.registry.prepare(proxy);
    if (this.isClosed) return;
    this.#registration = this.#context.registry.acquire(proxy, this);
    this.#context.ledger.open(this);
    this.#transport?.resume();
    this.#requests.take(request);
    for (const early of this.#early.splice(0))
      if (!this.isClosed) this.#requests.take(decodeRequest(early, this.delta, false));
  }

  /** Takes note of a change; the queue gives this stream its turn. */
  note(delta: PushDelta, revision: number): void {
    this.#responses.note(delta, revision);
  }

  /** Sends what can be sent, in the safe order, until the connection is full. */
  advance(): number {
    return this.#responses.advance();
  }

  onDrain(): void {
    this.#responses.onDrain();
  }

  /** Called about once a second: ends streams that do not move, and resumes what waits for a time to pass. */
  tick(): void {
    const { limits, metrics, log } = this.#context;
    const { now } = this;
    const { blockedSince } = this.#responses;
    if (!this.#admitted && now - this.openedAt > limits.firstRequestMs) {
      metrics.add('refused', 1, 'no first request');
      this.#transport?.end(grpcStatus.invalidArgument, `no request came within ${limits.firstRequestMs} ms`);
      return;
    }
    if (blockedSince !== undefined && now - blockedSince > limits.stalledMs) {
      metrics.add('stalled', 1, 'stream');
      log.warn({ proxy: this.proxyId }, 'proxy reads nothing: its stream is closed');
      this.#transport?.destroy();
      return;
    }
    let due = false;
    for (const watch of this.order)
      if (retryRefused(this, watch, limits.secretRetry) || watch.gated || watch.retiring.size > 0) due = true;
    if (due) this.#context.queue.add(this);
  }

  get isIdle(): boolean {
    return this.order.every((watch) => !watch.inFlight && !hasWork(this, watch));
  }

  end(message: string): void {
    this.#transport?.end(grpcStatus.unavailable, message);
  }

  onClose(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#debug?.close();
    this.#responses.close();
    this.#context.queue.remove(this);
    this.#context.ledger.close(this);
    this.#release?.();
    if (this.#registration) this.#context.registry.release(this.#registration, this);
  }

  isSynced(revision: number): boolean {
    return this.order.every((watch) => {
      const fresh = watch.typeUrl === typeUrls.virtualHost && this.freshRouteConfigs.size > 0;
      return !fresh && watch.isSynced(revision);
    });
  }

  lag(revision: number): readonly Lag[] {
    const { now } = this;
    const blocked = this.#responses.blockedSince !== undefined;
    return this.order.flatMap((watch) => {
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
      types: this.order.map((watch) => statusOf(watch, hasWork(this, watch))),
    };
  }

  heldResources(): readonly HeldResources[] {
    return this.order.map(heldOf);
  }

  rejectedResources(): readonly RejectedEvent[] {
    return this.order.flatMap((watch) =>
      groupRejections(this.proxyId, watch.typeUrl, [...watch.rejected.values()]),
    );
  }
}

function rank(typeUrl: string): number {
  const index = deliveryOrder.indexOf(typeUrl);
  return index < 0 ? deliveryOrder.length : index;
}
