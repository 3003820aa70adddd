/** Writes protobuf wire format: enough for documents made of strings, numbers, flags and messages. */
export class ProtobufWriter {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  /** Absent values are left out, as proto3 does with defaults. */
  text(field: number, value: unknown): this {
    if (typeof value !== 'string' || value === '') return this;
    return this.#bytes(field, Buffer.from(value));
  }

  texts(field: number, values: unknown): this {
    if (Array.isArray(values)) for (const value of values) this.#bytes(field, Buffer.from(String(value)));
    return this;
  }

  flag(field: number, value: unknown): this {
    if (value !== true) return this;
    this.#varint(field * 8);
    this.#varint(1);
    return this;
  }

  integer(field: number, value: unknown): this {
    if (typeof value !== 'number' || value === 0) return this;
    this.#varint(field * 8);
    this.#varint(Math.trunc(value));
    return this;
  }

  double(field: number, value: unknown): this {
    if (typeof value !== 'number' || value === 0) return this;
    this.#varint(field * 8 + 1);
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.#push(bytes);
  }

  message(field: number, write: (writer: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter();
    write(inner);
    return this.#bytes(field, inner.finish());
  }

  finish(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }

  #bytes(field: number, bytes: Uint8Array): this {
    this.#varint(field * 8 + 2);
    this.#varint(bytes.length);
    return this.#push(bytes);
  }

  /** Numbers of OpenAPI are whole, below 2^53; negative ones take ten bytes, as protobuf writes them. */
  #varint(value: number): void {
    const bytes: number[] = [];
    if (value >= 0) {
      let rest = value;
      for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
      bytes.push(rest);
    } else {
      let rest = BigInt.asUintN(64, BigInt(value));
      for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
      bytes.push(Number(rest));
    }
    this.#push(Uint8Array.from(bytes));
  }

  #push(bytes: Uint8Array): this {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}
