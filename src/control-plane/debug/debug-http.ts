import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { http } from '../../kit/node-http.ts';
import { DebugError, type DebugPages, type DebugScope, findPage } from './debug-page.ts';

/** Istio's `BuildInfo`, as `istioctl version` reads it. */
export interface BuildInfo {
  readonly version: string;
  readonly revision: string;
  readonly golang_version: string;
  readonly status: string;
  readonly tag: string;
}

export interface DebugHttp {
  /** Serves HTTP/1.1 on a connection whose caller was authenticated before. Owns it. */
  serve(connection: Duplex, scope: DebugScope): void;
}

/**
 * Istio's monitoring port, without a port: it answers only on connections that came through the authenticated API, each within the
 * scope of the user who opened it.
 */
export function createDebugHttp(options: {
  readonly pages: DebugPages;
  readonly build: BuildInfo;
  metrics(): Promise<{ readonly type: string; readonly text: string }>;
  onError(error: unknown): void;
}): DebugHttp {
  const scopes = new WeakMap<object, DebugScope>();
  const server = http.createServer({ requestTimeout: 30_000 }, (request, response) => {
    const scope = scopes.get(request.socket);
    if (!scope) {
      request.socket.destroy();
      return;
    }
    answer(options, request, scope).then(
      ({ type, text }) => send(response, 200, type, text),
      (error: unknown) => {
        if (error instanceof DebugError)
          return send(response, error.status, 'text/plain', `${error.message}\n`);
        options.onError(error);
        send(response, 500, 'text/plain', 'see the log of the control plane\n');
      },
    );
  });
  return {
    serve(connection, scope) {
      scopes.set(connection, scope);
      connection.on('error', () => connection.destroy());
      server.emit('connection', connection);
    },
  };
}

async function answer(
  options: Parameters<typeof createDebugHttp>[0],
  request: IncomingMessage,
  scope: DebugScope,
): Promise<{ type: string; text: string }> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw new DebugError(405, 'only GET is answered');
  // Istio's command line asks for `//version`.
  const url = new URL((request.url ?? '').replace(/^\/+/, '/'), 'http://istiod');
  const path = url.pathname;
  if (path === '/version') return json({ clientVersion: options.build }, url);
  if (path === '/ready' || path === '/healthz') return { type: 'text/plain', text: 'ok\n' };
  if (path === '/metrics' && scope.namespace === undefined) return options.metrics();
  if (path === '/debug' || path === '/debug/')
    return json(await findPage(options.pages, 'list', scope).answer(url.searchParams, scope), url);
  const name = /^\/debug\/(.+)$/.exec(path)?.[1];
  if (name === undefined) throw new DebugError(404, '404 page not found');
  return json(await findPage(options.pages, name, scope).answer(url.searchParams, scope), url);
}

function json(value: unknown, url: URL): { type: string; text: string } {
  if (typeof value === 'string') return { type: 'text/plain', text: value };
  return {
    type: 'application/json',
    text: JSON.stringify(value, undefined, url.searchParams.has('pretty') ? '  ' : undefined),
  };
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
