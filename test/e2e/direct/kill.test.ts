// kill -9 of one thing at a time, under load: the others' traffic goes on, all comes back, nothing acknowledged is lost.
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ProcessState } from '../../../src/cli/supervisor/managed-process.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import { eventually } from '../../support/bookinfo.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { type LoadResult, startLoad } from '../../support/load.ts';

const rounds = process.env.OSTRIA_NIGHTLY === '1' ? 8 : 1;

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
});
afterAll(() => mesh?.close());

/** Calls by three ways, 300 a second in all. */
const ways = { ingress: '', hello: '', httpbin: '' };
let loads: [keyof typeof ways, ReturnType<typeof startLoad>][] = [];
beforeEach(() => {
  Object.assign(ways, { ingress: mesh.ingress, hello: mesh.helloFromSleep, httpbin: mesh.httpbinFromSleep });
  const names = Object.keys(ways) as (keyof typeof ways)[];
  loads = names.map((name) => [name, startLoad(ways[name], { perSecond: 100 })]);
});
afterEach(async () => {
  await endLoads();
});

async function endLoads(): Promise<Record<string, LoadResult>> {
  const results = await Promise.all(
    loads.splice(0).map(async ([name, load]) => [name, await load.stop()] as const),
  );
  return Object.fromEntries(results);
}

async function expectNoFailure(...names: (keyof typeof ways)[]): Promise<Record<string, LoadResult>> {
  const results = await endLoads();
  for (const name of names) {
    expect([name, summary(results[name]?.failures)]).toEqual([name, {}]);
    expect(results[name]?.answered).toBe(results[name]?.requests);
  }
  return results;
}

/** Calls that begin now are answered, whatever was just killed. */
async function expectTraffic(...names: (keyof typeof ways)[]): Promise<void> {
  await Promise.all(loads.filter(([name]) => names.includes(name)).map(([, load]) => load.goesOn(20)));
}

/** How often each failure happened. */
function summary(failures: readonly string[] = []): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const why of failures) counts[why] = (counts[why] ?? 0) + 1;
  return counts;
}

function pidOf(state: ProcessState | undefined): number {
  if (state?.state !== 'running') throw new Error(`it is ${state?.state}`);
  return state.pid;
}

async function allReady(): Promise<void> {
  await eventually(async () => {
    const { instances, controlPlane } = await mesh.ostria.status();
    expect(controlPlane).toMatchObject({ ready: true });
    expect(instances.filter(({ ready }) => !ready).map(({ name, why }) => `${name}: ${why}`)).toEqual([]);
  }, 40_000);
}

/** An edit reaches every path: the mesh is whole. */
async function expectConverged(mark: string): Promise<void> {
  const set = { headers: { response: { set: { 'x-mark': mark } } } };
  const route = [{ destination: { host: 'helloworld' } }];
  await mesh.apply(
    networkingObject('VirtualService', 'hello-mesh', { hosts: ['helloworld'], http: [{ route, ...set }] }),
    networkingObject('VirtualService', 'helloworld', {
      hosts: ['*'],
      gateways: ['helloworld-gateway'],
      http: [{ route, ...set }],
    }),
  );
  await eventually(async () => {
    for (const url of [ways.ingress, ways.hello]) {
      const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
      await answer.text();
      expect([url, answer.headers.get('x-mark')]).toEqual([url, mark]);
    }
  });
  // Proxies that nobody asked may take the edit a little later.
  await eventually(async () => {
    const { stdout } = await mesh.ostria.run(['proxy-status']);
    expect(stdout.match(/SYNCED/g)?.length).toBeGreaterThan(10);
    expect(stdout).not.toMatch(/STALE|NACKED/);
  });
}

const numbers = Array.from({ length: rounds }, (_, index) => index + 1);

describe.each(numbers)('round %i', (round) => {
  test('an agent: its Envoy serves on, and a new agent takes it over', async () => {
    const envoy = readFileSync(mesh.state('workloads', 'helloworld-v1-0', 'envoy-process.json'), 'utf8');
    for (const name of ['helloworld-v1-0', 'istio-ingressgateway', 'sleep-0']) {
      const agent = async () =>
        pidOf((await mesh.ostria.status()).instances.find((one) => one.name === name)?.agent);
      const before = await agent();
      process.kill(before, 'SIGKILL');
      await expectTraffic('ingress', 'hello', 'httpbin');
      await eventually(async () => expect(await agent()).not.toBe(before));
    }
    await allReady();
    expect(readFileSync(mesh.state('workloads', 'helloworld-v1-0', 'envoy-process.json'), 'utf8')).toBe(
      envoy,
    );
    await expectConverged(`agent-${round}`);
    await expectNoFailure('ingress', 'hello', 'httpbin');
  });

  test('an Envoy: others serve on, and its own path recovers', async () => {
    const note = mesh.state('workloads', 'helloworld-v2-0', 'envoy-process.json');
    const envoy = (): number => (JSON.parse(readFileSync(note, 'utf8')) as { pid: number }).pid;
    const before = envoy();
    const underWay = Object.fromEntries(
      loads.map(([name, { result }]) => [name, result.requests - result.answered - result.failures.length]),
    );
    process.kill(before, 'SIGKILL');
    await expectTraffic('httpbin');
    await eventually(async () => expect(envoy()).not.toBe(before));
    await allReady();
    // Both copies of helloworld answer again.
    for (const url of [ways.ingress, ways.hello]) {
      const seen = new Set<string>();
      await eventually(async () => {
        const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
        expect(answer.status).toBe(200);
        seen.add(/version: (v\d)/.exec(await answer.text())?.[1] ?? '');
        expect([...seen].sort()).toEqual(['v1', 'v2']);
      });
    }
    await expectConverged(`envoy-${round}`);
    const results = await expectNoFailure('httpbin');
    // What was under way in the killed Envoy may be lost, and nothing else: each caller tries another copy.
    for (const name of ['ingress', 'hello'])
      expect(results[name]?.failures.length, name).toBeLessThan(20 + (underWay[name] ?? 0));
  });

  test('the control plane with its store: nobody notices, and what it acknowledged is there', async () => {
    const acknowledged = new Map<string, string>();
    const write = async (name: string): Promise<void> => {
      const object: ConfigObject = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
      };
      const { json } = await mesh.client.request({
        method: 'POST',
        path: '/api/v1/namespaces/default/configmaps',
        body: { ...object, data: { name } },
      });
      acknowledged.set(name, (json as ConfigObject).metadata.resourceVersion ?? '');
    };
    const { controlPlane } = await mesh.ostria.status();
    const before = pidOf(controlPlane.state);
    // Writers that go on until the connection breaks.
    let killed = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let number = 0; !killed || number === 0; number++)
        try {
          await write(`kept-${round}-${writer}-${number}`);
        } catch {
          return;
        }
    });
    await eventually(async () => expect(acknowledged.size).toBeGreaterThan(100));
    process.kill(before, 'SIGKILL');
    killed = true;
    await expectTraffic('ingress', 'hello', 'httpbin');
    await Promise.all(writers);
    await eventually(async () =>
      expect(pidOf((await mesh.ostria.status()).controlPlane.state)).not.toBe(before),
    );
    await allReady();
    // The process is new before it listens.
    let items: ConfigObject[] = [];
    await eventually(async () => {
      ({ items } = await mesh.client.get<{ items: ConfigObject[] }>('/api/v1/namespaces/default/configmaps'));
    });
    const kept = new Map(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
    const lost = [...acknowledged].filter(([name, version]) => kept.get(name) !== version);
    expect(lost).toEqual([]);
    // No version is given out twice: a new write comes after every earlier one.
    await write(`after-${round}`);
    const newest = Math.max(...[...kept.values()].map(Number));
    expect(Number(acknowledged.get(`after-${round}`))).toBeGreaterThan(newest);
    await expectConverged(`control-plane-${round}`);
    await expectNoFailure('ingress', 'hello', 'httpbin');
  });

  test('the supervisor: nobody notices, and the next one adopts what runs', async () => {
    const before = await mesh.ostria.status();
    const mark = `supervisor-${round}`;
    await expectConverged(mark);
    process.kill(before.pid, 'SIGKILL');
    await expectTraffic('ingress', 'hello', 'httpbin');
    await mesh.up();
    const after = await mesh.ostria.status();
    expect(after.pid).not.toBe(before.pid);
    expect(after.instances.map(({ name, app }) => [name, app])).toEqual(
      expect.arrayContaining(
        before.instances.map(({ name, app }) => [name, app && expect.objectContaining({ pid: pidOf(app) })]),
      ),
    );
    await allReady();
    // Edits of objects that the mesh file applies once are not taken back.
    const answer = await fetch(ways.ingress);
    expect(answer.headers.get('x-mark')).toBe(mark);
    await expectConverged(`${mark}-after`);
    await expectNoFailure('ingress', 'hello', 'httpbin');
  });

  test('the supervisor, and meanwhile an application and the control plane', async () => {
    const before = await mesh.ostria.status();
    process.kill(before.pid, 'SIGKILL');
    const v2 = before.instances.find(({ name }) => name === 'helloworld-v2-0');
    process.kill(pidOf(v2?.app), 'SIGKILL');
    process.kill(pidOf(before.controlPlane.state), 'SIGKILL');
    await expectTraffic('httpbin');
    await mesh.up();
    await allReady();
    await expectConverged(`all-${round}`);
    await expectNoFailure('httpbin');
  });
});
