import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Answer, decode, encode } from 'dns-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts } from '../../../test/support/ports.ts';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import { createForwarder } from './forward.ts';
import { readMessages, toStream } from './stream-messages.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const many = Array.from({ length: 300 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
const mesh: Readonly<Record<string, readonly string[]>> = {
  'orders.default.svc.cluster.local': ['240.240.0.1', '2001:2::1'],
  'headless.default.svc.cluster.local': many,
};

let port: number;
let upstreamPort: number;
let server: DnsServer;
let upstream: { close(): void };
let asked: string[] = [];

/** A name server of the machine: knows example.com, over UDP and TCP. */
async function startUpstream(at: number) {
  const answer = (message: Buffer): Buffer => {
    const { id, questions = [] } = decode(message);
    const [question] = questions;
    asked.push(`${question?.type} ${question?.name}`);
    const known: Answer[] =
      question?.type === 'TXT'
        ? [{ type: 'TXT', name: question.name, data: 'hello' }]
        : [{ type: 'A', name: question?.name ?? '', ttl: 60, data: '192.0.2.1' }];
    const answers = question?.name.endsWith('example.com') ? known : [];
    return encode({ type: 'response', id: id ?? 0, questions, answers, flags: answers.length > 0 ? 0 : 3 });
  };
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => udp.send(answer(message), from.port, from.address));
  udp.bind(at, '127.0.0.1');
  await once(udp, 'listening');
  const tcp = createServer((socket) =>
    readMessages(socket, (message) => socket.write(toStream(answer(message)))),
  );
  tcp.listen(at, '127.0.0.1');
  await once(tcp, 'listening');
  return {
    close() {
      udp.close();
      tcp.close();
    },
  };
}

beforeAll(async () => {
  [port = 0, upstreamPort = 0] = await freePorts(2);
  upstream = await startUpstream(upstreamPort);
  server = await startDnsServer({
    port,
    find: async (name) => mesh[name] ?? null,
    forwarder: createForwarder(() => [`127.0.0.1:${upstreamPort}`]),
    log: silent,
  });
});
afterAll(async () => {
  await server?.close();
  upstream?.close();
});

function resolver(at = `127.0.0.1:${port}`): Resolver {
  const made = new Resolver({ timeout: 10_000, tries: 2 });
  made.setServers([at]);
  return made;
}

test('names of the mesh are answered by family, in any case of letters, and nobody else is asked', async () => {
  asked = [];
  expect(await resolver().resolve4('orders.default.svc.cluster.local')).toEqual(['240.240.0.1']);
  expect(await resolver().resolve6('ORDERS.default.svc.Cluster.local')).toEqual(['2001:2::1']);
  expect(asked).toEqual([]);
});

test('more addresses than a datagram holds come over TCP, in another order each time', async () => {
  const found = await resolver().resolve4('headless.default.svc.cluster.local');
  expect([...found].sort()).toEqual([...many].sort());
  const firsts = new Set<string | undefined>();
  for (let i = 0; i < 40 && firsts.size < 2; i++)
    firsts.add((await resolver().resolve4('headless.default.svc.cluster.local'))[0]);
  expect(firsts.size).toBe(2);
});

test('everything else is for the name servers of the machine: other names, and other questions for ours', async () => {
  asked = [];
  expect(await resolver().resolve4('www.example.com')).toEqual(['192.0.2.1']);
  expect(await resolver().resolveTxt('example.com')).toEqual([['hello']]);
  await expect(resolver().resolve4('nowhere.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  await expect(resolver().resolveTxt('orders.default.svc.cluster.local')).rejects.toThrow();
  expect(asked).toEqual([
    'A www.example.com',
    'TXT example.com',
    'A nowhere.test',
    'TXT orders.default.svc.cluster.local',
  ]);
});

test('a name of the mesh without an address of the family is there all the same, with none', async () => {
  asked = [];
  await expect(resolver().resolve6('headless.default.svc.cluster.local')).rejects.toMatchObject({
    code: 'ENODATA',
  });
  expect(asked).toEqual([]);
});

test('what is no question is left unanswered, and harms nothing', async () => {
  const socket = createSocket('udp4');
  for (const message of [
    Buffer.alloc(0),
    Buffer.from('hello'),
    Buffer.alloc(12, 0xff),
    Buffer.alloc(1_400, 0xc0),
  ])
    await new Promise((resolve) => socket.send(message, port, '127.0.0.1', resolve));
  socket.close();
  expect(await resolver().resolve4('orders.default.svc.cluster.local')).toEqual(['240.240.0.1']);
});

test('where no name server answers, the client is told so', async () => {
  const [own = 0, nobody = 0] = await freePorts(2);
  const alone = await startDnsServer({
    port: own,
    find: async () => null,
    forwarder: createForwarder(() => [`127.0.0.1:${nobody}`]),
    log: silent,
  });
  await expect(resolver(`127.0.0.1:${own}`).resolve4('example.com')).rejects.toMatchObject({
    code: 'ESERVFAIL',
  });
  await alone.close();
});

test('a port that somebody has is told', async () => {
  await expect(
    startDnsServer({ port, find: async () => null, forwarder: createForwarder(() => []), log: silent }),
  ).rejects.toThrow(/the DNS port \d+ cannot be used: .*EADDRINUSE.*ports\.dns/);
});
