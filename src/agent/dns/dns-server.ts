import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv4, isIPv6, type Server, type Socket } from 'node:net';
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import type { AgentLog } from '../agent-log.ts';
import type { Forwarder, Transport } from './forward.ts';
import { type Addresses, freshMs } from './name-book.ts';
import { readMessages, toStream } from './stream-messages.ts';

export interface DnsServerOptions {
  /** Over UDP and TCP, on the loopback addresses of both families. */
  readonly port: number;
  readonly find: (name: string) => Promise<Addresses>;
  readonly forwarder: Forwarder;
  readonly log: AgentLog;
}

export interface DnsServer {
  close(): Promise<void>;
}

const mostConnections = 100;
const idleMs = 10_000;
/** What a client takes over UDP that does not say more (RFC 1035). */
const plainUdpBytes = 512;
/** What we send over UDP at most: fits the loopback's packets and is what resolvers ask for. */
const mostUdpBytes = 4_096;
const serverFailure = 2;
const bindings = [
  ['127.0.0.1', 'udp4'],
  ['::1', 'udp6'],
] as const;

/** Answers for names of the mesh, and passes every other question on. Throws where the port cannot be used. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const opened: (UdpSocket | Server)[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((one) => new Promise<void>((resolve) => one.close(() => resolve()))));
  };
  try {
    for (const [address, type] of bindings)
      try {
        opened.push(await listenUdp(options, address, type), await listenTcp(options, address));
      } catch (error) {
        // A machine without IPv6.
        if (address === '127.0.0.1' || !/EADDRNOTAVAIL|EAFNOSUPPORT/.test(messageOf(error))) throw error;
      }
  } catch (error) {
    await close();
    throw new CodedError(
      'PortNotUsable',
      `the DNS port ${options.port} cannot be used: ${messageOf(error)}; choose another with ports.dns`,
    );
  }
  return { close };
}

async function listenUdp(
  options: DnsServerOptions,
  address: string,
  type: 'udp4' | 'udp6',
): Promise<UdpSocket> {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.bind(options.port, address);
  await once(socket, 'listening');
  socket.on('error', (error) => options.log.warn('DNS over UDP', { why: error.message }));
  socket.on('message', async (message, from) => {
    const answer = await answerTo(options, message, 'udp');
    if (answer) socket.send(answer, from.port, from.address, () => {});
  });
  return socket;
}

async function listenTcp(options: DnsServerOptions, address: string): Promise<Server> {
  const server = createServer((socket: Socket) => {
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    readMessages(socket, async (message) => {
      const answer = await answerTo(options, message, 'tcp');
      if (answer && socket.writable) socket.write(toStream(answer));
    });
  });
  server.maxConnections = mostConnections;
  server.listen({ port: options.port, host: address, ipv6Only: isIPv6(address) });
  await once(server, 'listening');
  return server;
}

/** Undefined: it is no question, and is left unanswered. */
async function answerTo(
  { find, forwarder }: DnsServerOptions,
  message: Buffer,
  transport: Transport,
): Promise<Buffer | undefined> {
  let query: Packet;
  try {
    query = decode(message);
  } catch {
    return undefined;
  }
  if (query.type !== 'query') return undefined;
  const question = ownQuestion(query);
  const addresses = question && (await find(question.name.toLowerCase().replace(/\.$/, '')));
  if (question && addresses) return ownAnswer(query, question, addresses, transport);
  try {
    return await forwarder.ask(message, transport);
  } catch {
    return encode({ ...replyTo(query), flags: RECURSION_AVAILABLE | RECURSION_DESIRED | serverFailure });
  }
}

/** The one question of a query that we might answer: for an address. */
function ownQuestion({ questions = [] }: Packet): Question | undefined {
  const [question] = questions;
  const ours = (question?.type === 'A' || question?.type === 'AAAA') && (question.class ?? 'IN') === 'IN';
  return questions.length === 1 && ours ? question : undefined;
}

function ownAnswer(
  query: Packet,
  { name, type }: Question,
  addresses: readonly string[],
  transport: Transport,
): Buffer {
  const ofFamily = addresses.filter(type === 'A' ? isIPv4 : isIPv6);
  // Whoever takes the first gets another each time.
  const start = ofFamily.length > 1 ? Math.floor(Math.random() * ofFamily.length) : 0;
  const answers = [...ofFamily.slice(start), ...ofFamily.slice(0, start)].map(
    (data): Answer => ({ type: type as 'A' | 'AAAA', class: 'IN', name, ttl: freshMs / 1000, data }),
  );
  const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | RECURSION_DESIRED;
  const whole = encode({ ...replyTo(query), flags, answers });
  if (transport === 'tcp' || whole.length <= udpBytes(query)) return whole;
  return encode({ ...replyTo(query), flags: flags | TRUNCATED_RESPONSE });
}

function replyTo({ id, questions, additionals = [] }: Packet): Packet {
  const extended = additionals.some(({ type }) => type === 'OPT');
  return {
    type: 'response',
    ...(id === undefined ? {} : { id }),
    ...(questions ? { questions } : {}),
    ...(extended
      ? {
          additionals: [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: mostUdpBytes,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ],
        }
      : {}),
  };
}

/** How much the client takes in one datagram. */
function udpBytes({ additionals = [] }: Packet): number {
  const extended = additionals.find((one) => one.type === 'OPT');
  const wanted = extended?.type === 'OPT' ? extended.udpPayloadSize : plainUdpBytes;
  return Math.min(mostUdpBytes, Math.max(plainUdpBytes, wanted));
}
