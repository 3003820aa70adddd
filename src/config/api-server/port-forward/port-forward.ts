import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../../kit/coded-error.ts';
import type { User } from '../../access/user.ts';
import { SpdySession, type SpdyStream } from './spdy-session.ts';

/** A port of a pod that a user wants to reach. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly user: User;
}

/** Connects to a port of a pod. Rejects with words for the user when nothing answers there. */
export type ConnectToPod = (target: PodPort) => Promise<Duplex>;

/** How long half of a pair of streams waits for the other, ms. */
const pairMs = 10_000;

/** How long a forwarding may be without a connection, ms: clients that died leave theirs. */
export const forwardIdleMs = 4 * 60 * 60 * 1_000;

/**
 * Kubernetes' `portforward.k8s.io`: for each connection the client opens two streams of one request id, one for data and one on
 * which it is told what went wrong. Resolves when the client's connection is over.
 */
export function forwardPorts(
  transport: Duplex,
  target: Omit<PodPort, 'port'>,
  connect: ConnectToPod,
): Promise<void> {
  const waiting = new Map<string, { stream: SpdyStream; timer: NodeJS.Timeout }>();
  return new Promise((resolve) => {
    const session = new SpdySession(transport, {
      onStream(stream) {
        const { headers } = stream;
        const kind = headers.get('streamtype') ?? '';
        const port = Number(headers.get('port'));
        const id = headers.get('requestid') ?? headers.get('port') ?? '';
        if ((kind !== 'data' && kind !== 'error') || !Number.isInteger(port) || port < 1 || port > 65_535)
          return void stream.destroy();
        const other = waiting.get(id);
        if (!other || other.stream.headers.get('streamtype') === kind) {
          const timer = setTimeout(() => stream.destroy(), pairMs).unref();
          stream.once('close', () => {
            clearTimeout(timer);
            if (waiting.get(id)?.stream === stream) waiting.delete(id);
          });
          waiting.set(id, { stream, timer });
          return;
        }
        clearTimeout(other.timer);
        waiting.delete(id);
        const [data, error] = kind === 'data' ? [stream, other.stream] : [other.stream, stream];
        void forward(data, error, { ...target, port }, connect);
      },
      onClose: () => {
        clearTimeout(idle);
        resolve();
      },
    });
    const idle = setTimeout(() => session.close(), forwardIdleMs).unref();
  });
}

async function forward(
  data: SpdyStream,
  error: SpdyStream,
  target: PodPort,
  connect: ConnectToPod,
): Promise<void> {
  error.resume();
  try {
    const socket = await connect(target);
    socket.on('error', () => {});
    data.once('close', () => socket.destroy());
    // A server may answer after the client has said all it had to say; when the server has said all, it is over.
    const said = pipeline(data, socket);
    await Promise.race([pipeline(socket, data), said.then(() => new Promise(() => {}))]);
    said.catch(() => {});
    socket.destroy();
  } catch (reason) {
    // A reset is how clients end what they are done with.
    if (!data.destroyed || !isEarlyClose(reason)) error.write(messageOf(reason));
  } finally {
    error.end();
    if (!data.destroyed) data.end();
  }
}

function isEarlyClose(reason: unknown): boolean {
  return (reason as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
}
