import { randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { request as requestHttp } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as requestHttps } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Pair } from './certificates.ts';

export interface HttpRequest {
  method?: string;
  path?: string;
  query?: Record<string, string>;
  host?: string;
  headers?: Record<string, string>;
  serverName?: string;
}

export interface HttpAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

const patienceMs = 8_000;

/** One request on a connection of its own; what breaks the connection rejects. */
export function sendHttp(port: number, wanted: HttpRequest, tls?: { client?: Pair }): Promise<HttpAnswer> {
  const query = new URLSearchParams(wanted.query).toString();
  const path = `${wanted.path || '/'}${query === '' ? '' : `?${query}`}`;
  const headers: Record<string, string> = { ...wanted.headers, 'x-retry-key': randomUUID() };
  if (wanted.host !== undefined) headers.host = wanted.host;
  const options = {
    host: '127.0.0.1',
    port,
    path,
    method: wanted.method || 'GET',
    headers,
    agent: false,
    timeout: patienceMs,
  };
  return new Promise((resolve, reject) => {
    const outgoing = tls
      ? requestHttps({
          ...options,
          rejectUnauthorized: false,
          servername: wanted.serverName ?? '',
          ...(tls.client ? { cert: tls.client.certificate, key: tls.client.key } : {}),
        })
      : requestHttp(options);
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      let body = '';
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
      );
    });
    outgoing.end();
  });
}

export interface GrpcAnswer {
  code: number;
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** A unary gRPC call over HTTP/2 in the clear. */
export function sendGrpc(
  port: number,
  path: string,
  authority: string,
  metadata: Record<string, string>,
): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const fail = (error: Error) => {
      session.destroy();
      reject(error);
    };
    session.on('error', fail);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...metadata,
    });
    stream.setTimeout(patienceMs, () => fail(new Error('no answer in time')));
    let headers: Record<string, string | string[] | undefined> = {};
    let trailers: Record<string, string | string[] | undefined> = {};
    const chunks: Buffer[] = [];
    stream.on('response', (found) => {
      headers = found;
    });
    stream.on('trailers', (found) => {
      trailers = found;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', fail);
    stream.on('end', () => {
      session.close();
      const code = Number(trailers['grpc-status'] ?? headers['grpc-status'] ?? 2);
      resolve({
        code,
        status: Number(headers[':status']),
        headers,
        body: String(Buffer.concat(chunks).subarray(5)),
      });
    });
    stream.end(Buffer.alloc(5));
  });
}

/** Sends a line over TCP (or TLS) and gives the first line that comes back. */
export function sendTcp(port: number, line: string, tls?: { serverName: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls
      ? connectTls({ host: '127.0.0.1', port, servername: tls.serverName, rejectUnauthorized: false })
      : connectTcp({ host: '127.0.0.1', port });
    socket.setTimeout(patienceMs, () => socket.destroy(new Error('no answer in time')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.once(tls ? 'secureConnect' : 'connect', () => socket.write(`${line}\n`));
    socket.once('data', (chunk) => {
      resolve(String(chunk));
      socket.destroy();
    });
  });
}

/** Whether a TLS handshake for a server name comes about. */
export function tlsHandshake(port: number, serverName: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, servername: serverName, rejectUnauthorized: false });
    socket.setTimeout(patienceMs, () => socket.destroy());
    socket.once('secureConnect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** A datagram and its answer; datagrams may be lost, so it is sent again. */
export function sendUdp(port: number, message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const again = setInterval(() => socket.send(message, port, '127.0.0.1'), 250);
    const over = setTimeout(() => end(() => reject(new Error('no datagram came back'))), patienceMs);
    const end = (then: () => void): void => {
      clearInterval(again);
      clearTimeout(over);
      socket.close(then);
    };
    socket.on('error', () => undefined);
    socket.once('message', (answer) => end(() => resolve(answer)));
    socket.send(message, port, '127.0.0.1');
  });
}
