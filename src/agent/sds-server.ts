import { createHash } from 'node:crypto';
import { chmodSync, rmSync } from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect } from 'node:net';
import { CodedError } from '../kit/coded-error.ts';
import {
  GrpcError,
  type GrpcServerStream,
  type GrpcStreamEvents,
  grpcStatus,
  refuseGrpc,
  serveStream,
} from '../kit/grpc-http2.ts';
import type { AgentLog } from './agent-log.ts';
import {
  decodeDeltaRequest,
  decodeRequest,
  encodeDeltaResponse,
  encodeResponse,
  encodeSecret,
  SECRET_TYPE,
  type Secret,
} from './sds-messages.ts';

const SERVICE = '/envoy.service.secret.v3.SecretDiscoveryService/';
/** A request carries the node once, with its metadata. */
const MAX_REQUEST = 1 << 20;
const MAX_STREAMS = 256;
const MAX_NAMES = 64;

interface StoredSecret {
  name: string;
  version: string;
  bytes: Uint8Array;
}

export interface SdsServer {
  /** Replaces secrets and pushes them to whoever asked for them. */
  set(secrets: readonly Secret[]): void;
  close(): Promise<void>;
}

/**
 * Serves secrets on a unix socket of mode 0600, both protocol variants. A name that is not (yet) known is answered once it is set:
 * Envoy waits, which is what a workload without a certificate should do. Throws `AgentRunning` when a live server has the socket.
 */
export async function startSdsServer(socketPath: string, log: AgentLog): Promise<SdsServer> {
  const secrets = new Map<string, StoredSecret>();
  const subscribers = new Set<() => void>();
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({ settings: { maxConcurrentStreams: MAX_STREAMS }, maxSessionMemory: 4 });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const method = headers[':path'];
    const open =
      method === `${SERVICE}StreamSecrets`
        ? openStream
        : method === `${SERVICE}DeltaSecrets`
          ? openDelta
          : undefined;
    if (!open) return refuseGrpc(stream, grpcStatus.unimplemented, `no such method: ${method}`);
    serveStream(stream, (call) => open(call, secrets, subscribers, log), { maxMessageBytes: MAX_REQUEST });
  });

  if (await answers(socketPath))
    throw new CodedError('AgentRunning', `another agent serves ${socketPath}; end it first`);
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  chmodSync(socketPath, 0o600);

  return {
    set(next) {
      for (const secret of next) {
        const bytes = encodeSecret(secret);
        const version = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
        secrets.set(secret.name, { name: secret.name, version, bytes });
      }
      for (const push of subscribers) push();
    },
    close: () =>
      new Promise((resolve) => {
        for (const session of sessions) session.destroy();
        server.close(() => resolve());
      }),
  };
}

type Open = (
  call: GrpcServerStream,
  secrets: ReadonlyMap<string, StoredSecret>,
  subscribers: Set<() => void>,
  log: AgentLog,
) => GrpcStreamEvents;

/** State of the world: each response holds all that was asked for and is known. */
const openStream: Open = (call, secrets, subscribers, log) => {
  let names: string[] = [];
  let sent = '';
  let nonce = 0;
  const push = () => {
    const wanted = names.map((name) => secrets.get(name)).filter((secret) => secret !== undefined);
    const version = wanted.map((secret) => secret.version).join('-');
    if (wanted.length === 0 || version === sent) return;
    sent = version;
    nonce++;
    call.send(
      encodeResponse({ version, nonce: String(nonce), secrets: wanted.map((secret) => secret.bytes) }),
    );
  };
  subscribers.add(push);
  return {
    onMessage(bytes) {
      const request = decodeRequest(bytes);
      checkRequest(request.typeUrl, request.resourceNames);
      if (request.error) log.error(`Envoy rejected a secret: ${request.error}`, { names: names.join(',') });
      if (request.nonce !== '' && request.nonce !== String(nonce)) return;
      // A name that Envoy drops and asks for again must be answered again.
      if (request.resourceNames.join() !== names.join()) sent = '';
      names = request.resourceNames;
      if (!request.error) push();
    },
    onClose: () => subscribers.delete(push),
  };
};

const openDelta: Open = (call, secrets, subscribers, log) => {
  const names = new Map<string, string>();
  let nonce = 0;
  const push = () => {
    const changed = [...names]
      .map(([name, version]) => ({ secret: secrets.get(name), version }))
      .filter(({ secret, version }) => secret !== undefined && secret.version !== version)
      .map(({ secret }) => secret as StoredSecret);
    if (changed.length === 0) return;
    for (const secret of changed) names.set(secret.name, secret.version);
    nonce++;
    call.send(encodeDeltaResponse({ nonce: String(nonce), secrets: changed, removed: [] }));
  };
  subscribers.add(push);
  return {
    onMessage(bytes) {
      const request = decodeDeltaRequest(bytes);
      checkRequest(request.typeUrl, request.subscribe);
      if (request.error) log.error(`Envoy rejected a secret: ${request.error}`);
      for (const name of request.unsubscribe) names.delete(name);
      for (const name of request.subscribe) names.set(name, '');
      if (names.size > MAX_NAMES) throw tooManyNames();
      push();
    },
    onClose: () => subscribers.delete(push),
  };
};

function checkRequest(typeUrl: string, names: readonly string[]): void {
  if (typeUrl !== '' && typeUrl !== SECRET_TYPE)
    throw new GrpcError(grpcStatus.invalidArgument, `this server has secrets, not ${typeUrl}`);
  if (names.length > MAX_NAMES) throw tooManyNames();
}

function tooManyNames(): GrpcError {
  return new GrpcError(grpcStatus.resourceExhausted, `more than ${MAX_NAMES} secrets on one stream`);
}

/** True when something accepts connections at the socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const end = (value: boolean) => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(1_000, () => end(true));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
