import { constants, type ServerHttp2Stream } from 'node:http2';
import { encodeGrpcMessage, FrameReader, GrpcError, grpcStatus } from '../kit/grpc-http2.ts';

/** Bytes before each message: a compression flag, always 0 here, and the length. */
const framePrefixLength = 5;

/** Responses up to this length are copied, those of one turn into one buffer: one small write costs less than a vector. */
const copyLimit = 4_096;

/**
 * Bytes that are handed to the transport at a time. Plaintext goes out as the shared buffers that it is. TLS encrypts a copy of
 * all that it is given and keeps buffers of that size for as long as the connection lives: a portion is one frame with its
 * header (9 bytes) in one TLS record, and the next one waits until it has left. With what the record adds (29 bytes in TLS 1.2, 22 in 1.3)
 * it fits into one of Node's buffers of 16 KiB: a few bytes more take a second one on each connection.
 */
const plainPortion = 1024 * 1024;
const encryptedPortion = 16 * 1024 - 9 - 29;

export interface GrpcHandlers {
  /** The bytes are valid during the call. */
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
  readonly #encrypted: boolean;
  #isFull = false;
  /** Short messages of a batch that are not written yet. */
  #small: Message[] = [];
  #smallLength = 0;
  #isBatch = false;
  #isCorked = false;
  bytesWritten = 0;

  constructor(stream: ServerHttp2Stream, maxMessageBytes: number, handlers: GrpcHandlers) {
    this.#stream = stream;
    this.#encrypted = stream.session?.encrypted ?? false;
    this.#reader = new FrameReader(maxMessageBytes);
    this.#handlers = handlers;
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => this.#sendTrailers());
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('drain', () => this.#drained());
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

  /** What is sent meanwhile leaves together: one write costs the kernel less than three. */
  batch(work: () => void): void {
    this.#isBatch = true;
    try {
      work();
    } finally {
      this.#isBatch = false;
      this.#writeSmall();
      if (this.#isCorked) this.#stream.uncork();
      this.#isCorked = false;
    }
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
      this.#small.push({ shared, own, length });
      this.#smallLength += length + framePrefixLength;
      if (!this.#isBatch || this.#smallLength > encryptedPortion - copyLimit) this.#writeSmall();
      return;
    }
    this.#writeSmall();
    if (this.#isBatch && !this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
    }
    const prefix = Buffer.allocUnsafe(framePrefixLength);
    writeFramePrefix(prefix, 0, length);
    this.#waiting.push(prefix, ...shared, own);
    this.#pump();
  }

  #writeSmall(): void {
    if (this.#small.length === 0 || this.#stream.destroyed) return;
    const target = Buffer.allocUnsafe(this.#smallLength);
    let at = 0;
    for (const message of this.#small) at = writeMessage(target, at, message);
    this.#small = [];
    this.#smallLength = 0;
    if (!this.#stream.write(target)) this.#isFull = true;
  }

  /** Hands the next buffers to the transport, a portion at a time. */
  #pump(): void {
    while (this.#waiting.length > 0 && !this.#isFull && !this.#stream.destroyed) {
      const buffers = this.#takePortion();
      const last = buffers.pop() as Buffer;
      this.#stream.cork();
      for (const buffer of buffers) this.#stream.write(buffer);
      if (this.#encrypted) {
        this.#isFull = true;
        this.#stream.write(last, () => this.#drained());
      } else this.#isFull = !this.#stream.write(last);
      this.#stream.uncork();
    }
    if (this.#waiting.length === 0 && this.#ended) this.#finish();
  }

  #takePortion(): Buffer[] {
    const portion = this.#encrypted ? encryptedPortion : plainPortion;
    let count = 0;
    let bytes = 0;
    while (bytes < portion && count < this.#waiting.length)
      bytes += (this.#waiting[count++] as Buffer).length;
    const buffers = this.#waiting.splice(0, count);
    if (this.#encrypted && bytes > portion) {
      const last = buffers.pop() as Buffer;
      const fits = last.length - (bytes - portion);
      buffers.push(last.subarray(0, fits));
      this.#waiting.unshift(last.subarray(fits));
    }
    return buffers;
  }

  #drained(): void {
    this.#isFull = false;
    this.#pump();
    if (!this.blocked && !this.#ended) this.#handlers.onDrain();
  }

  /** Ends the call after what was sent. */
  end(status: number, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#status = { status, message };
    this.#writeSmall();
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
    this.#small = [];
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

interface Message {
  readonly shared: readonly Buffer[];
  readonly own: Buffer;
  readonly length: number;
}

/** Returns the offset after what was written. */
function writeMessage(target: Buffer, offset: number, { shared, own, length }: Message): number {
  writeFramePrefix(target, offset, length);
  let at = offset + framePrefixLength;
  for (const buffer of shared) at += buffer.copy(target, at);
  return at + own.copy(target, at);
}

function writeFramePrefix(target: Buffer, offset: number, messageLength: number): void {
  target[offset] = 0;
  target.writeUInt32BE(messageLength, offset + 1);
}
