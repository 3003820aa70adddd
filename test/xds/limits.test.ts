import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { typeUrls } from '../../src/snapshot/resource.ts';
import type { Credentials } from '../../src/xds/authenticate.ts';
import { DeltaClient, SotwClient, sidecarNode, sleep, until } from './fake-envoy.ts';
import { fake, type Harness, type HarnessOptions, startHarness } from './harness.ts';

const { cluster, listener } = typeUrls;
let harness: Harness;
const open: { close(): Promise<void> }[] = [];

async function start(options: HarnessOptions = {}): Promise<DeltaClient> {
  harness = await startHarness(options);
  return client();
}

function client(options: ConstructorParameters<typeof DeltaClient>[1] = {}): DeltaClient {
  const made = new DeltaClient(harness.port, options);
  open.push(made);
  return made;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const nodeOf = (i: number) => ({ id: `sidecar~10.0.0.1~web-${i}.default~default.svc.cluster.local` });

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await harness.server.stop(100);
});

describe('bad input', () => {
  it('ends a stream whose first request has no node, or one that cannot be parsed', async () => {
    const first = await start();
    first.request(cluster);
    expect(await first.trailers).toEqual({
      status: '3',
      message: 'the first request of a stream must carry the node',
    });
    const second = client();
    second.request(cluster, { node: { id: 'nonsense' } });
    expect(await second.trailers).toMatchObject({
      status: '3',
      message: expect.stringContaining('nonsense'),
    });
  });

  it('refuses a request over the limit as soon as its length is known', async () => {
    const big = await start({ limits: { maxRequestBytes: 1_000 } });
    const prefix = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]);
    big.stream.write(prefix);
    expect(await big.trailers).toMatchObject({ status: '8', message: expect.stringContaining('1000') });
  });

  it('refuses compressed messages and garbage', async () => {
    const compressed = await start();
    compressed.stream.write(Buffer.from([1, 0, 0, 0, 1, 0]));
    expect((await compressed.trailers).status).toBe('12');
    const garbage = client();
    garbage.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect((await garbage.trailers).status).toBe('3');
    const late = client();
    late.request(listener, { node: sidecarNode });
    await late.take();
    late.write(Buffer.from([0x3a, 0x7f, 0x01]));
    expect((await late.trailers).status).toBe('3');
    late.request(listener);
    await sleep(20);
    expect(harness.source.proxies.size).toBe(0);
  });

  it('survives bytes that are not HTTP/2, and serves others meanwhile', async () => {
    const good = await start({ resources: [fake.listener('l')] });
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0\0\0\0', 'x'.repeat(100_000)]) {
      const socket = connectTcp(harness.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(bytes);
      await sleep(10);
      socket.destroy();
    }
    good.request(listener, { node: sidecarNode });
    expect((await good.take()).names).toEqual(['l']);
  });

  it('knows no other method, and refuses too many headers', async () => {
    await start();
    const other = client({ path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAll' });
    expect((await other.trailers).status).toBe('12');
    const heavy = client({ headers: { 'x-long': 'x'.repeat(60_000) } });
    heavy.request(cluster, { node: sidecarNode });
    expect((await heavy.trailers).status).toBe('8');
  });

  it('refuses more names than the limit, and a wrong type on a separate stream', async () => {
    const many = await start({ limits: { maxNames: 10 } });
    many.request(typeUrls.endpoints, {
      node: sidecarNode,
      subscribe: Array.from({ length: 11 }, (_, i) => `e${i}`),
    });
    expect((await many.trailers).status).toBe('8');
  });
});

describe('identity', () => {
  const authenticate = (credentials: Credentials) =>
    credentials.bearerToken === 'good'
      ? { ok: true as const, identity: { namespace: 'default', serviceAccount: 'web' } }
      : { ok: false as const, error: 'no valid credential' };

  it('asks who calls, and holds a node to it', async () => {
    const none = await start({ authenticate, resources: [fake.cluster('a')] });
    none.request(cluster, { node: sidecarNode });
    expect(await none.trailers).toEqual({ status: '16', message: 'no valid credential' });
    const headers = { authorization: 'Bearer good' };
    const wrong = client({ headers });
    wrong.request(cluster, { node: sidecarNode });
    expect(await wrong.trailers).toMatchObject({
      status: '7',
      message: expect.stringContaining('default/default'),
    });
    const foreign = client({ headers });
    foreign.request(cluster, {
      node: { ...sidecarNode, metadata: { SERVICE_ACCOUNT: 'web', NAMESPACE: 'x' } },
    });
    expect((await foreign.trailers).status).toBe('7');
    expect(harness.source.proxies.size).toBe(0);
    const right = client({ headers });
    right.request(cluster, { node: { ...sidecarNode, metadata: { SERVICE_ACCOUNT: 'web' } } });
    expect((await right.take()).names).toEqual(['a']);
  });

  it('handles requests that arrive while the first is authenticated, in order', async () => {
    const slow = await start({
      resources: [fake.cluster('a'), fake.listener('l')],
      authenticate: async () => {
        await sleep(30);
        return { ok: true, identity: undefined };
      },
    });
    slow.request(cluster, { node: sidecarNode });
    slow.request(listener);
    expect((await slow.take()).names).toEqual(['a']);
    expect((await slow.take()).names).toEqual(['l']);
  });

  it('serves TLS, with and without a client certificate, and shows it only if it is verified', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ostria-xds-tls-'));
    const openssl = (...args: string[]): void => {
      execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
    };
    const certificate = (name: string): void =>
      openssl(
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
        ...['-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`, '-days', '1'],
      );
    try {
      for (const name of ['server', 'known', 'stranger']) certificate(name);
      const file = (name: string): Buffer => readFileSync(join(directory, name));
      const seen: (string | undefined)[] = [];
      const tls = { key: file('server.key'), cert: file('server.crt'), ca: file('known.crt') };
      harness = await startHarness({
        resources: [fake.cluster('a')],
        listeners: [{ name: 'tls', host: '127.0.0.1', port: 0, tls }],
        authenticate: ({ peerCertificate }) => {
          seen.push(peerCertificate && `${peerCertificate.raw.length > 100}`);
          return { ok: true, identity: undefined };
        },
      });
      for (const name of [undefined, 'known', 'stranger']) {
        const own = name ? { key: file(`${name}.key`), cert: file(`${name}.crt`) } : {};
        const caller = client({ tls: { rejectUnauthorized: false, ...own } });
        caller.request(cluster, { node: sidecarNode });
        expect((await caller.take()).names).toEqual(['a']);
      }
      expect(seen).toEqual([undefined, 'true', undefined]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe('limits', () => {
  it('refuses streams over the limit with a status, and serves again when others end', async () => {
    const first = await start({ limits: { maxStreams: 1 }, resources: [fake.cluster('a')] });
    first.request(cluster, { node: sidecarNode });
    await first.take();
    const second = client();
    expect((await second.trailers).status).toBe('8');
    await first.close();
    await until(() => harness.source.proxies.size === 0);
    const third = client();
    third.request(cluster, { node: sidecarNode });
    expect((await third.take()).names).toEqual(['a']);
  });

  it('accepts connections at a bounded rate, and loses none', async () => {
    harness = await startHarness({
      limits: { acceptBurst: 5, acceptPerSecond: 200 },
      resources: [fake.listener('l')],
    });
    const startedAt = performance.now();
    const many = Array.from({ length: 45 }, () => client());
    for (const [i, one] of many.entries()) one.request(listener, { node: nodeOf(i) });
    await Promise.all(many.map((one) => one.take()));
    expect(performance.now() - startedAt).toBeGreaterThan(150);
  });

  it('ends a stream that says nothing', async () => {
    const mute = await start({ limits: { firstRequestMs: 100, keepaliveMs: 100 } });
    expect((await mute.trailers).status).toBe('3');
  });

  it('ends a connection that has reached its age, and one that answers no ping', async () => {
    const old = await start({
      resources: [fake.cluster('a')],
      limits: { maxConnectionAgeMs: 1_000, connectionAgeJitter: 0.1 },
    });
    old.request(cluster, { node: sidecarNode });
    expect((await old.trailers).status).toBe('14');
    await until(() => old.session.closed);
    await harness.server.stop(100);
    harness = await startHarness({ limits: { keepaliveMs: 60, keepaliveTimeoutMs: 100 } });
    const deaf = connectTcp(harness.port, '127.0.0.1');
    deaf.on('error', () => undefined);
    deaf.resume();
    // The connection preface and an empty SETTINGS frame, then nothing: no answer to pings.
    deaf.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    await new Promise((resolve) => deaf.once('close', resolve));
  });

  it('stops with every stream told', async () => {
    const told = await start({ resources: [fake.cluster('a')] });
    told.request(cluster, { node: sidecarNode });
    await told.take();
    await harness.server.stop(500);
    expect(await told.trailers).toMatchObject({ status: '14' });
    await expect(
      new Promise((resolve, reject) => {
        const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
        session.once('connect', resolve);
        session.once('error', reject);
      }),
    ).rejects.toThrow();
  });
});

describe('slow clients', () => {
  const heavy = (body: string) =>
    Array.from({ length: 200 }, (_, i) => fake.listener(`l${i}`, `${body} ${'x'.repeat(10_000)}`));

  it('keeps no more than one response for a client that reads nothing, delays nobody, and closes it at last', async () => {
    await start({ resources: heavy('0'), limits: { stalledMs: 1_500 } });
    const stalled = client({ window: 1_000 });
    stalled.stream.pause();
    stalled.request(listener, { node: nodeOf(1) });
    const quick = client();
    quick.request(listener, { node: nodeOf(2) });
    await quick.take();
    await until(() => (harness.counters.get('pushes Listener') ?? 0) === 2);
    const old: WeakRef<object>[] = [];
    for (let i = 1; i <= 20; i++) {
      const resources = heavy(String(i));
      if (i < 15) old.push(...resources.map((resource) => new WeakRef(resource)));
      harness.source.edit({ upserts: resources });
      expect((await quick.take()).names.length).toBe(200);
    }
    expect(harness.counters.get('pushes Listener'), 'nothing more was sent to the stalled one').toBe(22);
    await sleep(10);
    collectGarbage();
    const alive = old.filter((reference) => reference.deref() !== undefined);
    expect(alive.length, 'resources that were replaced before they could be sent').toBe(0);
    await until(() => harness.counters.get('stalled stream') === 1);
    await until(() => harness.source.proxies.size === 1);
  });

  it('sends a slow reader the newest state once it has read the last response', async () => {
    await start({ resources: heavy('0') });
    const slow = client({ window: 64 * 1024 });
    slow.request(listener, { node: nodeOf(1) });
    const first = await slow.next();
    for (let i = 1; i <= 5; i++) harness.source.edit({ upserts: heavy(String(i)) });
    slow.ack(first);
    const second = await slow.next();
    expect(Buffer.from(second.resources[0]?.resource?.value ?? []).toString()).toMatch(/^listener l\d+ 5 /);
    await slow.silence(20);
  });
});

describe('1,000 streams', () => {
  it('are all served, each edit once, by shared bytes', async () => {
    harness = await startHarness({
      resources: Array.from({ length: 100 }, (_, i) => fake.cluster(`c${i}`, 'x'.repeat(500), {})),
      limits: { acceptBurst: 2_000, maxStreamsPerConnection: 200 },
    });
    const connections = 8;
    const many: DeltaClient[] = [];
    for (let i = 0; i < 1_000; i++) {
      const shared = many[i % connections];
      many.push(client(i < connections ? {} : { session: shared?.session as never }));
    }
    for (const [i, one] of many.entries()) one.request(cluster, { node: nodeOf(i) });
    for (const one of many) expect((await one.next()).resources.length).toBe(100);
    for (const one of many) one.ack(one.responses[0] as never);
    harness.source.edit({ upserts: [fake.cluster('c7', 'new', {})] });
    for (const one of many) expect((await one.next()).resources.length).toBe(1);
    for (const one of many) one.ack(one.responses[1] as never);
    const result = await harness.ledger.waitFor(harness.source.revision, { timeoutMs: 10_000 });
    expect(result).toEqual({ done: true, waiting: [], rejected: [] });
    expect(harness.ledger.snapshot().length).toBe(1_000);
    expect(harness.counters.get('pushes Cluster')).toBe(2_000);
  });

  it('counts a state-of-the-world stream among them', async () => {
    await start({ resources: [fake.cluster('a')] });
    const sotw = new SotwClient(harness.port);
    open.push(sotw);
    sotw.request(cluster, { node: sidecarNode });
    expect((await sotw.next()).resources.length).toBe(1);
    expect(harness.ledger.snapshot()[0]?.protocol).toBe('sotw');
  });
});

describe('our own failures', () => {
  it('end the stream that they concern, with nothing of the reason, and no other', async () => {
    const hurt = await start({ resources: [fake.listener('l')] });
    const other = client();
    hurt.request(listener, { node: nodeOf(1) });
    other.request(listener, { node: nodeOf(2) });
    await Promise.all([hurt.take(), other.take()]);
    const read = harness.source.resources.bind(harness.source);
    harness.source.resources = (proxyId, typeUrl) => {
      if (proxyId === nodeOf(1).id && typeUrl === cluster) throw new Error('secret reason');
      return read(proxyId, typeUrl);
    };
    hurt.request(cluster);
    const { status, message } = await hurt.trailers;
    expect(status).toBe('13');
    expect(message).not.toContain('secret');
    harness.source.edit({ upserts: [fake.listener('l', 'new')] });
    expect((await other.take()).names).toEqual(['l']);
    expect(harness.source.proxies.size).toBe(1);
  });
});
