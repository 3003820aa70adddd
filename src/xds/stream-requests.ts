import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { typeUrls } from '../snapshot/resource.ts';
import { askOnDemand, recall } from './on-demand.ts';
import type { XdsRequest } from './request.ts';
import { hasWork } from './safe-order.ts';
import { acknowledge, rejectFlight } from './settle.ts';
import type { StreamContext } from './stream-context.ts';
import type { StreamHandle } from './stream-handle.ts';
import type { StreamResponses } from './stream-responses.ts';
import { groupRejections } from './stream-status.ts';
import { subscribeDelta, subscribeSotw } from './subscribe.ts';
import { Watch } from './watch.ts';
import { shortType } from './xds-type.ts';

/** Types on one stream: far more than Envoy knows. */
const maxTypes = 64;

/** What the client asks for, acknowledges and refuses. */
export class StreamRequests {
  readonly #stream: StreamHandle;
  readonly #context: StreamContext;
  readonly #responses: StreamResponses;
  readonly #typeUrl: string | undefined;
  /** Requests that came while what the client holds is looked up; undefined: none is. */
  #waiting: XdsRequest[] | undefined;

  /** `typeUrl`: the one type that the stream is for; undefined: all of them. */
  constructor(
    stream: StreamHandle,
    context: StreamContext,
    responses: StreamResponses,
    typeUrl: string | undefined,
  ) {
    this.#stream = stream;
    this.#context = context;
    this.#responses = responses;
    this.#typeUrl = typeUrl;
  }

  take(request: XdsRequest): void {
    if (this.#waiting) {
      this.#waiting.push(request);
      return;
    }
    const known = recall(this.#stream, this.#context.demand, request, this.#typeUrl);
    if (known) this.#handleAfter(known, request);
    else this.#handleNow(request);
  }

  /** What the client says that it holds must be known to be in use before it is compared with what it should hold. */
  #handleAfter(known: Promise<unknown>, request: XdsRequest): void {
    this.#waiting = [];
    const go = (): void => {
      const queued = this.#waiting ?? [];
      this.#waiting = undefined;
      if (this.#stream.isClosed) return;
      this.#stream.guard(() => {
        this.#handleNow(request);
        for (const next of queued) this.take(next);
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
    if (this.#stream.delta) {
      const rest = this.#ask(watch, request);
      if (first || rest.subscribe.length > 0 || request.unsubscribe.length > 0)
        subscribeDelta(this.#stream, watch, rest, first);
    } else if (first || isCurrent) subscribeSotw(this.#stream, watch, request, first);
    if (first && watch.typeUrl === typeUrls.endpoints) this.#responses.takeEarlyEndpoints(watch);
    if (hasWork(this.#stream, watch)) watch.oldest ??= this.#stream.views.revision;
    if (this.#mayAdvance) this.#context.queue.add(this.#stream);
    this.#context.ledger.progress(this.#stream);
  }

  /** Most requests acknowledge the last thing that there was to send. */
  get #mayAdvance(): boolean {
    return this.#stream.order.some(
      (watch) => watch.retiring.size > 0 || (!watch.inFlight && hasWork(this.#stream, watch)),
    );
  }

  /** Takes out the names that wait for the compile. */
  #ask(watch: Watch, request: XdsRequest): XdsRequest {
    const { rest, found } = askOnDemand(this.#stream, watch, this.#context.demand, request);
    found?.finally(() => {
      if (this.#stream.isClosed) return;
      watch.oldest ??= this.#stream.views.revision;
      this.#context.queue.add(this.#stream);
    });
    return rest;
  }

  #watchOf(request: XdsRequest): Watch {
    const typeUrl = this.#typeUrl ?? request.typeUrl;
    if (typeUrl === '' || (request.typeUrl !== '' && request.typeUrl !== typeUrl))
      throw new GrpcError(
        grpcStatus.invalidArgument,
        `the type URL ${JSON.stringify(request.typeUrl)} does not belong on this stream`,
      );
    const known = this.#stream.watches.get(typeUrl);
    if (known) return known;
    if (this.#stream.watches.size >= maxTypes)
      throw new GrpcError(grpcStatus.resourceExhausted, `more than ${maxTypes} types on one stream`);
    const watch = new Watch(typeUrl, this.#context.limits.pace);
    this.#stream.addWatch(watch);
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
    watch.answered(this.#stream.now - flight.sentAt, this.#stream.now);
    const type = shortType(watch.typeUrl);
    if (request.error === undefined) {
      this.#context.metrics.add('acks', 1, type);
      const resources = acknowledge(this.#stream, watch, flight);
      if (resources.length > 0)
        this.#context.ledger.noteRecovered({
          proxyId: this.#stream.proxyId,
          typeUrl: watch.typeUrl,
          resources,
        });
      return true;
    }
    this.#context.metrics.add('nacks', 1, type);
    const rejected = rejectFlight(this.#stream, watch, flight, request.error);
    if (rejected.length === 0) return true;
    this.#context.log.warn(
      {
        proxy: this.#stream.proxyId,
        type,
        resources: rejected.map((resource) => resource.name),
        error: request.error.slice(0, 500),
      },
      'proxy rejected resources',
    );
    for (const event of groupRejections(this.#stream.proxyId, watch.typeUrl, rejected))
      this.#context.ledger.noteRejected(event);
    return true;
  }
}
