import { constants, type ServerHttp2Stream } from 'node:http2';
import { encodeGrpcMessage, FrameReader, GrpcError, grpcStatus } from '../kit/grpc-http2.ts';

/** Bytes before each message: a compression flag, always 0 here, and the length. */
const framePrefixLength = 5;

/** Responses up to this length are copied into one buffer: one small write costs less than a vector of three. */
const copyLimit = 4_096;

/**
 * Bytes that are handed to the transport at a time. Plaintext goes out as the shared buffers that it is; TLS encrypts a copy of
 * all that it is given and keeps buffers of that size: with 128 KiB, 500 connections held 120 MB more than with 16.
 */
const plainPortion = 1024 * 1024;
const encryptedPortion = 16 * 1024;

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
  readonly #reader: FrameReader;
  readonly #handlers: GrpcHandlers;
  #status: { status: number; message: string } = { status: grpcStatus.ok, message: '' };
  #ended = false;
  #closed = false;
  /** Shared buffers of the message under way that are not handed to the transport yet. */
  #waiting: Buffer[] = [];
  readonly #portion: number;
  #isFull = false;
  bytesWritten = 0;

  constructor(stream: ServerHttp2Stream, maxMessageBytes: number, handlers: GrpcHandlers) {
    this.#stream = stream;
    this.#portion = stream.session?.encrypted ? encryptedPortion : plainPortion;
    this.#reader = new FrameReader(maxMessageBytes);
    this.#handlers = handlers;
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('drain', () => {
      this.#isFull = false;
      this.#pump();
      if (!this.blocked && !this.#ended) handlers.onDrain();
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

  /** What was sent has not left yet: nothing more may be sent. */
  get blocked(): boolean {
    return this.#isFull || this.#waiting.length > 0;
  }

  /** Sends one message made of shared buffers and one that is the client's own. */
  send(shared: readonly Buffer[], sharedLength: number, own: Buffer): void {
    if (!this.isOpen) return;
    const length = sharedLength + own.length;
    this.bytesWritten += length + framePrefixLength;
    if (length <= copyLimit) {
      this.#isFull = !this.#stream.write(join(shared, own, length));
      return;
    }
    const prefix = Buffer.allocUnsafe(framePrefixLength);
    writeFramePrefix(prefix, length);
    this.#waiting.push(prefix, ...shared, own);
    this.#pump();
  }

  /** Hands the next buffers to the transport: a portion at a time, for TLS makes a copy of all that it is given. */
  #pump(): void {
    while (this.#waiting.length > 0 && !this.#isFull && !this.#stream.destroyed) {
      let count = 0;
      for (let bytes = 0; bytes < this.#portion && count < this.#waiting.length; count++)
        bytes += (this.#waiting[count] as Buffer).length;
      this.#stream.cork();
      for (const buffer of this.#waiting.splice(0, count)) this.#isFull = !this.#stream.write(buffer);
      this.#stream.uncork();
    }
    if (this.#waiting.length === 0 && this.#ended) this.#finish();
  }

  /** Ends the call after what was sent. */
  end(status: number, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#status = { status, message };
    if (this.#waiting.length === 0) this.#finish();
    this.#close();
  }

  #finish(): void {
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end();
  }

  /** Ends the call without waiting for what is still to be written. */
  destroy(): void {
    this.#ended = true;
    this.#waiting = [];
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_CANCEL);
    this.#close();
  }

  #receive(chunk: Buffer): void {
    if (!this.isOpen) return;
    try {
      for (const message of this.#reader.push(chunk)) if (this.isOpen) this.#handlers.onMessage(message);
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
  writeFramePrefix(target, length);
  let at = framePrefixLength;
  for (const buffer of shared) at += buffer.copy(target, at);
  own.copy(target, at);
  return target;
}

function writeFramePrefix(target: Buffer, messageLength: number): void {
  target[0] = 0;
  target.writeUInt32BE(messageLength, 1);
}
