import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, isIPv6 } from 'node:net';
import { readMessages, toStream } from './stream-messages.ts';

export type Transport = 'udp' | 'tcp';

/** Of one server. */
const answerMs = 2_000;
/** How often all servers are asked. */
const rounds = 2;
/** Questions that wait for an answer; above, they are refused. */
const mostWaiting = 256;
/** How long the list of servers is taken as read. */
const listHoldsMs = 5_000;
const dnsPort = 53;

export interface Forwarder {
  /** The answer of the first server that gives one, with the question's id. Rejects when none does. */
  ask(query: Buffer, transport: Transport): Promise<Buffer>;
}

/** Asks the name servers of the machine. `servers`: addresses, with a port where it is not 53. Default: those of `/etc/resolv.conf`. */
export function createForwarder(servers: () => readonly string[] = resolvConf()): Forwarder {
  let waiting = 0;
  return {
    async ask(query, transport) {
      if (waiting >= mostWaiting) throw new Error(`${mostWaiting} questions wait already`);
      waiting++;
      try {
        let failure: unknown = new Error('no name server is known');
        const all = servers();
        for (let round = 0; round < rounds; round++)
          for (const server of all)
            try {
              return await (transport === 'udp' ? askOverUdp : askOverTcp)(query, server);
            } catch (error) {
              failure = error;
            }
        throw failure;
      } finally {
        waiting--;
      }
    },
  };
}

/** A socket of its own for each question: answers are known by a random port as well as by a random id. */
function askOverUdp(query: Buffer, server: string): Promise<Buffer> {
  const { address, port } = placeOf(server);
  const id = randomInt(0x10000);
  const asked = withId(query, id);
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  return new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${server} does not answer`)), answerMs);
    socket.once('close', () => clearTimeout(timer));
    socket.once('error', reject);
    socket.on('message', (message) => {
      if (message.length > 2 && message.readUInt16BE(0) === id)
        resolve(withId(message, query.readUInt16BE(0)));
    });
    // Connected: only its answers are taken, and a port where nobody is says so.
    socket.connect(port, address, () => socket.send(asked));
  }).finally(() => socket.close());
}

function askOverTcp(query: Buffer, server: string): Promise<Buffer> {
  const { address, port } = placeOf(server);
  const socket = connect({ host: address, port });
  return new Promise<Buffer>((resolve, reject) => {
    socket.setTimeout(answerMs, () => reject(new Error(`${server} does not answer`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`${server} closed the connection`)));
    readMessages(socket, resolve);
    socket.write(toStream(query));
  }).finally(() => socket.destroy());
}

function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** `10.0.0.1`, `10.0.0.1:5353`, `fd00::1` or `[fd00::1]:5353`. */
function placeOf(server: string): { readonly address: string; readonly port: number } {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(server);
  return match
    ? { address: match[1] ?? match[2] ?? '', port: Number(match[3]) }
    : { address: server, port: dnsPort };
}

function resolvConf(): () => readonly string[] {
  let list: readonly string[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - readAt < listHoldsMs) return list;
    readAt = performance.now();
    try {
      const lines = readFileSync('/etc/resolv.conf', 'utf8').matchAll(/^\s*nameserver\s+(\S+)/gm);
      // As the C library: no more than three.
      list = [...lines].map(([, server = '']) => server.replace(/%.*$/, '')).slice(0, 3);
    } catch {
      list = [];
    }
    return list;
  };
}
