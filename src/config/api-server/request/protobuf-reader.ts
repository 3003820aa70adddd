/** Reads protobuf wire format. Throws `RangeError` on bytes that are not of it. */
export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Field number and wire type. */
  tag(): { field: number; wire: number } {
    const tag = Number(this.#varint());
    return { field: tag >>> 3, wire: tag & 7 };
  }

  /** A signed 64-bit number; beyond 2^53 it loses its lowest bits, as in JSON. */
  integer(): number {
    return Number(BigInt.asIntN(64, this.#varint()));
  }

  double(): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    return value;
  }

  bytes(): Uint8Array {
    const length = Number(this.#varint());
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  skip(wire: number): void {
    if (wire === 0) this.#varint();
    else if (wire === 1) this.#take(8);
    else if (wire === 2) this.bytes();
    else if (wire === 5) this.#take(4);
    else throw new RangeError(`unknown wire type ${wire}`);
  }

  #take(length: number): number {
    const start = this.#at;
    if (!(length >= 0) || start + length > this.#bytes.length)
      throw new RangeError('the message ends too early');
    this.#at += length;
    return start;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#take(1)] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new RangeError('a number is too long');
  }
}
