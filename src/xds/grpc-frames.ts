/** gRPC status codes that this server uses. */
export const grpcStatus = {
  ok: 0,
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

/** Why a stream is ended, in gRPC's terms. */
export class GrpcError extends Error {
  readonly code = 'XDS_STREAM_REFUSED';
  readonly status: GrpcStatus;
  constructor(status: GrpcStatus, message: string) {
    super(message);
    this.status = status;
  }
}

const prefixLength = 5;

/**
 * Cuts a gRPC request body into messages: each is preceded by a compression flag and its length in four bytes. Memory is
 * bounded by the limit: a longer message is refused as soon as its length is read.
 */
export class FrameDecoder {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #needed = prefixLength;
  #inMessage = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns the messages that are now complete. Throws GrpcError. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const messages: Buffer[] = [];
    while (this.#buffered >= this.#needed) {
      const part = this.#take(this.#needed);
      if (this.#inMessage) {
        messages.push(part);
        this.#inMessage = false;
        this.#needed = prefixLength;
      } else {
        this.#needed = this.#readPrefix(part);
        this.#inMessage = true;
      }
    }
    return messages;
  }

  #readPrefix(prefix: Buffer): number {
    if (prefix[0] !== 0)
      throw new GrpcError(grpcStatus.unimplemented, 'compressed messages are not accepted: send identity');
    const length = prefix.readUInt32BE(1);
    if (length > this.#limit)
      throw new GrpcError(
        grpcStatus.resourceExhausted,
        `a request of ${length} bytes is over the limit of ${this.#limit}`,
      );
    return length;
  }

  #take(length: number): Buffer {
    const first = this.#chunks[0];
    if (first && first.length >= length) {
      this.#buffered -= length;
      if (first.length === length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const all = Buffer.concat(this.#chunks, this.#buffered);
    this.#chunks = all.length > length ? [all.subarray(length)] : [];
    this.#buffered -= length;
    return all.subarray(0, length);
  }
}

/** The five bytes before a message. */
export function writeFramePrefix(target: Buffer, offset: number, messageLength: number): void {
  target[offset] = 0;
  target.writeUInt32BE(messageLength, offset + 1);
}

export const framePrefixLength = prefixLength;

/** grpc-message is percent-encoded: gRPC over HTTP/2, "Status-Message". */
export function encodeGrpcMessage(message: string): string {
  return message.replace(/[^ -$&-~]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
