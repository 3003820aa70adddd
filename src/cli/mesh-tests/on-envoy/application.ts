import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { http } from '../../../kit/node-http.ts';
import type { KeyPair } from './key-pair.ts';

/** A request, or the beginning of a connection, as an application got it. */
export interface Arrived {
  /** `namespace/name` of the workload. */
  readonly workload: string;
  readonly host: string;
  /** With query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Stands for the application of a workload: takes whatever is spoken, and says in its answer which arrival that was. */
export interface Application {
  readonly port: number;
  close(): Promise<void>;
}

/** Header of answers: the id of the request as it arrived. Mirrored requests and earlier attempts have others. */
export const arrivalHeader = 'x-ostria-test-arrival';
/** What a client of bytes sends; the answer is the arrival's id and a line feed. */
export const greeting = 'ostria-test\n';

const http2Preface = 'PRI * HTTP/2.0';
const tlsHandshake = 0x16;

/**
 * One port for HTTP/1, HTTP/2 in plaintext (gRPC too), bytes, and each of them inside TLS: as its first bytes say. `pair`: what it shows of
 * itself where a client opens TLS through all proxies.
 */
export async function startApplication(
  workload: string,
  pair: KeyPair,
  arrived: (id: string, request: Arrived) => void,
): Promise<Application> {
  const note = (request: Omit<Arrived, 'workload'>): string => {
    const id = randomUUID();
    arrived(id, { workload, ...request });
    return id;
  };
  const answer = (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ): void => {
    const id = note(requestOf(request));
    request.resume();
    response.setHeader(arrivalHeader, id);
    response.end();
  };
  const http1 = http.createServer(answer);
  const http2 = createHttp2Server(answer);
  http2.on('sessionError', () => {});
  const secureContext = createSecureContext({ cert: pair.certificate, key: pair.key });
  const open = new Set<Socket>();
  const serve = (socket: Socket): void => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const text = first.toString('latin1');
      if (first[0] === tlsHandshake)
        serve(new TLSSocket(socket, { isServer: true, secureContext, ALPNCallback: chooseProtocol }));
      else if (http2Preface.startsWith(text.slice(0, http2Preface.length))) http2.emit('connection', socket);
      else if (text.startsWith(greeting.slice(0, text.length))) {
        socket.resume();
        socket.write(`${note({ host: '', path: '', headers: {} })}\n`);
      } else {
        http1.emit('connection', socket);
        process.nextTick(() => socket.resume());
      }
    });
  };
  const server = createServer(serve);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function chooseProtocol({ protocols }: { readonly protocols: string[] }): string | undefined {
  return ['h2', 'http/1.1'].find((one) => protocols.includes(one)) ?? protocols[0];
}

function requestOf(request: IncomingMessage | Http2ServerRequest): Omit<Arrived, 'workload'> {
  const { host, ':authority': authority, ...rest } = request.headers;
  const headers = Object.entries(rest).flatMap(([name, value]) =>
    name.startsWith(':') ? [] : [[name, ([] as string[]).concat(value ?? '').join(',')]],
  );
  return {
    host: String(authority ?? host ?? ''),
    path: request.url ?? '',
    headers: Object.fromEntries(headers),
  };
}
