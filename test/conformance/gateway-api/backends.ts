import { createSocket } from 'node:dgram';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTls } from 'node:tls';
import type { Pair } from './certificates.ts';
import { acceptWebSocket } from './websocket.ts';

/** One replica of a Deployment: real servers on loopback ports, by the port that the manifest names. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Container port → local port. */
  readonly ports: Readonly<Record<number, number>>;
  stop(): Promise<void>;
}

/** What a backend says of itself and of what it got. */
export interface Seen {
  readonly pod: string;
  readonly namespace: string;
  readonly service?: string;
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly sni?: string;
  readonly tls?: boolean;
  readonly message?: string;
}

/** Requests that pods got, by pod and path: how mirrors are seen. */
export const seenRequests: { pod: string; namespace: string; path: string }[] = [];

export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly image: string;
}

type Closable = { close(done: () => void): unknown };

/** Starts what the container of a pod would: the suites' echo programs, or a name server. */
export async function startPod(spec: PodSpec, tls: Pair): Promise<Pod> {
  const ports: Record<number, number> = {};
  const servers: Closable[] = [];
  const sockets = new Set<Socket>();
  const who = {
    pod: spec.name,
    namespace: spec.namespace,
    ...(spec.env.SERVICE_NAME ? { service: spec.env.SERVICE_NAME } : {}),
  };
  const listen = async (port: number, server: Server): Promise<void> => {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports[port] = (server.address() as AddressInfo).port;
    servers.push(server);
  };
  const udp = async (port: number, answer: (message: Buffer) => Buffer): Promise<void> => {
    const socket = createSocket('udp4');
    socket.on('message', (message, from) => socket.send(answer(message), from.port, from.address));
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    ports[port] = socket.address().port;
    servers.push(socket);
  };
  const pair = { cert: tls.certificate, key: tls.key };
  const http = (incoming: IncomingMessage, response: ServerResponse) =>
    void answerHttp(who, incoming, response);
  if (spec.image.startsWith('coredns')) await udp(53, (query) => dnsAnswer(query));
  else if (spec.env.UDP_ECHO_SERVER)
    await udp(8080, (message) => Buffer.from(JSON.stringify({ ...who, message: String(message) })));
  else if (spec.env.TCP_ECHO_SERVER) {
    await listen(
      3000,
      createTcp((socket) => echoLines(socket, () => who)),
    );
    await listen(
      8443,
      createTls(pair, (socket) =>
        echoLines(socket, () => ({ ...who, tls: true, sni: socket.servername || undefined })),
      ),
    );
  } else if (spec.env.GRPC_ECHO_SERVER) {
    await listen(
      3000,
      onStream(createHttp2(), (stream, headers) => answerGrpc(who, stream, headers)),
    );
    await listen(
      8443,
      onStream(createSecureServer(pair), (stream, headers) => answerGrpc(who, stream, headers)),
    );
  } else {
    const advanced = spec.image.startsWith('echo-advanced');
    const plain = createHttp({ keepAliveTimeout: 0 }, http).on('upgrade', (request, socket) =>
      acceptWebSocket(request, socket),
    );
    await listen(advanced ? 8080 : 3000, plain);
    await listen(
      advanced ? 7070 : 3001,
      onStream(createHttp2(), (stream, headers) => answerStream(who, stream, headers)),
    );
    await listen(8443, createHttps({ keepAliveTimeout: 0, ...pair }, http));
    if (advanced)
      await listen(
        9090,
        createTcp((socket) => echoLines(socket, () => who)),
      );
  }
  return {
    namespace: spec.namespace,
    name: spec.name,
    labels: spec.labels,
    ports,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise<void>((resolve) => void server.close(resolve))));
    },
  };
}

type OnStream = (stream: ServerHttp2Stream, headers: StreamHeaders) => void;

function onStream<S extends Http2Server | Http2SecureServer>(server: S, answer: OnStream): S {
  server.on('stream', (stream: ServerHttp2Stream, headers: StreamHeaders) => answer(stream, headers));
  return server;
}

const failures = new Map<string, number>();

async function answerHttp(who: Seen, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? '/', 'http://backend');
  seenRequests.push({ pod: who.pod, namespace: who.namespace, path: url.pathname });
  const delay = /^(\d+)(ms|s)$/.exec(url.searchParams.get('delay') ?? '');
  if (delay) await sleep(Number(delay[1]) * (delay[2] === 's' ? 1000 : 1));
  response.statusCode = await retryStatus(url, String(incoming.headers['x-retry-key'] ?? ''));
  response.setHeader('content-type', 'application/json');
  for (const pair of String(incoming.headers['x-echo-set-header'] ?? '').split(',')) {
    const colon = pair.indexOf(':');
    if (colon > 0) response.appendHeader(pair.slice(0, colon).trim(), pair.slice(colon + 1).trim());
  }
  const tls = (incoming.socket as { servername?: string }).servername;
  response.end(
    JSON.stringify({
      ...who,
      path: incoming.url,
      host: incoming.headers.host,
      method: incoming.method,
      headers: incoming.headers,
      ...(typeof tls === 'string' ? { sni: tls } : {}),
    }),
  );
}

/** `responseCode` until a request was tried `succeedAfter` times; each failure may take its time. */
async function retryStatus(url: URL, key: string): Promise<number> {
  const code = url.searchParams.get('responseCode');
  if (code === null) return 200;
  const after = Number(url.searchParams.get('succeedAfter') ?? 0);
  const id = `${url.pathname}${url.search}|${key}`;
  const tries = (failures.get(id) ?? 0) + 1;
  failures.set(id, tries);
  if (tries > after) return 200;
  const delay = /^(\d+)ms$/.exec(url.searchParams.get('delayRetry') ?? '');
  if (delay) await sleep(Number(delay[1]));
  return Number(code);
}

type StreamHeaders = Readonly<Record<string, string | string[] | undefined>>;

function seenBy(who: Seen, headers: StreamHeaders): Seen {
  const path = String(headers[':path'] ?? '');
  seenRequests.push({ pod: who.pod, namespace: who.namespace, path: path.split('?')[0] ?? '' });
  return {
    ...who,
    path,
    host: String(headers[':authority'] ?? headers.host ?? ''),
    method: String(headers[':method']),
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':'))),
  };
}

/** An h2c port that takes gRPC and plain requests alike. */
function answerStream(who: Seen, stream: ServerHttp2Stream, headers: StreamHeaders): void {
  if (String(headers['content-type'] ?? '').startsWith('application/grpc')) {
    answerGrpc(who, stream, headers);
    return;
  }
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(JSON.stringify(seenBy(who, headers)));
}

/** A unary gRPC answer whose message is JSON: proxies do not look into messages. */
function answerGrpc(who: Seen, stream: ServerHttp2Stream, headers: StreamHeaders): void {
  const body = Buffer.from(JSON.stringify(seenBy(who, headers)));
  const frame = Buffer.concat([Buffer.from([0]), Buffer.alloc(4), body]);
  frame.writeUInt32BE(body.length, 1);
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(frame);
}

function echoLines(socket: Socket, who: () => object): void {
  socket.on('error', () => undefined);
  socket.on('data', (chunk) =>
    socket.write(`${JSON.stringify({ ...who(), message: String(chunk).trim() })}\n`),
  );
}

/** An answer without records to whatever is asked: that it came is the proof. */
function dnsAnswer(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8180, 2);
  return answer;
}
