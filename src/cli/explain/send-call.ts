import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { socketText } from '../../explain/hop.ts';
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
  /** It was a connection of bytes. */
  readonly bytes?: true;
  /** `address:port` that such a connection came from. */
  readonly client?: string;
}

/** An answer must begin within this time, ms. */
const timeoutMs = 20_000;
/** A connection that lasts so long is taken as one that was let in, ms. */
const settledMs = 500;

/** What is asked is where the request goes; whether a client would trust the certificate is another question. */
const anyCertificate = { rejectUnauthorized: false } as const;

export interface Sending {
  /** `x-request-id`, by which the proxies' records are known. */
  readonly id: string;
  /** A connection is asked about, not a request. */
  readonly isBytes: boolean;
  /** The status that is predicted, where bytes are to be answered by one. */
  readonly expected: number | undefined;
}

/** Sends a call to the listener of a sidecar or gateway on this machine. */
export function sendCall(call: Call, { id, isBytes, expected }: Sending): Promise<Reply> {
  if (isBytes || call.method === 'CONNECT') return sendConnection(call, expected);
  return call.protocol === 'http2' ? sendHttp2(call, id) : sendHttp(call, id);
}

function sendHttp(call: Call, id: string): Promise<Reply> {
  const { address, port, host = '', path = '/', method = 'GET', headers = {} } = call;
  const secure = call.tls !== 'plaintext';
  const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
  const options = {
    host: address,
    port,
    method,
    path,
    headers: { ...headers, host, 'x-request-id': id, ...(hasBody ? { 'content-length': '0' } : {}) },
    agent: false as const,
    timeout: timeoutMs,
    ...(secure ? { servername: call.sni ?? '', ...anyCertificate } : {}),
  };
  return new Promise((resolve) => {
    const sent = (secure ? httpsRequest : http.request)(options, (response) => {
      const { statusCode = 0, headers: answered } = response;
      response.resume();
      resolve({ status: statusCode, ...(answered.location ? { location: answered.location } : {}) });
      response.on('error', () => undefined);
    });
    sent.on('timeout', () => sent.destroy(tooLate()));
    sent.on('error', (error) => resolve({ error: messageOf(error) }));
    sent.end();
  });
}

function tooLate(): Error {
  return new Error(`no answer within ${timeoutMs / 1_000} s`);
}

/** HTTP/2 from the start, as clients of gRPC speak it. */
function sendHttp2(call: Call, id: string): Promise<Reply> {
  const { address, port, host = '', path = '/', method = 'GET', headers = {} } = call;
  const scheme = call.tls === 'plaintext' ? 'http' : 'https';
  return new Promise((resolve) => {
    const session = connectHttp2(`${scheme}://${socketText(address, port)}`, {
      ...anyCertificate,
      ...(call.sni === undefined ? {} : { servername: call.sni }),
    });
    const end = (reply: Reply): void => {
      session.destroy();
      resolve(reply);
    };
    session.on('error', (error) => end({ error: messageOf(error) }));
    const stream = session.request({
      ...headers,
      ':method': method,
      ':path': path,
      ':authority': host,
      ':scheme': scheme,
      'x-request-id': id,
    });
    stream.setTimeout(timeoutMs, () => end({ error: tooLate().message }));
    stream.on('error', (error) => end({ error: messageOf(error) }));
    stream.on('response', ({ ':status': status, location }) =>
      end({ status: Number(status), ...(location ? { location: String(location) } : {}) }),
    );
    stream.end();
  });
}

/** Bytes have no answer of their own: a connection that stays was let in. Policies look at it when its first byte comes. */
function sendConnection(call: Call, expected: number | undefined): Promise<Reply> {
  const { address, port } = call;
  return new Promise((resolve) => {
    const socket: Socket =
      call.tls === 'plaintext'
        ? connect({ host: address, port })
        : connectTls({ host: address, port, servername: call.sni ?? '', ...anyCertificate });
    let client: string | undefined;
    let timer = setTimeout(() => end({ error: tooLate().message }), timeoutMs);
    const end = (reply: Reply): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ...reply, bytes: true, ...(client === undefined ? {} : { client }) });
    };
    socket.on('connect', () => {
      client = socketText(socket.localAddress ?? '', socket.localPort ?? 0);
    });
    socket.on(call.tls === 'plaintext' ? 'connect' : 'secureConnect', () => {
      socket.write(firstBytes(call, expected));
      clearTimeout(timer);
      timer = setTimeout(() => end({}), expected === undefined ? settledMs : timeoutMs);
    });
    socket.on('data', (data) => {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(data.toString('latin1'))?.[1];
      if (status !== undefined) end({ status: Number(status) });
    });
    socket.on('close', () => end({ error: 'the connection was closed' }));
    socket.on('error', (error) => end({ error: messageOf(error) }));
  });
}

/** An empty line means nothing to most servers; where an answer is predicted, what is no HTTP is what is asked about. */
function firstBytes({ method, host }: Call, expected: number | undefined): string {
  if (method === 'CONNECT') return `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
  return expected === undefined ? '\r\n' : 'these are bytes\r\n\r\n';
}
