import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import WebSocket, { createWebSocketStream } from 'ws';
import {
  createHeaderReader,
  createHeaderWriter,
} from '../../src/config/api-server/port-forward/spdy-headers.ts';

export interface ApiCaller {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  readonly ca: string;
  readonly certificatePem?: string;
  readonly keyPem?: string;
  readonly token?: string;
}

/** An upgrade that was refused: the HTTP status and what came with it. */
export class UpgradeRefused extends Error {
  readonly status: number;
  constructor(status: number, body: string) {
    super(body);
    this.status = status;
  }
}

/** How clients reach a pod's port: a WebSocket with SPDY inside, or SPDY itself. */
export type Transport = 'websocket' | 'spdy';

/** A client of `pods/portforward` that does on the wire what kubectl and istioctl do. */
export class PortForwardClient {
  readonly transport: Duplex;
  readonly #writer = createHeaderWriter();
  readonly #reader = createHeaderReader();
  readonly #data = new Map<number, Buffer[]>();
  readonly #ended = new Map<number, () => void>();
  #nextStream = 1;
  #nextRequest = 0;

  static async open(
    caller: ApiCaller,
    transport: Transport,
    { namespace, pod }: { namespace: string; pod: string },
    path = `/api/v1/namespaces/${namespace}/pods/${pod}/portforward`,
  ): Promise<PortForwardClient> {
    const opened = await (transport === 'websocket' ? openWebSocket(caller, path) : openSpdy(caller, path));
    return new PortForwardClient(opened);
  }

  constructor(transport: Duplex) {
    this.transport = transport;
    transport.on('error', () => {});
    this.#read().catch(() => transport.destroy());
  }

  /** Opens a connection to a port, says something on it, and resolves with the answer, and what came on the error stream. */
  async call(port: number, text: string): Promise<{ data: string; error: string }> {
    const requestId = String(this.#nextRequest++);
    const error = await this.#open({ streamtype: 'error', port: String(port), requestid: requestId }, true);
    const data = await this.#open({ streamtype: 'data', port: String(port), requestid: requestId }, false);
    if (text !== '') this.#frame(data, 0, Buffer.from(text));
    const [answer, problem] = await Promise.all([this.#whenEnded(data), this.#whenEnded(error)]);
    return { data: answer, error: problem };
  }

  /** GET over a connection of its own. */
  async get(port: number, path: string): Promise<{ status: number; body: string }> {
    const { data, error } = await this.call(
      port,
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    if (error !== '') throw new Error(error);
    const [head = '', ...rest] = data.split('\r\n\r\n');
    return { status: Number(head.split(' ')[1]), body: rest.join('\r\n\r\n') };
  }

  close(): void {
    this.transport.destroy();
    this.#writer.close();
    this.#reader.close();
  }

  #opening: Promise<unknown> = Promise.resolve();

  /** One after the other: header blocks are one compressed stream. */
  #open(headers: Record<string, string>, fin: boolean): Promise<number> {
    const opened = this.#opening.then(() => this.#openNow(headers, fin));
    this.#opening = opened.catch(() => {});
    return opened;
  }

  async #openNow(headers: Record<string, string>, fin: boolean): Promise<number> {
    const id = this.#nextStream;
    this.#nextStream += 2;
    this.#data.set(id, []);
    const block = await this.#writer.write(new Map(Object.entries(headers)));
    const payload = Buffer.alloc(10 + block.length);
    payload.writeUInt32BE(id, 0);
    block.copy(payload, 10);
    this.#control(1, fin ? 1 : 0, payload);
    return id;
  }

  #frame(id: number, flags: number, data: Buffer): void {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(id, 0);
    head.writeUInt32BE((flags << 24) | data.length, 4);
    this.transport.write(Buffer.concat([head, data]));
  }

  #control(type: number, flags: number, payload: Buffer): void {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x8003, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt32BE((flags << 24) | payload.length, 4);
    this.transport.write(Buffer.concat([head, payload]));
  }

  #whenEnded(id: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`stream ${id} did not end within 30 s`)), 30_000);
      this.#ended.set(id, () => {
        clearTimeout(timer);
        resolve(Buffer.concat(this.#data.get(id) ?? []).toString());
      });
      if (this.#over.has(id)) this.#ended.get(id)?.();
    });
  }

  readonly #over = new Set<number>();

  #end(id: number): void {
    this.#over.add(id);
    this.#ended.get(id)?.();
  }

  async #read(): Promise<void> {
    let rest = Buffer.alloc(0);
    for await (const chunk of this.transport) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      while (rest.length >= 8) {
        const length = rest.readUInt32BE(4) & 0xffffff;
        if (rest.length < 8 + length) break;
        const payload = rest.subarray(8, 8 + length);
        const flags = rest[4] as number;
        if ((rest[0] as number) < 0x80) {
          const id = rest.readUInt32BE(0);
          this.#data.get(id)?.push(Buffer.from(payload));
          if ((flags & 1) !== 0) this.#end(id);
        } else {
          const type = rest.readUInt16BE(2);
          if (type === 2) await this.#reader.read(Buffer.from(payload.subarray(4)));
          if (type === 3) this.#end(payload.readUInt32BE(0));
        }
        rest = rest.subarray(8 + length);
      }
    }
    for (const id of this.#data.keys()) this.#end(id);
  }
}

/** The handshake by hand: the protocol's name holds a slash, which the library refuses to offer. */
async function openWebSocket(caller: ApiCaller, path: string): Promise<Duplex> {
  const socket = await upgrade(caller, [
    `GET ${path} HTTP/1.1`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io',
  ]);
  // Without an address it waits for a connection, as the library's own server hands it one.
  const webSocket = new (WebSocket as unknown as new (...given: unknown[]) => WebSocket)(null, undefined, {
    autoPong: true,
  }) as WebSocket & {
    _isServer: boolean;
    setSocket(socket: Duplex, head: Buffer, options: object): void;
  };
  webSocket._isServer = false;
  webSocket.setSocket(socket, Buffer.alloc(0), {
    maxPayload: 0,
    skipUTF8Validation: false,
    allowSynchronousEvents: true,
  });
  socket.resume();
  return createWebSocketStream(webSocket, { allowHalfOpen: false });
}

function openSpdy(caller: ApiCaller, path: string): Promise<Duplex> {
  return upgrade(caller, [
    `POST ${path} HTTP/1.1`,
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    'X-Stream-Protocol-Version: portforward.k8s.io',
    'Content-Length: 0',
  ]);
}

async function upgrade(caller: ApiCaller, lines: readonly string[]): Promise<Duplex> {
  const { hostname, port } = new URL(caller.url);
  const socket = connectTls({
    host: hostname,
    port: Number(port),
    ca: caller.ca,
    ...(caller.certificatePem === undefined ? {} : { cert: caller.certificatePem, key: caller.keyPem ?? '' }),
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  const authorization = caller.token === undefined ? [] : [`Authorization: Bearer ${caller.token}`];
  socket.write([...lines, `Host: ${hostname}:${port}`, ...authorization, '', ''].join('\r\n'));
  let answer = Buffer.alloc(0);
  for (;;) {
    const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(30_000) })) as [Buffer];
    answer = Buffer.concat([answer, chunk]);
    const end = answer.indexOf('\r\n\r\n');
    if (end < 0) continue;
    socket.pause();
    const status = Number(answer.toString('latin1').split(' ')[1]);
    const rest = answer.subarray(end + 4);
    if (status !== 101) {
      socket.destroy();
      throw new UpgradeRefused(status, rest.toString());
    }
    if (rest.length > 0) socket.unshift(rest);
    return socket;
  }
}
