import type { EventEmitter } from 'node:events';
import { createServer as createHttp1, type IncomingHttpHeaders } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';

/** Its first bytes say that a client speaks HTTP/2 (RFC 9113, 3.4). */
const preface = Buffer.from('PRI * HTTP/2');

/** As `startEcho` of http-echo.ts, for clients of HTTP/1.1 and for those that begin with HTTP/2. */
export async function startDoubleEcho(version: string, port: number, address?: string): Promise<Server> {
  const told = (method = '', path = '', httpVersion: string, host: unknown, headers: IncomingHttpHeaders) =>
    JSON.stringify({ version, method, host, path, httpVersion, headers });
  const http1 = createHttp1({ keepAliveTimeout: 0 }, ({ method, url, headers }, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(told(method, url, '1.1', headers.host, headers));
  });
  const http2 = createHttp2((request, response) => {
    const { ':authority': authority, ...others } = request.headers;
    const headers = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith(':')));
    response.setHeader('content-type', 'application/json');
    response.end(told(request.method, request.url, '2.0', authority ?? headers.host, headers));
  });
  const server = createServer((socket) =>
    byFirstBytes(socket, (first) => (first.subarray(0, preface.length).equals(preface) ? http2 : http1)),
  );
  await listening(server, port, address);
  return server;
}

/** A TLS record that begins a handshake (RFC 8446, 5.1). */
const handshake = 0x16;

/** A TCP server that answers the first bytes with its port, as JSON; within TLS to clients that begin with it. */
export async function startOpaqueEcho(
  { certificate: cert, key }: { readonly certificate: string; readonly key: string },
  port: number,
  address?: string,
): Promise<Server> {
  const answer = (socket: Socket): void => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end(JSON.stringify({ version: String(port) })));
  };
  const tls = createTls({ cert, key }, answer);
  tls.on('tlsClientError', () => undefined);
  const plain = createServer(answer);
  const server = createServer((socket) =>
    byFirstBytes(socket, (first) => (first[0] === handshake ? tls : plain)),
  );
  await listening(server, port, address);
  return server;
}

/** Hands a connection, with what came on it, to the server that understands it. */
function byFirstBytes(socket: Socket, choose: (first: Buffer) => EventEmitter): void {
  socket.on('error', () => socket.destroy());
  socket.once('readable', () => {
    const first: Buffer | null = socket.read();
    if (!first) return;
    socket.unshift(first);
    choose(first).emit('connection', socket);
  });
}

function listening(server: Server, port: number, address = '127.0.0.1'): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve());
  });
}
