import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { TargetUrl } from '../../../explain/target.ts';
import { http } from '../../../kit/node-http.ts';
import { arrivalHeader, greeting } from './application.ts';
import type { KeyPair } from './key-pair.ts';

export interface Reply {
  /** 0: the connection ended without an answer. */
  readonly status: number;
  readonly location?: string;
  /** As the application that answered says it. */
  readonly arrival?: string;
}

/** A request as the application says it. */
export interface Message {
  readonly method: string;
  readonly host: string;
  /** With query. */
  readonly path: string;
  /** Names in lower case, without the host. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Outgoing {
  /** Loopback port of a sidecar's listener, a gateway, or an endpoint. */
  readonly port: number;
  readonly target: TargetUrl;
  readonly message: Message;
  /** Where TLS is spoken; '': the client names nobody. */
  readonly serverName: string;
  /** `proxy`: the port is an HTTP proxy's, asked for the whole URL, or for a tunnel where TLS is spoken. */
  readonly by: 'port' | 'proxy';
  /** What the client proves of itself where TLS asks for it. */
  readonly pair?: KeyPair;
}

const timeoutMs = 15_000;

/** Does what an application, or a client outside, would do, on a connection of its own. Never rejects. */
export async function sendRequest(outgoing: Outgoing): Promise<Reply> {
  const { port, target, by } = outgoing;
  const raw = connect(port, '127.0.0.1');
  raw.on('error', () => {});
  raw.setTimeout(timeoutMs, () => raw.destroy());
  try {
    const tls = target.scheme === 'https' || target.scheme === 'tls';
    const tunnel = tls && by === 'proxy' ? await openTunnel(raw, outgoing) : undefined;
    if (tunnel && tunnel.status !== 200) return tunnel;
    const socket = tls ? await openTls(raw, outgoing) : raw;
    if (target.scheme === 'tcp' || target.scheme === 'tls') return await exchangeBytes(socket);
    return await (target.http2 ? exchangeHttp2(socket, outgoing) : exchangeHttp1(socket, outgoing, tls));
  } catch {
    return { status: 0 };
  } finally {
    raw.destroy();
  }
}

async function openTunnel(raw: Socket, { target }: Outgoing): Promise<Reply> {
  const authority = `${target.host}:${target.port}`;
  const sent = http.request({ createConnection: () => raw, method: 'CONNECT', path: authority });
  sent.end();
  return new Promise((resolve, reject) => {
    sent.on('connect', (response) => resolve({ status: response.statusCode ?? 0 }));
    sent.on('response', (response) => resolve({ status: response.statusCode ?? 0 }));
    sent.on('error', reject);
  });
}

/** Whatever certificate is shown will do: what a server proves is decided by what it was given, not by this client. */
async function openTls(raw: Socket, { target, serverName, pair }: Outgoing): Promise<Socket> {
  const protocols = target.scheme === 'tls' ? {} : { ALPNProtocols: [target.http2 ? 'h2' : 'http/1.1'] };
  const socket = connectTls({
    socket: raw,
    rejectUnauthorized: false,
    ...(serverName === '' ? {} : { servername: serverName }),
    ...protocols,
    ...(pair ? { cert: pair.certificate, key: pair.key } : {}),
  });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

async function exchangeBytes(socket: Socket): Promise<Reply> {
  if (socket.connecting) await once(socket, 'connect');
  socket.write(greeting);
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    if (text.includes('\n')) return { status: 0, arrival: text.trim() };
  }
  return { status: 0 };
}

function exchangeHttp1(socket: Socket, { message, by }: Outgoing, tls: boolean): Promise<Reply> {
  const { method, host, path, headers } = message;
  return new Promise((resolve, reject) => {
    const sent = http.request(
      {
        createConnection: () => socket,
        method,
        path: by === 'proxy' && !tls ? `http://${host}${path}` : path,
        headers: { ...headers, host },
      },
      (response) => {
        response.resume();
        const done = () => resolve(replyOf(response.statusCode ?? 0, response.headers));
        response.on('end', done);
        response.on('error', done);
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

async function exchangeHttp2(socket: Socket, { target, message }: Outgoing): Promise<Reply> {
  const { method, host, path, headers } = message;
  const session = connectHttp2(`${target.scheme}://${target.host}`, { createConnection: () => socket });
  const failed = new Promise<never>((_, reject) => session.on('error', reject).on('close', () => reject()));
  failed.catch(() => {});
  const stream = session.request({ ...headers, ':authority': host, ':path': path, ':method': method });
  stream.on('error', () => {});
  stream.end();
  try {
    const [answer] = (await Promise.race([once(stream, 'response'), failed])) as [Record<string, unknown>];
    return replyOf(Number(answer[':status']), answer);
  } finally {
    session.destroy();
  }
}

function replyOf(status: number, headers: Readonly<Record<string, unknown>>): Reply {
  const { location, [arrivalHeader]: arrival } = headers;
  return {
    status,
    ...(location === undefined ? {} : { location: String(location) }),
    ...(arrival === undefined ? {} : { arrival: String(arrival) }),
  };
}
