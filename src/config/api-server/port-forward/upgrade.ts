import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { messageOf } from '../../../kit/coded-error.ts';
import type { User } from '../../access/user.ts';
import type { ApiContext } from '../context.ts';
import { authorizeRequest } from '../handlers/authorize-request.ts';
import { refOf } from '../objects/stored.ts';
import { parseRequestInfo } from '../request/request-info.ts';
import { ApiError, badRequest, internalError, notFound, unknownPath } from '../status.ts';
import { type ConnectToPod, forwardPorts } from './port-forward.ts';

const protocol = 'portforward.k8s.io';
/** SPDY inside of a WebSocket, as clients since Kubernetes 1.30 ask for it. */
const tunnelled = `SPDY/3.1+${protocol}`;
/** Longest message of a WebSocket, bytes: clients send one per write. */
const maxMessage = 4 * 1024 * 1024;

const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxMessage });
webSockets.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${tunnelled}`));

export interface UpgradeOptions {
  readonly context: ApiContext;
  readonly connect: ConnectToPod;
  /** Who calls; throws when the caller proves nothing. */
  admit(request: IncomingMessage): Promise<User>;
  /** Counts a forwarding in; the function counts it out. */
  enter(user: string): () => void;
}

/** Serves requests that leave HTTP: forwarding to ports of pods, through a WebSocket or SPDY itself. Never rejects. */
export async function serveUpgrade(
  options: UpgradeOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on('error', () => {});
  let leave = (): void => {};
  try {
    const { namespace, pod, user } = await readTarget(options, request);
    leave = options.enter(user.name);
    const transport = await takeOver(request, socket, head);
    await forwardPorts(transport, { namespace, pod, user }, options.connect);
  } catch (error) {
    if (!(error instanceof ApiError))
      options.context.log('error', 'an upgrade failed', { error: messageOf(error) });
    refuse(socket, error instanceof ApiError ? error : internalError('see the server log'));
  } finally {
    leave();
  }
}

async function readTarget(
  { context, admit }: UpgradeOptions,
  request: IncomingMessage,
): Promise<{ namespace: string; pod: string; user: User }> {
  const url = request.url ?? '';
  if (url.length > context.limits.urlBytes) throw badRequest('the URL is too long');
  const info = parseRequestInfo(request.method ?? 'GET', url);
  const user = await admit(request);
  const { resource } = info;
  if (
    !resource?.inNamespace ||
    resource.group !== '' ||
    resource.resource !== 'pods' ||
    resource.subresource !== 'portforward'
  )
    throw unknownPath();
  // A WebSocket begins with GET, which must not make it a lesser thing than POST.
  await authorizeRequest(context.authorizer, user, { ...info, verb: 'create' });
  const kind = context.kinds.byKind('', 'Pod');
  const { namespace, name: pod } = resource;
  if (!kind || !(await context.store.get(refOf(kind, namespace, pod))))
    throw notFound({ group: '', resource: 'pods' }, pod);
  return { namespace, pod, user };
}

function takeOver(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Duplex> {
  const wanted = (request.headers.upgrade ?? '').toLowerCase();
  if (wanted === 'websocket') {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim());
    if (!offered.includes(tunnelled))
      throw badRequest(`a WebSocket to a pod's port must offer the protocol ${tunnelled}`);
    // The protocol's name holds a slash, which the library rightly takes for no token: it is not shown to it.
    delete request.headers['sec-websocket-protocol'];
    return new Promise((resolve) =>
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
        stream.on('error', () => {});
        resolve(stream);
      }),
    );
  }
  if (wanted !== 'spdy/3.1') throw badRequest('Upgrade must be websocket or SPDY/3.1');
  const versions = [request.headers['x-stream-protocol-version'] ?? []]
    .flat()
    .join(',')
    .split(/\s*,\s*/);
  if (!versions.includes(protocol)) throw badRequest(`X-Stream-Protocol-Version must be ${protocol}`);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  return Promise.resolve(socket);
}

function refuse(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(error.status);
  socket.end(
    `HTTP/1.1 ${error.status.code} ${error.code}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
