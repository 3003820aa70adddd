import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection that is kept open, on which somebody says back what is said. */
export interface KeptConnection {
  /** How many words came back so far. */
  readonly echoed: number;
  /** Why it is no more, where it is not. */
  readonly lost: string | undefined;
  close(): void;
}

/** How often a word is said, ms. */
const everyMs = 50;

/** How long the first word is waited for, ms. */
const patienceMs = 30_000;

/** Opens a connection to a port of this machine; resolves when the first word came back. `upgrade`: it begins as a WebSocket's does, for this host. */
export async function keepConnection(port: number, upgrade?: string): Promise<KeptConnection> {
  const socket: Socket = connect(port, '127.0.0.1');
  let echoed = 0;
  let lost: string | undefined;
  let unread = '';
  const end = (why: string): void => {
    lost ??= why;
    clearInterval(timer);
  };
  socket.on('error', (error) => end(error.message));
  socket.on('close', () => end('it was closed'));
  await once(socket, 'connect');
  if (upgrade !== undefined) await upgraded(socket, upgrade);
  socket.setEncoding('utf8').on('data', (text: string) => {
    const words = (unread + text).split('\n');
    unread = words.pop() ?? '';
    echoed += words.length;
  });
  const timer = setInterval(() => socket.write('word\n'), everyMs);
  const until = performance.now() + patienceMs;
  while (echoed === 0 && lost === undefined && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  if (echoed === 0) {
    socket.destroy();
    throw new Error(`nothing came back from port ${port}: ${lost ?? 'silence'}`);
  }
  return {
    get echoed() {
      return echoed;
    },
    get lost() {
      return lost;
    },
    close: () => {
      clearInterval(timer);
      socket.destroy();
    },
  };
}

/** Asks as browsers do (RFC 6455, 4.1); what is said from then on is no HTTP. */
async function upgraded(socket: Socket, host: string): Promise<void> {
  socket.write(
    [
      ...['GET /kept HTTP/1.1', `Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket'],
      ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: a2VwdCBjb25uZWN0aW9uLg==', '', ''],
    ].join('\r\n'),
  );
  const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(patienceMs) })) as [Buffer];
  const text = answer.toString('latin1');
  if (!text.startsWith('HTTP/1.1 101 ') || !text.endsWith('\r\n\r\n'))
    throw new Error(`${host} did not switch protocols: ${text}`);
}
