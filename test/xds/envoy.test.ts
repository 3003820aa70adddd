import { Agent, createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { typeUrls } from '../../src/snapshot/resource.ts';
import { freePort } from '../support/ports.ts';
import { until } from './fake-envoy.ts';
import { type Harness, startHarness } from './harness.ts';
import { type RealEnvoy, real, startEnvoy } from './real-envoy.ts';

const { cluster, endpoints, listener, route, virtualHost } = typeUrls;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const backends: Server[] = [];
let ports: number[] = [];

beforeAll(async () => {
  for (let i = 0; i < 3; i++) {
    const server = createServer({ keepAliveTimeout: 0 }, (_request, response) =>
      response.end(`backend ${i}`),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    backends.push(server);
  }
  ports = backends.map((server) => (server.address() as AddressInfo).port);
});

afterAll(() => {
  agent.destroy();
  for (const server of backends) server.close();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly stamp: string;
}

function call(port: number, host: string): Promise<Answer> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, agent, headers: { host } }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body,
          stamp: String(response.headers['x-stamp'] ?? ''),
        }),
      );
    });
    request.on('error', (error) => resolve({ status: 0, body: String(error), stamp: '' }));
  });
}

/** Calls in a loop until stopped; counts what was not 200. */
function startLoad(port: number, hosts: readonly string[]) {
  const failures: string[] = [];
  let total = 0;
  let isRunning = true;
  const worker = async (): Promise<void> => {
    while (isRunning) {
      const host = hosts[total % hosts.length] as string;
      total++;
      const answer = await call(port, host);
      if (answer.status !== 200) failures.push(`${host}: ${answer.status} ${answer.body}`);
    }
  };
  const workers = [worker(), worker(), worker()];
  return {
    failures,
    get total() {
      return total;
    },
    async stop() {
      isRunning = false;
      await Promise.all(workers);
    },
  };
}

async function synced(harness: Harness): Promise<void> {
  const result = await harness.ledger.waitFor(harness.source.revision, { timeoutMs: 10_000 });
  expect(result).toMatchObject({ done: true, rejected: [] });
}

describe('a real Envoy', () => {
  let harness: Harness;
  let envoy: RealEnvoy;
  let port = 0;

  beforeAll(async () => {
    port = await freePort();
    const [p0 = 0, p1 = 0] = ports;
    harness = await startHarness({
      resources: [
        real.listener(port, '80'),
        real.route('80'),
        real.host('80', 'a.test', 'a'),
        real.host('80', 'b.test', 'b'),
        real.cluster('a'),
        real.cluster('b'),
        real.endpoints('a', [p0]),
        real.endpoints('b', [p1]),
      ],
      limits: { removalGraceMs: 300 },
    });
    envoy = await startEnvoy(harness.port);
    await synced(harness);
  });

  afterAll(async () => {
    await envoy?.stop();
    await harness?.server.stop(100);
  });

  it('serves requests by clusters, endpoints, listeners, routes and virtual hosts that came by delta ADS', async () => {
    expect(await call(port, 'a.test')).toMatchObject({ status: 200, body: 'backend 0' });
    expect(await call(port, 'b.test')).toMatchObject({ status: 200, body: 'backend 1' });
    expect((await call(port, 'unknown.test')).status).toBe(404);
    const types = harness.ledger.snapshot()[0]?.types.map((type) => [type.typeUrl, type.state, type.held]);
    expect(types).toEqual([
      [cluster, 'SYNCED', 2],
      [endpoints, 'SYNCED', 2],
      [listener, 'SYNCED', 1],
      [route, 'SYNCED', 1],
      [virtualHost, 'SYNCED', 2],
    ]);
  });

  it('takes 200 edits under load without one failed request', async () => {
    const load = startLoad(port, ['a.test', 'b.test']);
    const { source } = harness;
    let present = 'a';
    for (let i = 0; i < 200; i++) {
      const before = load.total;
      const target = ports[i % 3] as number;
      if (i % 5 === 0) source.edit({ upserts: [real.endpoints('b', [target])] });
      else if (i % 5 === 1) source.edit({ upserts: [real.route('80', `edit ${i}`)] });
      else if (i % 5 === 2)
        source.edit({
          upserts: [
            real.cluster('b', { connectTimeout: `${1 + (i % 3)}s` }),
            real.host('80', `extra-${i}.test`, 'b'),
          ],
        });
      else if (i % 5 === 3) {
        const next = `a-${i}`;
        source.edit({
          upserts: [real.host('80', 'a.test', next), real.endpoints(next, [target]), real.cluster(next)],
          removed: { [cluster]: [present], [endpoints]: [present] },
        });
        present = next;
      } else source.edit({ removed: { [virtualHost]: [`80/extra-${i - 2}.test`] } });
      if (i % 2 === 0) await synced(harness);
      await until(() => load.total > before);
    }
    await synced(harness);
    await load.stop();
    expect(load.failures.slice(0, 5)).toEqual([]);
    expect(load.total).toBeGreaterThan(200);
    expect((await call(port, 'a.test')).stamp).toBe('edit 196');
    await until(() => (harness.ledger.snapshot()[0]?.types[0]?.held ?? 0) === 2);
    for (const name of ['cluster_manager.cds', 'listener_manager.lds'])
      expect(await envoy.stat(`${name}.update_rejected`)).toBe(0);
    const clusters = await envoy.admin('/clusters');
    expect(clusters).not.toMatch(/^a::/m);
    expect(clusters).toMatch(new RegExp(`^${present}::`, 'm'));
  });

  it('waits with hosts for a health-checked cluster to be warm', async () => {
    const load = startLoad(port, ['b.test']);
    const checks = [
      {
        timeout: '1s',
        interval: '1s',
        unhealthyThreshold: 1,
        healthyThreshold: 1,
        httpHealthCheck: { path: '/' },
      },
    ];
    for (let i = 0; i < 20; i++) {
      const next = `checked-${i}`;
      harness.source.edit({
        upserts: [
          real.host('80', 'b.test', next),
          real.endpoints(next, [ports[i % 3] as number]),
          real.cluster(
            next,
            { healthChecks: checks, ignoreHealthOnHostRemoval: true },
            { slowWarming: true },
          ),
        ],
      });
      await synced(harness);
      expect((await call(port, 'b.test')).body).toBe(`backend ${i % 3}`);
    }
    await load.stop();
    expect(load.failures.slice(0, 5)).toEqual([]);
  });

  it('gives a route configuration that is added later its hosts, and one that comes back', async () => {
    const later = await freePort();
    const { source } = harness;
    const add = [real.listener(later, '81'), real.route('81'), real.host('81', 'c.test', 'b')];
    for (let round = 0; round < 2; round++) {
      source.edit({ upserts: add });
      await synced(harness);
      await until(() => true);
      expect(await callUntil(later, 'c.test', 200)).toBe(200);
      source.edit({
        removed: { [listener]: [`in-${later}`], [route]: ['81'], [virtualHost]: ['81/c.test'] },
      });
      await synced(harness);
    }
  });

  it('isolates what Envoy rejects, serves the rest, and recovers', async () => {
    const { source, ledger } = harness;
    const events: { resources: readonly string[]; origins: readonly unknown[] }[] = [];
    const recovered: (readonly string[])[] = [];
    const off = [
      ledger.onRejected(({ resources, origins }) => events.push({ resources, origins })),
      ledger.onRecovered(({ resources }) => recovered.push(resources)),
    ];
    source.edit({
      upserts: [
        real.host('80', 'twin.test', 'b'),
        { ...real.host('80', 'twin.test', 'b'), name: '80/twin-2', bytes: twin() },
        real.host('80', 'fine.test', 'b'),
        real.cluster('bad', { lbPolicy: 'CLUSTER_PROVIDED' }),
        real.cluster('worse', { connectTimeout: '-1s' }),
        real.cluster('good'),
        real.endpoints('good', [ports[0] as number]),
      ],
    });
    await until(() => events.length === 3);
    expect(events.map((event) => event.resources)).toEqual(
      expect.arrayContaining([['bad'], ['worse'], [expect.stringMatching(/80\/twin/)]]),
    );
    expect(events[0]?.origins.length).toBe(1);
    expect(await ledger.waitFor(source.revision, { timeoutMs: 10_000 })).toMatchObject({ done: true });
    expect((await call(port, 'fine.test')).status).toBe(200);
    expect((await call(port, 'twin.test')).status).toBe(200);
    const refused = events
      .flatMap((event) => event.resources)
      .find((name) => name.startsWith('80/')) as string;
    source.edit({
      upserts: [real.cluster('bad'), real.cluster('worse')],
      removed: { [virtualHost]: [refused] },
    });
    await until(() => recovered.flat().length === 3);
    for (const stop of off) stop();
    await synced(harness);
  });

  it('takes up where it was when the control plane comes back', async () => {
    const old = harness;
    const listeners = [{ name: 'plaintext', host: '127.0.0.1', port: old.port }];
    const resources = [cluster, endpoints, listener, route, virtualHost].flatMap((typeUrl) => [
      ...old.source.resources('', typeUrl).values(),
    ]);
    const load = startLoad(port, ['b.test']);
    await old.server.stop(100);
    harness = await startHarness({ resources, listeners });
    harness.source.edit({ upserts: [real.host('80', 'new.test', 'b')] });
    await until(() => harness.ledger.snapshot().length > 0);
    await synced(harness);
    expect(await callUntil(port, 'new.test', 200)).toBe(200);
    await load.stop();
    expect(load.failures.slice(0, 5)).toEqual([]);
    expect(harness.counters.get('pushes Cluster') ?? 0, 'clusters were not sent again').toBe(0);
  });

  async function callUntil(toPort: number, host: string, status: number): Promise<number> {
    let answer = await call(toPort, host);
    for (let i = 0; i < 50 && answer.status !== status; i++) answer = await call(toPort, host);
    return answer.status;
  }

  function twin(): Uint8Array {
    const name = Buffer.from('80/twin-2');
    const domain = Buffer.from('twin.test');
    return Buffer.concat([
      Buffer.from([0x0a, name.length]),
      name,
      Buffer.from([0x12, domain.length]),
      domain,
    ]);
  }
});

describe('a real Envoy on a state-of-the-world stream', () => {
  it('is served too, without VHDS', async () => {
    const port = await freePort();
    const [p0 = 0] = ports;
    const harness = await startHarness({
      resources: [
        real.cluster('a'),
        real.endpoints('a', [p0]),
        real.listener(port, '80'),
        real.route('80', '', false),
      ],
    });
    const envoy = await startEnvoy(harness.port, { delta: false });
    try {
      harness.source.edit({
        upserts: [real.cluster('b'), real.endpoints('b', [p0])],
        removed: { [cluster]: ['a'] },
      });
      await synced(harness);
      expect((await call(port, 'any.test')).status).toBe(404);
      await until(() => harness.ledger.snapshot()[0]?.types[0]?.held === 1);
      expect(await envoy.admin('/clusters')).toMatch(/^b::/m);
      expect([...harness.source.proxies.values()][0]?.vhds).toBe(false);
    } finally {
      await envoy.stop();
      await harness.server.stop(100);
    }
  });
});
