import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiPki } from '../access/api-pki.ts';
import { type Authenticator, anonymous } from '../access/authenticator.ts';
import type { User } from '../access/user.ts';
import { StoreError } from '../store/store.ts';
import type { ApiContext } from './context.ts';
import { authorizeRequest, impersonated } from './handlers/authorize-request.ts';
import { type createSystemPaths, isPublicPath } from './handlers/system-paths.ts';
import { handleWatch } from './handlers/watch-handler.ts';
import type { ConnectToPod } from './port-forward/port-forward.ts';
import { serveUpgrade } from './port-forward/upgrade.ts';
import type { ApiRequest } from './request/body.ts';
import { createFlightControl } from './request/flight-control.ts';
import { parseRequestInfo } from './request/request-info.ts';
import { type ApiResponse, respond } from './request/respond.ts';
import type { VirtualResource } from './reviews/virtual-resource.ts';
import { requestContext, route } from './router.ts';
import {
  ApiError,
  internalError,
  timedOut,
  tooLarge,
  unauthorized,
  unavailable,
  unknownPath,
} from './status.ts';

export interface ListenOptions {
  context: ApiContext;
  virtual: readonly VirtualResource[];
  system: ReturnType<typeof createSystemPaths>;
  authenticator: Authenticator;
  pki: ApiPki;
  host: string;
  port: number;
  /** Undefined: ports of pods cannot be reached through this API. */
  connectToPod: ConnectToPod | undefined;
}

export interface Listener {
  url: string;
  port: number;
  close(): Promise<void>;
}

/** How long requests under way may still take when the server closes. */
const graceMs = 500;

/** Serves HTTP/1.1 and HTTP/2 over TLS 1.2 or newer. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { context, pki, host } = options;
  const { limits } = context;
  // What HTTP/1.1 connections take beside the declared options of an HTTP/2 server.
  const http1 = { maxHeaderSize: limits.headerBytes };
  const server = createSecureServer({
    ...http1,
    allowHTTP1: true,
    key: pki.server.keyPem,
    cert: pki.server.certificatePem,
    ca: pki.authorityPem,
    requestCert: true,
    // Who has no certificate may have a token: whether the certificate holds is looked at per request.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    handshakeTimeout: limits.handshakeMs,
    settings: { maxConcurrentStreams: limits.streamsPerConnection, maxHeaderListSize: limits.headerBytes },
  });
  Object.assign(server, { maxConnections: limits.connections, headersTimeout: limits.bodyMs });
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  server.on('connection', (socket: Socket) => track(sockets, socket));
  server.on('session', (session) => {
    track(sessions, session);
    session.on('error', () => {});
    closeWhenIdle(session, limits.idleMs);
  });
  server.on('tlsClientError', () => {});
  const flights = createFlightControl(limits);
  server.on('request', (request: ApiRequest, response: ApiResponse) => {
    void serve(options, flights, request, response);
  });
  const { connectToPod } = options;
  if (connectToPod)
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      void serveUpgrade(
        {
          context,
          connect: connectToPod,
          admit: (upgrade) => admitUpgrade(options, upgrade),
          enter: (user) => flights.enter('watch', user),
        },
        request,
        socket,
        head,
      );
    });
  server.listen(options.port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw new CodedError(
      'ApiListenFailed',
      `the API cannot listen on ${host}:${options.port}: ${error.message}`,
      { cause: error },
    );
  });
  server.on('error', (error) => context.log('error', 'the API listener failed', { error: error.message }));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    close: () => close(server, sockets, sessions),
  };
}

function track<T extends { once(event: 'close', listener: () => void): unknown }>(set: Set<T>, one: T): void {
  set.add(one);
  one.once('close', () => set.delete(one));
}

/** A connection with open streams is in use however quiet it is: watches may have nothing to say for long. */
function closeWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let open = 0;
  session.on('stream', (stream) => {
    open++;
    stream.once('close', () => open--);
  });
  session.setTimeout(idleMs, () => {
    if (open === 0) session.close();
  });
}

async function close(
  server: ReturnType<typeof createSecureServer>,
  sockets: ReadonlySet<Socket>,
  sessions: ReadonlySet<ServerHttp2Session>,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const session of sessions) session.close();
  const force = setTimeout(() => {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  await closed;
  clearTimeout(force);
  for (const socket of sockets) socket.destroy();
}

function connectionOf(request: ApiRequest): TLSSocket | undefined {
  const session = (request as Http2ServerRequest).stream?.session;
  return (session ? session.socket : request.socket) as TLSSocket | undefined;
}

function header(request: ApiRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/** From the first byte of a request to the last of its answer. Never rejects. */
async function serve(
  options: ListenOptions,
  flights: ReturnType<typeof createFlightControl>,
  request: ApiRequest,
  response: ApiResponse,
): Promise<void> {
  const warnings: string[] = [];
  request.on('error', () => {});
  response.on('error', () => {});
  let leave = () => {};
  try {
    leave = await handle(options, flights, request, response, warnings);
  } catch (error) {
    const { status } = toApiError(error, options, request);
    const retry = status.details?.retryAfterSeconds;
    const headers: Record<string, string> = {};
    if (retry !== undefined) headers['retry-after'] = String(retry);
    if (status.code === 401) headers['www-authenticate'] = 'Bearer realm="ostria"';
    await respond(
      response,
      { code: status.code, body: status, headers },
      { acceptEncoding: '', warnings, head: request.method === 'HEAD' },
    ).catch(() => response.destroy());
  } finally {
    leave();
    discardRest(request);
  }
}

/** What was not read of the body is taken and dropped, for a moment: closing on unread data could lose the answer. */
function discardRest(request: ApiRequest): void {
  if (request.readableEnded || request.destroyed) return;
  request.resume();
  const timer = setTimeout(() => request.destroy(), 2_000);
  timer.unref();
  request.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
}

async function handle(
  options: ListenOptions,
  flights: ReturnType<typeof createFlightControl>,
  request: ApiRequest,
  response: ApiResponse,
  warnings: string[],
): Promise<() => void> {
  const { context, authenticator } = options;
  const url = request.url ?? '/';
  if (url.length > context.limits.urlBytes)
    throw tooLarge(`the URL is longer than ${context.limits.urlBytes} bytes`);
  if (!url.startsWith('/')) throw unknownPath();
  const info = parseRequestInfo(request.method ?? 'GET', url);
  const caller = await authenticator.authenticate(connectionOf(request), header(request, 'authorization'));
  const user = await admitUser(options, caller, info.resource ? '' : info.path, request);
  const isWatch = info.verb === 'watch';
  const leave = flights.enter(isWatch ? 'watch' : 'request', user.name);
  try {
    if (user !== anonymous) await authorizeRequest(context.authorizer, user, info);
    const own = { ...requestContext(context, { request, info, user }), warnings };
    if (isWatch && info.resource) {
      const target = context.kinds.byResource(
        info.resource.group,
        info.resource.version,
        info.resource.resource,
      );
      if (!target) throw unknownPath();
      await handleWatch(own, target, response);
      return leave;
    }
    const answer = await withDeadline(route(own, options.virtual, options.system), context.limits.requestMs);
    await respond(response, answer, {
      acceptEncoding: header(request, 'accept-encoding') ?? '',
      warnings,
      head: request.method === 'HEAD',
    });
    return leave;
  } catch (error) {
    leave();
    throw error;
  }
}

/** Who the request counts for; 401 for those who prove nothing, but on the public paths. */
async function admitUser(
  options: ListenOptions,
  caller: User | undefined,
  path: string,
  request: ApiRequest,
): Promise<User> {
  if (!caller) throw unauthorized('Unauthorized');
  if (caller !== anonymous) return impersonated(options.context.authorizer, caller, request.headers);
  if (path !== '' && isPublicPath(path) && (request.method === 'GET' || request.method === 'HEAD'))
    return caller;
  throw unauthorized(
    'Unauthorized: present a client certificate of this API or a bearer token of a service account',
  );
}

/** As for a request; nothing that leaves HTTP is public. */
async function admitUpgrade(options: ListenOptions, request: IncomingMessage): Promise<User> {
  const authorization = request.headers.authorization;
  const caller = await options.authenticator.authenticate(request.socket as TLSSocket, authorization);
  if (!caller || caller === anonymous) throw unauthorized('Unauthorized');
  return impersonated(options.context.authorizer, caller, request.headers);
}

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          timedOut(`the request was not done within ${ms} ms; whether a write took effect is not known`),
        ),
      ms,
    );
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function toApiError(error: unknown, options: ListenOptions, request: ApiRequest): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof StoreError) {
    if (error.code === 'ObjectTooLarge') return tooLarge(error.message);
    if (error.code === 'StoreUnavailable' || error.code === 'StoreClosed')
      return unavailable('the store cannot be reached at the moment');
  }
  // The reason is for the log: a caller learns nothing of our insides.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  options.context.log('error', 'a request failed', {
    method: request.method,
    path: (request.url ?? '').split('?')[0],
    error: message,
  });
  return internalError('see the server log');
}
