// Real servers and clients of single protocols, each through two real sidecars with mutual TLS.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { hasProgram } from '../../../scripts/tasks/test-machine.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';
import { callDubbo, createDubboEcho } from '../../support/protocols/dubbo-echo.ts';
import { grpcEcho, startGrpcEcho } from '../../support/protocols/grpc-echo.ts';
import { createMongoServer } from '../../support/protocols/mongo-server.ts';
import { callRedis, startRedis } from '../../support/protocols/redis.ts';
import { callThrift, createThriftEcho } from '../../support/protocols/thrift-echo.ts';
import { waitFor } from '../../support/wait-for.ts';

const servicePorts = {
  http: 80,
  grpc: 50051,
  'grpc-web': 8080,
  mongo: 27017,
  redis: 6379,
  thrift: 9090,
  'thrift-compact': 9091,
  dubbo: 20880,
  tcp: 7000,
} as const;
type Name = keyof typeof servicePorts;
const names = Object.keys(servicePorts) as Name[];
const host = 'app.default.svc.cluster.local';
const hasRedis = hasProgram('redis-server');

let mesh: CompiledMesh;
let client: TestEnvoy;
const servers: TestEnvoy[] = [];
const local = {} as Record<Name, number>;
const closers: (() => unknown)[] = [];

const objects = (filters: boolean, inbound: Record<Name, readonly number[]>): string => `
apiVersion: v1
kind: Service
metadata: {name: app, annotations: {networking.ostria.io/protocol-filters: '${filters}'}}
spec:
  clusterIP: 10.1.0.1
  selector: {app: app}
  ports:
${names.map((name) => `  - {name: ${name}, port: ${servicePorts[name]}}`).join('\n')}
${[0, 1]
  .map(
    (index) => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-${index}}
spec:
  address: 127.0.0.1
  labels: {app: app, security.istio.io/tlsMode: istio}
  ports: {${names.map((name) => `${name}: ${inbound[name][index]}`).join(', ')}}`,
  )
  .join('\n')}
`;

/** When a client has ended its side: how many bytes it said, and their digest. */
function createDigestServer(): Server {
  return createTcpServer({ allowHalfOpen: true }, (socket) => {
    const digest = createHash('sha256');
    let length = 0;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      digest.update(data);
      length += data.length;
    });
    socket.on('end', () => socket.end(`${length} ${digest.digest('hex')}`));
  });
}

async function listen(made: Server | import('node:http').Server, port: number): Promise<void> {
  await new Promise<void>((resolve) => made.listen(port, '127.0.0.1', resolve));
  closers.push(() => made.close());
}

let inboundPorts: Record<Name, readonly number[]>;

beforeAll(async () => {
  const ports = await freePorts(names.length * 5);
  const take = () => ports.shift() as number;
  inboundPorts = Object.fromEntries(names.map((name) => [name, [take(), take()]])) as never;
  const app = Object.fromEntries(names.map((name) => [name, [take(), take()]])) as unknown as Record<
    Name,
    readonly [number, number]
  >;
  for (const name of names) local[name] = take();

  for (const index of [0, 1] as const) {
    const http = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
      response.setHeader('content-type', 'text/plain');
      response.end(`HTTP/${incoming.httpVersion} ${incoming.url}`);
    });
    const sockets = new WebSocketServer({ server: http });
    sockets.on('connection', (socket) =>
      socket.on('message', (data, binary) => socket.send(data, { binary })),
    );
    await listen(http, app.http[index]);
    for (const name of ['grpc', 'grpc-web'] as const)
      closers.push(await startGrpcEcho(`app-${index}`, app[name][index]));
    await listen(createMongoServer(), app.mongo[index]);
    await listen(createThriftEcho('framed, binary'), app.thrift[index]);
    await listen(createThriftEcho('unframed, compact'), app['thrift-compact'][index]);
    await listen(createDubboEcho(), app.dubbo[index]);
    await listen(createDigestServer(), app.tcp[index]);
    if (hasRedis) closers.push(await startRedis(app.redis[index]));
  }

  mesh = await startCompiledMesh(objects(true, inboundPorts), { defaultMtlsMode: 'STRICT' });
  const outbound = Object.fromEntries(names.map((name) => [`${host}:${servicePorts[name]}`, local[name]]));
  client = await mesh.envoy({
    name: 'client',
    metadata: { HTTP10: '1', OSTRIA_CAPTURE: { outbound, inbound: [], httpProxy: 0 } },
  });
  for (const index of [0, 1] as const) {
    const inbound = names.map((name) => ({
      servicePort: servicePorts[name],
      listen: inboundPorts[name][index],
      app: app[name][index],
    }));
    servers.push(
      await mesh.envoy({
        name: `app-${index}`,
        metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound, httpProxy: 0 } },
      }),
    );
  }
});

afterAll(async () => {
  await mesh?.stop();
  for (const close of closers.splice(0)) await close();
});

const cluster = (name: Name) => `outbound|${servicePorts[name]}||${host}`;

/** Envoy tells of counters when it has flushed them. */
async function counted(envoy: TestEnvoy, name: string, least: number): Promise<void> {
  await waitFor(`${name} to reach ${least}`, async () => (await envoy.stat(name)) >= least);
}

test('WebSocket: text, binary and a close that both sides see', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${local.http}/chat`);
  const next = () =>
    new Promise<string>((resolve) => socket.once('message', (data) => resolve(data.toString())));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  for (const said of ['one', 'x'.repeat(100_000)]) {
    const answer = next();
    socket.send(said);
    expect((await answer) === said).toBe(true);
  }
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.close(4321);
  expect(await closed).toBe(4321);
});

test('HTTP/1.0 where the proxy is told to take it', async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(local.http, '127.0.0.1', () => socket.write('GET /old HTTP/1.0\r\n\r\n'));
    let got = '';
    socket.on('data', (data) => {
      got += data;
    });
    socket.on('end', () => resolve(got));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.[01] 200/);
  expect(answer).toContain('HTTP/1.1 /old');
});

describe('gRPC', () => {
  test('unary calls of one channel reach every endpoint', async () => {
    const echo = grpcEcho(local.grpc);
    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => echo.unary(`${index}`)));
    echo.close();
    expect(new Set(answers.map((answer) => answer.slice(0, 5)))).toEqual(new Set(['app-0', 'app-1']));
    expect(answers.map((answer) => answer.slice(7))).toEqual(
      Array.from({ length: 40 }, (_, index) => `${index}`),
    );
  });

  test('a stream carries messages both ways while it is open', async () => {
    const echo = grpcEcho(local.grpc);
    const answers = await echo.stream(['a', 'b', 'c']);
    echo.close();
    expect(answers.map((answer) => answer.slice(7))).toEqual(['a', 'b', 'c']);
  });

  test('streams of one side: many messages and one answer, one message and many answers, with a trailer', async () => {
    const echo = grpcEcho(local.grpc);
    const numbers = Array.from({ length: 500 }, (_, index) => String(index + 1));
    expect(await echo.collect(numbers)).toBe(numbers.join());
    expect(await echo.count(500)).toEqual({ numbers, trailer: '500' });
    echo.close();
  });

  test('a refusal keeps its code, its words and its trailers; a deadline ends a call', async () => {
    const echo = grpcEcho(local.grpc);
    const error = await echo.fail('fail', 'ready');
    expect([error?.code, error?.details, error?.metadata.get('reason')]).toEqual([9, 'not ready', ['ready']]);
    const ended = await echo.silent(300);
    expect([ended?.code, ended?.details]).toEqual([4, expect.stringContaining('Deadline')]);
    echo.close();
  });

  test('a code that a route retries is tried again, others are not', async () => {
    const echo = grpcEcho(local.grpc);
    expect((await echo.fail('flaky', 'without a rule'))?.code).toBe(14);
    mesh.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [${host}]
  http:
  - match: [{port: 50051}]
    route: [{destination: {host: ${host}, port: {number: 50051}}}]
    retries: {attempts: 2, retryOn: unavailable}
`);
    // Each message is refused once: when a call succeeds, the rule has arrived.
    let call = 0;
    await waitFor('the rule to arrive', async () => !(await echo.fail('flaky', `call ${call++}`)));
    expect(await echo.fail('flaky', 'with the rule')).toBeUndefined();
    expect((await echo.fail('fail', 'ready'))?.code).toBe(9);
    echo.close();
  });

  test('gRPC-Web is translated: length-prefixed messages, the trailers as the last of them', async () => {
    const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from('hi')]);
    const response = await fetch(`http://127.0.0.1:${local['grpc-web']}/test.Echo/Unary`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' },
      body: frame,
    });
    const body = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get('content-type')).toBe('application/grpc-web+proto');
    const length = body.readUInt32BE(1);
    expect(body.subarray(5, 5 + length).toString()).toMatch(/^app-[01]: hi$/);
    expect(body[5 + length]).toBe(0x80);
    expect(body.subarray(10 + length).toString()).toMatch(/grpc-status: ?0/);
  });
});

/** Writes and reads with MongoDB's own driver; resolves with how many documents came back, and the length of the largest text. */
async function useMongo(documents: number, largest: number): Promise<[number, number]> {
  const mongo = new MongoClient(`mongodb://127.0.0.1:${local.mongo}/?directConnection=true&maxPoolSize=1`);
  try {
    const things = mongo.db('shop').collection(`things-${documents}`);
    await things.insertMany(Array.from({ length: documents }, (_, index) => ({ index, text: 'small' })));
    await things.insertOne({ index: -1, text: 'x'.repeat(largest) });
    const found = await things.find().batchSize(100).toArray();
    return [found.length, Math.max(...found.map(({ text }) => text.length))];
  } finally {
    await mongo.close();
  }
}

test('TCP: who has said everything still hears the answer, however much was said', async () => {
  const said = Buffer.alloc(20_000_000, 'all kinds of bytes \u0000\u00ff');
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: local.tcp, allowHalfOpen: true }, () =>
      socket.end(said),
    );
    let got = '';
    socket.setTimeout(30_000, () => socket.destroy(new Error('nothing for 30 s')));
    socket.on('data', (data) => {
      got += data;
    });
    socket.on('end', () => resolve(got));
    socket.on('error', reject);
  });
  expect(answer).toBe(`${said.length} ${createHash('sha256').update(said).digest('hex')}`);
});

test('MongoDB: the driver writes, reads by cursor, and sends large documents; the filter counts what it understands', async () => {
  expect(await useMongo(1_000, 4_000_000)).toEqual([1_001, 4_000_000]);
  // The greeting is the one message that drivers still send in the form that Envoy reads; the next ends its reading.
  await counted(client, `mongo.${cluster('mongo')}.op_query`, 1);
  await counted(client, `mongo.${cluster('mongo')}.op_reply`, 1);
  await counted(client, `mongo.${cluster('mongo')}.decoding_error`, 1);
  const seen = await Promise.all(servers.map((envoy) => envoy.stat('mongo.inbound|27017||.op_query')));
  expect(Math.max(...seen)).toBeGreaterThan(0);
});

test.skipIf(!hasRedis)('Redis: each command is sent on by itself', async () => {
  const answers = await callRedis(local.redis, ['PING'], ['SET', 'key', 'value']);
  expect(answers).toEqual(['+PONG', '+OK']);
  // Two servers that know nothing of each other: the filter has a choice for each command.
  const found = await Promise.all(
    Array.from({ length: 60 }, () => callRedis(local.redis, ['EXISTS', 'key'])),
  );
  expect(new Set(found.flat())).toEqual(new Set([':0', ':1']));
  await counted(client, `redis.${cluster('redis')}.command.exists.total`, 60);
});

test.each([
  ['framed, binary', 'thrift'],
  ['unframed, compact', 'thrift-compact'],
] as const)('Thrift, %s: calls of one connection reach every endpoint', async (wire, name) => {
  const texts = Array.from({ length: 20 }, (_, index) => `call ${index}`);
  expect(await callThrift(local[name], wire, texts)).toEqual(texts);
  await counted(client, `thrift.${cluster(name)}.request_call`, 20);
});

test('Dubbo: values of every kind, and calls of one connection reach every endpoint', async () => {
  const values = ['hello', 'ü'.repeat(5_000), { list: [1, 2.5, null], nested: { yes: true } }];
  expect(await callDubbo(local.dubbo, ...values)).toEqual(values);
  const many = Array.from({ length: 20 }, (_, index) => `call ${index}`);
  expect(await callDubbo(local.dubbo, ...many)).toEqual(many);
  await counted(client, `dubbo.${cluster('dubbo')}.request_twoway`, 23);
  await counted(client, `dubbo.${cluster('dubbo')}.response_success`, 23);
});

test('without filters the same calls pass as TCP', async () => {
  mesh.apply(objects(false, inboundPorts));
  const before = await client.stat(`tcp.${cluster('thrift')}.downstream_cx_total`);
  await waitFor('the listeners to change', async () => {
    expect(await callThrift(local.thrift, 'framed, binary', ['plain'])).toEqual(['plain']);
    return (await client.stat(`tcp.${cluster('thrift')}.downstream_cx_total`)) > before;
  });
  expect(await callDubbo(local.dubbo, 'plain')).toEqual(['plain']);
  expect(await useMongo(10, 10)).toEqual([11, 10]);
  if (hasRedis) expect(await callRedis(local.redis, ['SELECT', '1'])).toEqual(['+OK']);
});

test('nothing was refused', async () => {
  expect(mesh.refusals).toEqual([]);
  for (const envoy of [client, ...servers]) expect(await rejectedUpdates(envoy)).toBe(0);
});
