import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Stream,
} from 'node:http2';
import { CodedError } from './coded-error.ts';

/*
 * gRPC over node:http2: framing, trailers and unary calls, as "gRPC over HTTP2" (PROTOCOL-HTTP2.md) lays them down. Messages are
 * bytes; who knows their types encodes them. No compression: a compressed message is answered with UNIMPLEMENTED.
 */

/** Status codes that Ostria uses, by their names in the gRPC documentation. */
export const grpcStatus = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** A call that ended with a status other than OK. */
export class GrpcError extends CodedError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`grpc-${status}`, message);
    this.name = 'GrpcError';
    this.status = status;
  }
}

const PREFIX = 5;

/** How many pieces of an unfinished message are kept apart. */
const MOST_CHUNKS = 1_024;

/** A message with its length prefix, ready for `stream.write`. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX);
  return frame;
}

/** What one message that came in pieces is gathered in; larger ones get a buffer of their own. */
const gatheredBytes = 256 * 1024;
let gathered: Buffer | undefined;

function gatherBuffer(length: number): Buffer {
  if (length > gatheredBytes) return Buffer.allocUnsafe(length);
  gathered ??= Buffer.allocUnsafeSlow(gatheredBytes);
  return gathered;
}

/** Cuts the byte stream of one direction into messages. Holds at most one unfinished message of `maxBytes`. */
export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that `chunk` completes; their bytes are valid until the next push, of whichever reader. Throws GrpcError for a message too large or compressed. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    // A sender that cuts its bytes into the smallest pieces must not make us hold an object for each.
    if (this.#chunks.length > MOST_CHUNKS) this.#join();
    const messages: Buffer[] = [];
    while (this.#held >= PREFIX) {
      const first = this.#chunks[0] as Buffer;
      const head = first.length >= PREFIX ? first : this.#join();
      const length = head.readUInt32BE(1);
      if (head[0] !== 0)
        throw new GrpcError(grpcStatus.unimplemented, 'compressed messages are not supported');
      if (length > this.#maxBytes)
        throw new GrpcError(
          grpcStatus.resourceExhausted,
          `message of ${length} bytes exceeds the limit of ${this.#maxBytes}`,
        );
      if (this.#held < PREFIX + length) break;
      const end = PREFIX + length;
      const bytes = this.#joinForNow(end);
      messages.push(bytes.subarray(PREFIX, end));
      this.#held -= end;
    }
    return messages;
  }

  /**
   * The first `length` bytes as one buffer, which are no longer held. Of several chunks they are gathered in a buffer that all readers
   * share: the first requests of hundreds of clients, tens of KB each, would else be garbage beyond V8's heap, which it lets grow.
   */
  #joinForNow(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= length) {
      this.#chunks.shift();
      if (first.length > length) this.#chunks.unshift(first.subarray(length));
      return first;
    }
    const target = gatherBuffer(length);
    let used = 0;
    for (let at = 0; at < length; ) {
      const chunk = this.#chunks[used] as Buffer;
      const taken = chunk.copy(target, at, 0, length - at);
      at += taken;
      if (taken === chunk.length) used++;
      else this.#chunks[used] = chunk.subarray(taken);
    }
    // At once: one by one from the front would cost the square of their number.
    this.#chunks.splice(0, used);
    return target.subarray(0, length);
  }

  /** True when the stream ended inside a message. */
  get unfinished(): boolean {
    return this.#held > 0;
  }

  #join(): Buffer {
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return bytes;
  }
}

/** `grpc-message` is percent-encoded (PROTOCOL-HTTP2.md, "Responses"). */
export function encodeGrpcMessage(message: string): string {
  return message
    .slice(0, 1_000)
    .replace(/[^\x20-\x24\x26-\x7e]+/gu, (text) => encodeURIComponent(text.toWellFormed()));
}

export function decodeGrpcMessage(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

const RESPONSE_HEADERS: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc+proto' };

/** Answers a call at once with a status and no message ("trailers-only"). */
export function refuseGrpc(stream: ServerHttp2Stream, status: number, message: string): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond(
    { ...RESPONSE_HEADERS, 'grpc-status': String(status), 'grpc-message': encodeGrpcMessage(message) },
    { endStream: true },
  );
}

export type UnaryResult =
  | { ok: true; response: Uint8Array }
  | { ok: false; grpcStatus: number; message: string };

export interface ServeUnaryOptions {
  /** Bytes of the request message. Default 64 KiB. */
  maxRequestBytes?: number;
  /** The whole request must have arrived within this. Default 10 s. */
  timeoutMs?: number;
}

/** Reads one message, calls `handler`, answers. `handler` should return failures; what it throws is answered as INTERNAL, without details. */
export function serveUnary(
  stream: ServerHttp2Stream,
  handler: (request: Uint8Array) => Promise<UnaryResult>,
  options: ServeUnaryOptions = {},
): void {
  const { maxRequestBytes = 65_536, timeoutMs = 10_000 } = options;
  const reader = new FrameReader(maxRequestBytes);
  const messages: Uint8Array[] = [];
  let over = false;
  const timer = setTimeout(
    () => fail(grpcStatus.deadlineExceeded, 'the request did not arrive in time'),
    timeoutMs,
  );
  const fail = (status: number, message: string) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    refuseGrpc(stream, status, message);
    // The rest of the request is dropped as it comes, and not waited for: a reset at once could overtake the answer.
    setTimeout(() => stream.close(), 1_000).unref();
  };
  stream.on('error', () => {});
  stream.on('close', () => clearTimeout(timer));
  stream.on('data', (chunk: Buffer) => {
    if (over) return;
    try {
      messages.push(...reader.push(chunk));
      if (messages.length > 1) fail(grpcStatus.invalidArgument, 'a unary call takes one message');
    } catch (error) {
      if (error instanceof GrpcError) fail(error.status, error.message);
      else fail(grpcStatus.internal, 'internal error');
    }
  });
  stream.on('end', () => {
    if (over) return;
    const request = messages[0];
    if (!request || reader.unfinished)
      return fail(grpcStatus.invalidArgument, 'a unary call takes one message');
    over = true;
    clearTimeout(timer);
    handler(request).then(
      (result) => answer(stream, result),
      () => refuseGrpc(stream, grpcStatus.internal, 'internal error'),
    );
  });
}

function answer(stream: ServerHttp2Stream, result: UnaryResult): void {
  if (!result.ok) {
    refuseGrpc(stream, result.grpcStatus, result.message);
    return;
  }
  if (stream.destroyed) return;
  stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(encodeFrame(result.response));
}

export interface GrpcServerStream {
  /** False when the peer reads slower than we write: wait for `onDrain`. */
  send(message: Uint8Array): boolean;
  end(status: number, message?: string): void;
  readonly closed: boolean;
}

export interface GrpcStreamEvents {
  onMessage(message: Uint8Array): void;
  onDrain?(): void;
  /** Once, however the stream ended. */
  onClose(): void;
}

/** Opens the answering side of a bidirectional call. Throwing from `onMessage` ends the call with INTERNAL. */
export function serveStream(
  stream: ServerHttp2Stream,
  open: (call: GrpcServerStream) => GrpcStreamEvents,
  options: { maxMessageBytes: number },
): void {
  const reader = new FrameReader(options.maxMessageBytes);
  let trailers: OutgoingHttpHeaders = { 'grpc-status': '0' };
  let ended = false;
  const call: GrpcServerStream = {
    send: (message) => (stream.destroyed || ended ? true : stream.write(encodeFrame(message))),
    end(status, message = '') {
      if (ended || stream.destroyed) return;
      ended = true;
      trailers = { 'grpc-status': String(status), 'grpc-message': encodeGrpcMessage(message) };
      stream.end();
    },
    get closed() {
      return ended || stream.destroyed;
    },
  };
  stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  const events = open(call);
  stream.on('error', () => {});
  stream.on('drain', () => events.onDrain?.());
  stream.on('close', () => events.onClose());
  stream.on('end', () => call.end(grpcStatus.ok));
  stream.on('data', (chunk: Buffer) => {
    if (ended) return;
    try {
      for (const message of reader.push(chunk)) events.onMessage(message);
    } catch (error) {
      if (error instanceof GrpcError) call.end(error.status, error.message);
      else call.end(grpcStatus.internal, 'internal error');
    }
  });
}

export interface CallUnaryOptions {
  headers?: OutgoingHttpHeaders;
  /** From the call to its last byte. Default 10 s. */
  timeoutMs?: number;
  /** Default 1 MiB. */
  maxResponseBytes?: number;
}

/** One unary call. Rejects with GrpcError (UNAVAILABLE for transport failures, so that callers have one kind of error). */
export function callUnary(
  session: ClientHttp2Session,
  path: string,
  request: Uint8Array,
  options: CallUnaryOptions = {},
): Promise<Uint8Array> {
  const { timeoutMs = 10_000, maxResponseBytes = 1 << 20 } = options;
  return new Promise((resolve, reject) => {
    const reader = new FrameReader(maxResponseBytes);
    const messages: Uint8Array[] = [];
    let status: IncomingHttpHeaders = {};
    let stream: ClientHttp2Stream;
    const finish = (error?: GrpcError) => {
      clearTimeout(timer);
      stream?.close();
      if (error) return reject(error);
      const failure = statusError(status);
      const [message] = messages;
      if (failure) reject(failure);
      else if (message) resolve(message);
      else reject(new GrpcError(grpcStatus.internal, 'the answer holds no message'));
    };
    const timer = setTimeout(
      () => finish(new GrpcError(grpcStatus.deadlineExceeded, `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const lost = (error: Error) => finish(new GrpcError(grpcStatus.unavailable, error.message));
    try {
      stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc+proto',
        te: 'trailers',
        ...options.headers,
      });
    } catch (error) {
      clearTimeout(timer);
      return reject(new GrpcError(grpcStatus.unavailable, (error as Error).message));
    }
    stream.on('response', (headers) => {
      status = headers;
    });
    stream.on('trailers', (headers) => {
      status = { ...status, ...headers };
    });
    stream.on('data', (chunk: Buffer) => {
      try {
        messages.push(...reader.push(chunk));
      } catch (error) {
        finish(error as GrpcError);
      }
    });
    stream.on('error', lost);
    stream.on('end', () => finish());
    stream.on('close', () => lost(new Error('the connection was closed')));
    stream.end(encodeFrame(request));
  });
}

function statusError(headers: IncomingHttpHeaders): GrpcError | undefined {
  const status = headers['grpc-status'];
  if (status === '0') return undefined;
  if (status === undefined)
    return new GrpcError(
      grpcStatus.unavailable,
      `HTTP status ${headers[':status'] ?? '(none)'} without a gRPC status`,
    );
  return new GrpcError(Number(status), decodeGrpcMessage(String(headers['grpc-message'] ?? '')));
}
