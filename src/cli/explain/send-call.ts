import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { messageOf } from '../../kit/coded-error.ts';
import { http } from '../../kit/node-http.ts';
import type { Call } from '../../simulate/call.ts';

/** What came of a call that was sent. */
export interface Reply {
  /** Absent: no HTTP answer came. */
  readonly status?: number;
  readonly location?: string;
  /** Why no answer came. */
  readonly error?: string;
}

/** An answer must begin within this time, ms. */
const timeoutMs = 20_000;
/** A connection that lasts so long is taken as one that was let in, ms. */
const settledMs = 1_000;

/** Sends a call to the listener of a sidecar or gateway on this machine. `id`: `x-request-id`, by which the proxies' records are known. */
export function sendCall(call: Call, id: string): Promise<Reply> {
  if (call.protocol === 'tcp' || call.method === 'CONNECT') return sendConnection(call);
  const secure = call.tls !== 'plaintext';
  const { address, port, host = '', path = '/', method = 'GET', headers = {} } = call;
  const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
  const options = {
    host: address,
    port,
    method,
    path,
    headers: { ...headers, host, 'x-request-id': id, ...(hasBody ? { 'content-length': '0' } : {}) },
    agent: false as const,
    timeout: timeoutMs,
    // What is asked is where the request goes; whether a client would trust the certificate is another question.
    ...(secure ? { servername: call.sni ?? '', rejectUnauthorized: false } : {}),
  };
  return new Promise((resolve) => {
    const sent = (secure ? httpsRequest : http.request)(options, (response) => {
      const { statusCode = 0, headers: answered } = response;
      response.resume();
      resolve({ status: statusCode, ...(answered.location ? { location: answered.location } : {}) });
      response.on('error', () => undefined);
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    sent.on('error', (error) => resolve({ error: messageOf(error) }));
    sent.end();
  });
}

/** Bytes have no answer of their own: a connection that stays was let in. */
function sendConnection(call: Call): Promise<Reply> {
  const { address, port } = call;
  return new Promise((resolve) => {
    const socket =
      call.tls === 'plaintext'
        ? connect({ host: address, port })
        : connectTls({ host: address, port, servername: call.sni ?? '', rejectUnauthorized: false });
    const timer = setTimeout(() => end({}), settledMs);
    const end = (reply: Reply): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reply);
    };
    if (call.method === 'CONNECT')
      socket.write(`CONNECT ${call.host} HTTP/1.1\r\nhost: ${call.host}\r\n\r\n`);
    socket.on('data', (data) => {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(data.toString('latin1'))?.[1];
      end(status === undefined ? {} : { status: Number(status) });
    });
    socket.on('close', () => end({ error: 'the connection was closed' }));
    socket.on('error', (error) => end({ error: messageOf(error) }));
  });
}
