import { Agent, request } from 'node:http';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { OpensslAuthority } from '../authority.ts';
import type { Echo } from '../http-echo.ts';
import type { TrafficRequest } from '../traffic-arbitrary.ts';
import type { Observed } from './compare.ts';

/** What the client saw. */
export interface Answered
  extends Pick<Observed, 'status' | 'location' | 'grpcStatus' | 'allowOrigin' | 'echo'> {
  /** Of connections without HTTP: the client's port. */
  readonly localPort?: number;
}

/** Where a request is sent, and how. */
export interface Place {
  readonly port: number;
  /** The client believes to call this address, at `port`: its connections are led to the proxy instead, which learns of it. */
  readonly captured?: Captured;
  /** The request names its host in its first line, as to a proxy. */
  readonly absolute: boolean;
  readonly tls: boolean;
}

/** A connection that comes in at a proxy's capture port with the addresses that the application knows. */
export interface Captured {
  readonly address: string;
  readonly source: string;
  /** Of the proxy, where its listener takes the PROXY protocol's word for what the kernel would say. */
  readonly port: number;
}

/** Nobody listens, or not to the likes of us, which is an answer too. */
const nothing: Answered = { status: 0, location: '', grpcStatus: '', allowOrigin: '', echo: undefined };

/** Above those that other clients of the same address may have. */
const firstSourcePort = 40_000;

/** A connection that says nothing for so long will not. */
const patienceMs = 10_000;

/** Clients of one batch of requests: connections of an earlier configuration may be on their way out. */
export class Clients {
  readonly #caller: OpensslAuthority;
  readonly #plain = new Agent({ keepAlive: true, maxSockets: 8 });
  readonly #tls = new TlsAgent({ keepAlive: true, maxSockets: 2 });
  #sourcePort = 0;

  /** `caller`: what the client shows where it has a certificate. */
  constructor(caller: OpensslAuthority) {
    this.#caller = caller;
  }

  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  send(one: TrafficRequest, number: number, place: Place): Promise<Answered> {
    switch (one.speaks) {
      case 'tcp':
      case 'tls':
        return this.#sendOpaque(one, place);
      case 'http2':
        return this.#sendHttp2(one, number, place);
      default:
        return this.#sendHttp1(one, number, place);
    }
  }

  /** A connection to a place, and the client's port as the proxy sees it. */
  #open({ port, captured }: Place): { readonly socket: Socket; readonly localPort: () => number } {
    const socket = connect(captured?.port ?? port, '127.0.0.1');
    if (!captured) {
      let localPort = 0;
      socket.once('connect', () => {
        localPort = socket.localPort ?? 0;
      });
      return { socket, localPort: () => localPort };
    }
    const sourcePort = firstSourcePort + (this.#sourcePort++ % (65_536 - firstSourcePort));
    socket.write(`PROXY TCP4 ${captured.source} ${captured.address} ${sourcePort} ${port}\r\n`);
    return { socket, localPort: () => sourcePort };
  }

  #secured(one: TrafficRequest) {
    return {
      servername: one.sni ?? '',
      rejectUnauthorized: false,
      ...(one.certificate ? { cert: this.#caller.certificate, key: this.#caller.key } : {}),
    };
  }

  #sendHttp1(one: TrafficRequest, number: number, place: Place): Promise<Answered> {
    const { port, captured, absolute, tls } = place;
    return new Promise((resolve) => {
      const outgoing = (tls ? tlsRequest : request)(
        {
          host: '127.0.0.1',
          port,
          method: one.method,
          path: absolute ? `http://${one.host}${one.path}` : one.path,
          headers: { ...one.headers, host: one.host, 'x-number': String(number), 'content-length': '0' },
          ...(tls
            ? { ...this.#secured(one), ALPNProtocols: ['http/1.1'], agent: this.#tls }
            : captured
              ? { createConnection: () => this.#open(place).socket }
              : { agent: this.#plain }),
        },
        (incoming) => {
          let body = '';
          incoming.on('data', (chunk) => {
            body += chunk;
          });
          incoming.on('end', () => resolve(answeredBy(incoming.statusCode ?? 0, incoming.headers, body)));
        },
      );
      outgoing.on('error', () => resolve(nothing));
      outgoing.end();
    });
  }

  /** On a connection of its own: what ends it ends nobody else's request. */
  #sendHttp2(one: TrafficRequest, number: number, place: Place): Promise<Answered> {
    const { port, tls } = place;
    return new Promise((resolve) => {
      const session = connectHttp2(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, {
        createConnection: () =>
          tls
            ? connectTls({ host: '127.0.0.1', port, ...this.#secured(one), ALPNProtocols: ['h2'] })
            : this.#open(place).socket,
      });
      const done = (answer: Answered): void => {
        session.destroy();
        resolve(answer);
      };
      session.on('error', () => done(nothing));
      session.on('close', () => done(nothing));
      const stream = session.request({
        ...one.headers,
        ':method': one.method,
        ':path': one.path,
        ':authority': one.host,
        'x-number': String(number),
        ...(one.headers['content-type'] === 'application/grpc' ? { te: 'trailers' } : {}),
      });
      let head: IncomingHttpHeaders = {};
      let body = '';
      stream.on('response', (headers) => {
        head = headers;
      });
      stream.on('data', (chunk) => {
        body += chunk;
      });
      stream.on('error', () => done(nothing));
      stream.on('close', () => {
        const status = Number(head[':status'] ?? 0);
        done(status === 0 ? nothing : answeredBy(status, head, body));
      });
      stream.end();
    });
  }

  #sendOpaque(one: TrafficRequest, place: Place): Promise<Answered> {
    return new Promise((resolve) => {
      const { socket: opened, localPort: portOf } = this.#open(place);
      opened.on('error', () => opened.destroy());
      const socket: Socket =
        one.speaks === 'tls' ? connectTls({ socket: opened, ...this.#secured(one) }) : opened;
      let answer = '';
      socket.setTimeout(patienceMs, () => socket.destroy());
      socket.on('error', () => socket.destroy());
      socket.on('data', (chunk) => {
        answer += String(chunk);
      });
      socket.on('close', () => {
        // A proxy that takes HTTP says so.
        const refusal = Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1] ?? 0);
        const status = answer.startsWith('{') ? 200 : refusal;
        const localPort = portOf();
        resolve({ ...answeredBy(status, {}, answer), ...(localPort === 0 ? {} : { localPort }) });
      });
      socket.write('hello\n');
    });
  }
}

function answeredBy(status: number, headers: IncomingHttpHeaders, body: string): Answered {
  const echo = body.startsWith('{') ? (JSON.parse(body) as Echo) : undefined;
  return {
    status,
    location: headers.location ?? '',
    grpcStatus: String(headers['grpc-status'] ?? ''),
    allowOrigin: String(headers['access-control-allow-origin'] ?? ''),
    echo: echo && { ...echo, port: Number(echo.version) },
  };
}
