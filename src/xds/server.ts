import { constants } from 'node:crypto';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { grpcStatus, refuseGrpc } from '../kit/grpc-http2.ts';
import type { Push, ResourceSource } from '../snapshot/push.ts';
import { Acceptor } from './acceptor.ts';
import type { Authenticate, Credentials } from './authenticate.ts';
import type { DebugService } from './debug-stream.ts';
import { GrpcStream } from './grpc-stream.ts';
import type { Ledger } from './ledger.ts';
import { defaultLimits, type XdsLimits } from './limits.ts';
import { findMethod } from './methods.ts';
import { noMetrics, type XdsMetrics } from './metrics.ts';
import { ProxyRegistry } from './proxy-registry.ts';
import { PushQueue } from './push-queue.ts';
import { SessionKeeper } from './session-keeper.ts';
import type { StreamContext, XdsLog } from './stream-context.ts';
import { Views } from './views.ts';
import { XdsStream } from './xds-stream.ts';

export interface XdsListener {
  /** Named in credentials and logs: `plaintext`, `tls`. */
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Undefined: plaintext. With `ca` given, client certificates are asked for, and verified if presented. */
  readonly tls?: Pick<SecureServerOptions, 'key' | 'cert' | 'ca' | 'SNICallback' | 'minVersion'>;
}

export interface XdsServerOptions {
  readonly source: ResourceSource;
  readonly authenticate: Authenticate;
  readonly listeners: readonly XdsListener[];
  readonly ledger: Ledger;
  readonly log: XdsLog;
  /** Defaults: `defaultLimits`. */
  readonly limits?: Partial<XdsLimits>;
  readonly metrics?: XdsMetrics;
  /** Serves Istio's debug types. Default: nobody does. */
  readonly debug?: DebugService;
  /** Serves calls that are not xDS, as the certificate authority's, on the same listeners; true: it took the call. */
  readonly otherCalls?: (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    listener: XdsListener,
  ) => boolean;
}

export interface XdsServer {
  /** Listens on every address. Rejects with the error of the first that fails; then nothing listens. */
  start(): Promise<void>;
  /** Listener name → port. */
  readonly ports: ReadonlyMap<string, number>;
  /** New certificates for connections to come. */
  updateTls(listener: string, tls: NonNullable<XdsListener['tls']>): void;
  /** Ends every stream and closes every connection; resolves when all are gone, at most after `graceMs` (default 1,000). */
  stop(graceMs?: number): Promise<void>;
}

interface RunningListener {
  readonly listener: XdsListener;
  readonly server: Http2Server | Http2SecureServer;
  readonly acceptor: Acceptor;
}

/** The xDS server: HTTP/2 with gRPC framing on plaintext and TLS listeners over one source of resources. */
export function createXdsServer(options: XdsServerOptions): XdsServer {
  const limits = { ...defaultLimits, ...options.limits };
  const metrics = options.metrics ?? noMetrics;
  const views = new Views(options.source);
  const registry = new ProxyRegistry(options.source);
  const context: StreamContext = {
    views,
    registry,
    queue: new PushQueue(limits.sliceMs),
    ledger: options.ledger,
    limits,
    metrics,
    authenticate: options.authenticate,
    log: options.log,
    demand: options.source.demand?.bind(options.source),
    debug: options.debug,
  };
  options.ledger.bind(() => options.source.revision);
  const streams = new Set<XdsStream>();
  const sessions = new SessionKeeper(limits, metrics);
  const running = options.listeners.map((listener) =>
    makeListener(listener, context, streams, sessions, options.otherCalls),
  );
  const ports = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let unsubscribe: (() => void) | undefined;
  return {
    ports,
    async start() {
      unsubscribe = options.source.onPush((push) => distribute(push, views, registry));
      timer = setInterval(() => tick(streams, sessions, registry, metrics), tickMs(limits));
      timer.unref();
      try {
        for (const { listener, acceptor } of running) ports.set(listener.name, await acceptor.listen());
      } catch (error) {
        await this.stop(0);
        throw error;
      }
    },
    updateTls(name, tls) {
      for (const { listener, server } of running)
        if (listener.name === name && 'setSecureContext' in server) server.setSecureContext(contextOf(tls));
    },
    async stop(graceMs = 1_000) {
      clearInterval(timer);
      unsubscribe?.();
      for (const { acceptor } of running) acceptor.close();
      for (const stream of streams) stream.end('the control plane is stopping');
      await sessions.close(graceMs);
    },
  };
}

/**
 * Bytes that a client may send on a stream before they are read. Node keeps, for the life of a connection with TLS, a buffer of which it
 * has touched as much as ever came at once: with 500 clients whose first requests name a thousand resources 64 KiB cost 22 MB.
 */
const requestWindow = 16 * 1024;

/**
 * Without session tickets: a connection lasts longer than they do, so nobody comes back with one, while making the two of TLS 1.3 takes a
 * twentieth of a handshake. And whoever comes proves its identity anew.
 */
function contextOf(tls: NonNullable<XdsListener['tls']>): SecureServerOptions {
  return { minVersion: 'TLSv1.2', ...tls, secureOptions: constants.SSL_OP_NO_TICKET };
}

/** Often enough for the shortest of the delays that it serves. */
function tickMs(limits: XdsLimits): number {
  const shortest = Math.min(limits.removalGraceMs, limits.stalledMs, limits.warmingMs, limits.keepaliveMs);
  return Math.max(10, Math.min(1_000, shortest / 8));
}

function distribute(push: Push, views: Views, registry: ProxyRegistry): void {
  views.invalidate();
  for (const delta of push.deltas)
    for (const proxyId of delta.proxies)
      for (const stream of registry.get(proxyId)?.streams ?? []) stream.note(delta, push.revision);
}

function tick(
  streams: ReadonlySet<XdsStream>,
  sessions: SessionKeeper,
  registry: ProxyRegistry,
  metrics: XdsMetrics,
): void {
  for (const stream of streams) stream.tick();
  sessions.tick();
  metrics.set('streams', streams.size);
  metrics.set('connections', sessions.size);
  metrics.set('proxies', registry.size);
}

function makeListener(
  listener: XdsListener,
  context: StreamContext,
  streams: Set<XdsStream>,
  sessions: SessionKeeper,
  otherCalls: XdsServerOptions['otherCalls'],
): RunningListener {
  const { limits, metrics, log } = context;
  const common = {
    settings: {
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      maxHeaderListSize: limits.maxHeaderBytes,
      initialWindowSize: requestWindow,
    },
    maxHeaderListPairs: 64,
    /** MB: what is queued for a client counts, and one response of a large mesh has several. */
    maxSessionMemory: 256,
  };
  const server = listener.tls
    ? createSecureServer({
        ...common,
        ...contextOf(listener.tls),
        requestCert: listener.tls.ca !== undefined,
        rejectUnauthorized: false,
        allowHTTP1: false,
      })
    : createServer(common);
  server.on('session', (session) => sessions.add(session));
  server.on('sessionError', (error) =>
    log.debug({ err: error, listener: listener.name }, 'xDS session error'),
  );
  if ('setSecureContext' in server)
    server.on('tlsClientError', (error) => {
      metrics.add('refused', 1, 'tls');
      log.debug({ err: error, listener: listener.name }, 'xDS TLS handshake failed');
    });
  server.on('stream', (http2Stream, headers) => {
    const stream = http2Stream as ServerHttp2Stream;
    if (!otherCalls?.(stream, headers, listener))
      accept(stream, headers, listener, context, streams, sessions);
  });
  const acceptor = new Acceptor({
    host: listener.host,
    port: listener.port,
    perSecond: limits.acceptPerSecond,
    burst: limits.acceptBurst,
    queue: limits.acceptQueue,
    onSocket: (socket) => {
      server.emit('connection', socket);
      socket.resume();
    },
    onRefused: () => metrics.add('refused', 1, 'accept queue'),
  });
  return { listener, server, acceptor };
}

function accept(
  http2Stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  listener: XdsListener,
  context: StreamContext,
  streams: Set<XdsStream>,
  sessions: SessionKeeper,
): void {
  const path = String(headers[':path'] ?? '');
  const method = findMethod(path);
  if (!method || headers[':method'] !== 'POST') {
    context.metrics.add('refused', 1, 'method');
    refuse(http2Stream, grpcStatus.unimplemented, `there is no method ${path.slice(0, 200)}`);
    return;
  }
  if (headerBytes(headers) > context.limits.maxHeaderBytes) {
    context.metrics.add('refused', 1, 'headers');
    refuse(
      http2Stream,
      grpcStatus.resourceExhausted,
      `the headers are over ${context.limits.maxHeaderBytes} bytes`,
    );
    return;
  }
  if (streams.size >= context.limits.maxStreams) {
    context.metrics.add('refused', 1, 'streams');
    refuse(
      http2Stream,
      grpcStatus.resourceExhausted,
      `this server serves ${streams.size} streams, its limit`,
    );
    return;
  }
  const stream = new XdsStream(context, method, credentialsOf(http2Stream.session, headers, listener));
  streams.add(stream);
  const session = http2Stream.session;
  if (session) sessions.bind(session, stream);
  stream.attach(
    new GrpcStream(http2Stream, context.limits.maxRequestBytes, {
      onMessage: (message) => stream.onMessage(message),
      onDrain: () => stream.onDrain(),
      onClose: () => {
        streams.delete(stream);
        if (session) sessions.unbind(session, stream);
        stream.onClose();
      },
    }),
  );
}

function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  stream.on('error', () => undefined);
  refuseGrpc(stream, status, message);
}

/** As HTTP/2 counts a header list: names, values, and 32 for each. nghttp2 only tells the peer of the limit. */
function headerBytes(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) bytes += 32 + name.length + String(value ?? '').length;
  return bytes;
}

function credentialsOf(
  session: Http2Session | undefined,
  headers: IncomingHttpHeaders,
  listener: XdsListener,
): Credentials {
  const socket = session?.socket;
  const tls = session?.encrypted ? (socket as TLSSocket) : undefined;
  const bearer = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  return {
    listener: listener.name,
    remoteAddress: socket?.remoteAddress ?? '',
    peerCertificate: tls?.authorized ? tls.getPeerX509Certificate() : undefined,
    bearerToken: bearer,
  };
}
