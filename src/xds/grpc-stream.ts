import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  encodeGrpcMessage,
  FrameDecoder,
  framePrefixLength,
  GrpcError,
  type GrpcStatus,
  grpcStatus,
  writeFramePrefix,
} from './grpc-frames.ts';

/** Responses up to this length are copied into one buffer: one small write costs less than a vector of three. */
const copyLimit = 4_096;

export interface GrpcHandlers {
  onMessage(message: Buffer): void;
  /** The peer ended its side, or the stream broke. Called once. */
  onClose(): void;
  /** Everything written has left for the network. */
  onDrain(): void;
}

/** One bidirectional gRPC call on an HTTP/2 stream. */
export class GrpcStream {
  readonly #stream: ServerHttp2Stream;
  readonly #decoder: FrameDecoder;
  readonly #handlers: GrpcHandlers;
  #status: { status: GrpcStatus; message: string } = { status: grpcStatus.ok, message: '' };
  #ended = false;
  #closed = false;
  /** What was written has not left yet: nothing more may be written. */
  blocked = false;
  bytesWritten = 0;

  constructor(stream: ServerHttp2Stream, maxMessageBytes: number, handlers: GrpcHandlers) {
    this.#stream = stream;
    this.#decoder = new FrameDecoder(maxMessageBytes);
    this.#handlers = handlers;
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('drain', () => {
      this.blocked = false;
      if (!this.#ended) handlers.onDrain();
    });
    stream.on('end', () => this.end(grpcStatus.ok, ''));
    stream.on('error', () => this.#close());
    stream.on('aborted', () => this.#close());
    stream.on('close', () => this.#close());
  }

  get isOpen(): boolean {
    return !this.#ended && !this.#closed;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Writes one message made of shared buffers and one that is the client's own. Sets `blocked`. */
  send(shared: readonly Buffer[], sharedLength: number, own: Buffer): void {
    if (!this.isOpen) return;
    const length = sharedLength + own.length;
    this.bytesWritten += length + framePrefixLength;
    this.blocked = !(length <= copyLimit
      ? this.#stream.write(join(shared, own, length))
      : this.#sendVector(shared, own, length));
  }

  #sendVector(shared: readonly Buffer[], own: Buffer, length: number): boolean {
    const prefix = Buffer.allocUnsafe(framePrefixLength);
    writeFramePrefix(prefix, 0, length);
    this.#stream.cork();
    this.#stream.write(prefix);
    for (const buffer of shared) this.#stream.write(buffer);
    const isFree = this.#stream.write(own);
    this.#stream.uncork();
    return isFree;
  }

  end(status: GrpcStatus, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#status = { status, message };
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end();
    this.#close();
  }

  /** Ends the call without waiting for what is still to be written. */
  destroy(): void {
    this.#ended = true;
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#close();
  }

  #receive(chunk: Buffer): void {
    if (!this.isOpen) return;
    try {
      for (const message of this.#decoder.push(chunk)) if (this.isOpen) this.#handlers.onMessage(message);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with what an error says; of errors that are not meant for the client it learns nothing. */
  fail(error: unknown): void {
    if (error instanceof GrpcError) this.end(error.status, error.message);
    else this.end(grpcStatus.internal, 'internal error: see the log of the control plane');
  }

  #sendTrailers(): void {
    if (this.#stream.destroyed) return;
    const { status, message } = this.#status;
    this.#stream.sendTrailers({
      'grpc-status': String(status),
      ...(message === '' ? {} : { 'grpc-message': encodeGrpcMessage(message) }),
    });
    // The peer's half may stay open for as long as it likes: RST_STREAM with NO_ERROR tells it that nobody reads it (RFC 9113, 8.1).
    setImmediate(() => {
      if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers.onClose();
  }
}

function join(shared: readonly Buffer[], own: Buffer, length: number): Buffer {
  const target = Buffer.allocUnsafe(framePrefixLength + length);
  writeFramePrefix(target, 0, length);
  let at = framePrefixLength;
  for (const buffer of shared) at += buffer.copy(target, at);
  own.copy(target, at);
  return target;
}

/** Refuses a call before any message: a response that consists of trailers only. */
export function refuseCall(stream: ServerHttp2Stream, status: GrpcStatus, message: string): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.on('error', () => undefined);
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(status),
      'grpc-message': encodeGrpcMessage(message),
    },
    { endStream: true },
  );
}
