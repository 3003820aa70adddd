import { Duplex } from 'node:stream';
import { createHeaderReader, createHeaderWriter, type SpdyHeaders } from './spdy-headers.ts';

/*
 * The server's side of SPDY/3.1 as far as Kubernetes' stream protocols use it: streams that the client opens, data both ways,
 * resets and pings. Clients know no flow control and end the connection on frames of it, so none are sent.
 */

const version = 3;
const frame = { synStream: 1, synReply: 2, reset: 3, ping: 6, goAway: 7 } as const;
const fin = 1;
const cancelled = 5;
const refused = 3;

/** Longest frame, bytes: clients copy in pieces of 32 KiB. */
const maxFrame = 1024 * 1024;
/** Streams of one connection that may be open. Two per forwarded connection. */
const maxStreams = 256;
/** Bytes that may wait for one stream's reader before nothing more is read from the connection. */
const maxBuffered = 512 * 1024;

export interface SpdySessionEvents {
  onStream(stream: SpdyStream): void;
  /** Called once; every stream is destroyed by then. */
  onClose(): void;
}

/** One stream that a client opened. Ends half by half, as TCP does. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #session: SpdySession;
  #whenRead: (() => void) | undefined;

  constructor(session: SpdySession, id: number, headers: SpdyHeaders) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#session = session;
    this.id = id;
    this.headers = headers;
    // Whoever does not listen has lost interest, not the process.
    this.on('error', () => {});
  }

  /** For the session: data came. Resolves when more may come. */
  async receive(data: Buffer): Promise<void> {
    if (this.destroyed || this.push(data) || this.readableLength < maxBuffered) return;
    await new Promise<void>((resolve) => {
      this.#whenRead = resolve;
    });
  }

  override _read(): void {
    this.#whenRead?.();
    this.#whenRead = undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#session.sendData(this.id, chunk, false, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#session.sendData(this.id, Buffer.alloc(0), true, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read();
    const ended = this.readableEnded && this.writableFinished;
    this.#session.forget(this.id, ended ? undefined : cancelled);
    done(error);
  }
}

/** A connection that speaks SPDY/3.1: owns its transport. */
export class SpdySession {
  readonly #transport: Duplex;
  readonly #events: SpdySessionEvents;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #reader = createHeaderReader();
  readonly #writer = createHeaderWriter();
  #closed = false;

  constructor(transport: Duplex, events: SpdySessionEvents) {
    this.#transport = transport;
    this.#events = events;
    transport.on('error', () => this.close());
    transport.on('close', () => this.close());
    this.#run().then(
      () => this.close(),
      () => this.close(),
    );
  }

  /** Ends the connection and every stream of it. Twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.destroy();
    this.#streams.clear();
    this.#reader.close();
    this.#writer.close();
    this.#transport.destroy();
    this.#events.onClose();
  }

  sendData(id: number, data: Buffer, last: boolean, done: (error?: Error | null) => void): void {
    if (this.#closed) {
      done(new Error('the connection is closed'));
      return;
    }
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32BE(id, 0);
    head.writeUInt32BE(((last ? fin : 0) << 24) | data.length, 4);
    this.#transport.cork();
    this.#transport.write(head);
    this.#transport.write(data, done);
    this.#transport.uncork();
  }

  /** A stream is over; `status`: it was ended before its time. */
  forget(id: number, status: number | undefined): void {
    if (this.#streams.delete(id) && status !== undefined) this.#reset(id, status);
  }

  async #run(): Promise<void> {
    for await (const { type, flags, id, payload } of readFrames(this.#transport)) {
      if (this.#closed) return;
      if (type === 0) await this.#data(id, flags, payload);
      else if (type === frame.synStream) await this.#open(flags, payload);
      else if (type === frame.reset) this.#streams.get(payload.readUInt32BE(0) & 0x7fffffff)?.destroy();
      else if (type === frame.ping) this.#control(frame.ping, payload.subarray(0, 4));
      else if (type === frame.goAway) return;
    }
  }

  async #open(flags: number, payload: Buffer): Promise<void> {
    const id = payload.readUInt32BE(0) & 0x7fffffff;
    // The block must be read even of a stream that is refused: blocks are one compressed stream.
    const headers = await this.#reader.read(payload.subarray(10));
    if (this.#closed) return;
    if (this.#streams.size >= maxStreams || this.#streams.has(id)) return this.#reset(id, refused);
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    const head = Buffer.allocUnsafe(4);
    head.writeUInt32BE(id, 0);
    this.#control(frame.synReply, Buffer.concat([head, await this.#writer.write(new Map())]));
    if ((flags & fin) !== 0) stream.push(null);
    this.#events.onStream(stream);
  }

  async #data(id: number, flags: number, payload: Buffer): Promise<void> {
    const stream = this.#streams.get(id);
    // Data of a stream that was reset a moment ago may still be under way.
    if (!stream) return;
    if (payload.length > 0) await stream.receive(payload);
    if ((flags & fin) !== 0 && !stream.destroyed) stream.push(null);
  }

  #reset(id: number, status: number): void {
    const payload = Buffer.allocUnsafe(8);
    payload.writeUInt32BE(id, 0);
    payload.writeUInt32BE(status, 4);
    this.#control(frame.reset, payload);
  }

  #control(type: number, payload: Buffer): void {
    if (this.#closed) return;
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32BE(payload.length, 4);
    head.writeUInt16BE(0x8000 | version, 0);
    head.writeUInt16BE(type, 2);
    this.#transport.write(Buffer.concat([head, payload]));
  }
}

interface Frame {
  /** 0: data. */
  readonly type: number;
  readonly flags: number;
  /** Of data only. */
  readonly id: number;
  readonly payload: Buffer;
}

/** Throws when the peer does not speak SPDY/3.1. */
async function* readFrames(transport: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of transport) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 8) {
      const length = rest.readUInt32BE(4) & 0xffffff;
      if (length > maxFrame) throw new Error(`a frame of ${length} bytes`);
      if (rest.length < 8 + length) break;
      const control = (rest[0] as number) >= 0x80;
      if (control && (rest.readUInt16BE(0) & 0x7fff) !== version) throw new Error('not SPDY/3.1');
      yield {
        type: control ? rest.readUInt16BE(2) : 0,
        flags: rest[4] as number,
        id: control ? 0 : rest.readUInt32BE(0),
        payload: rest.subarray(8, 8 + length),
      };
      rest = rest.subarray(8 + length);
    }
  }
}
