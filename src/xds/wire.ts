/**
 * The few pieces of the protobuf wire format that the delivery needs. Requests and responses are thin envelopes around bytes
 * that others encoded; reading and writing them by hand costs a tenth of a general decoder, on the path that runs for every
 * acknowledgement of every proxy.
 */

/** The message is not well-formed protobuf. The caller answers INVALID_ARGUMENT. */
export class WireError extends Error {
  readonly code = 'XDS_MALFORMED_MESSAGE';
}

export class WireReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  /** Field number × 8 + wire type. */
  tag(): number {
    const tag = this.varint();
    if (tag >>> 3 === 0) throw new WireError('a field has the number 0');
    return tag;
  }

  /** Values above 2^32 lose their upper part: every varint that is read here is a length, a tag or a small number. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw new WireError('the message ends inside a number');
      const byte = this.#buffer[this.#at++] as number;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new WireError('a number is longer than ten bytes');
  }

  string(): string {
    const end = this.#lengthDelimited();
    const text = this.#buffer.toString('utf8', this.#at, end);
    this.#at = end;
    return text;
  }

  bytes(): Buffer {
    const end = this.#lengthDelimited();
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** A reader over an embedded message, which this one steps over. */
  message(): WireReader {
    const end = this.#lengthDelimited();
    const reader = new WireReader(this.#buffer, this.#at, end);
    this.#at = end;
    return reader;
  }

  skip(tag: number): void {
    const wireType = tag & 7;
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.#advance(8);
    else if (wireType === 2) this.#at = this.#lengthDelimited();
    else if (wireType === 5) this.#advance(4);
    else throw new WireError(`unknown wire type ${wireType}`);
  }

  #lengthDelimited(): number {
    const length = this.varint();
    const end = this.#at + length;
    if (end > this.#end) throw new WireError('the message ends inside a field');
    return end;
  }

  #advance(count: number): void {
    if (this.#at + count > this.#end) throw new WireError('the message ends inside a field');
    this.#at += count;
  }
}

/** Whether a message has a field of this number at its top level. */
export function hasField(message: Uint8Array, field: number): boolean {
  const reader = new WireReader(asBuffer(message));
  while (!reader.done) {
    const tag = reader.tag();
    if (tag >>> 3 === field) return true;
    reader.skip(tag);
  }
  return false;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Returns the offset after what was written. */
export function writeVarint(target: Buffer, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  target[at++] = rest;
  return at;
}

/** Bytes of a length-delimited field with a one-byte tag (field numbers up to 15). */
export function fieldLength(contentLength: number): number {
  return 1 + varintLength(contentLength) + contentLength;
}

export function writeFieldHeader(target: Buffer, offset: number, field: number, length: number): number {
  target[offset] = (field << 3) | 2;
  return writeVarint(target, offset + 1, length);
}

export function writeStringField(
  target: Buffer,
  offset: number,
  field: number,
  text: string,
  byteLength: number,
): number {
  const at = writeFieldHeader(target, offset, field, byteLength);
  target.write(text, at, 'utf8');
  return at + byteLength;
}

export function writeBytesField(target: Buffer, offset: number, field: number, bytes: Uint8Array): number {
  const at = writeFieldHeader(target, offset, field, bytes.length);
  target.set(bytes, at);
  return at + bytes.length;
}
