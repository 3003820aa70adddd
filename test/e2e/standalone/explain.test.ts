// `ostria explain` in a running mesh: what it predicts is what real sidecars do, and who decided is who it says.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LiveCheck } from '../../../src/cli/explain/live.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import type { Explanation } from '../../../src/explain/explanation.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
  await mesh.apply(routes, subsets, readers, noSecrets);
  const { code, stderr } = await mesh.ostria.run(['explain', '--from', 'sleep', 'http://httpbin:8000/get']);
  if (code !== 0) throw new Error(stderr);
});
afterAll(async () => {
  await mesh?.close();
});

const subsets = networkingObject('DestinationRule', 'helloworld', {
  host: 'helloworld',
  subsets: ['v1', 'v2', 'v9'].map((version) => ({ name: version, labels: { version } })),
});

const to = (subset: string) => [{ destination: { host: 'helloworld', subset } }];
const routes = networkingObject('VirtualService', 'hello-sleep', {
  hosts: ['helloworld'],
  http: [
    {
      match: [{ uri: { prefix: '/teapot' } }],
      fault: { abort: { percentage: { value: 100 }, httpStatus: 418 } },
      route: to('v1'),
    },
    { match: [{ uri: { prefix: '/moved' } }], redirect: { uri: '/hello' } },
    { match: [{ uri: { prefix: '/nobody' } }], route: to('v9') },
    { match: [{ headers: { tester: { exact: 'yes' } } }], route: to('v2') },
    { match: [{ uri: { prefix: '/hello' } }], route: to('v1') },
  ],
});

const policy = (name: string, spec: object): ConfigObject => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name, namespace: 'default' },
  spec,
});
const readers = policy('readers', {
  selector: { matchLabels: { app: 'helloworld' } },
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});
const noSecrets = policy('no-secrets', {
  selector: { matchLabels: { app: 'helloworld' } },
  action: 'DENY',
  rules: [{ to: [{ operation: { paths: ['/hello/secret*'] } }] }],
});

type Told = Explanation & { readonly live: LiveCheck };

async function live(...args: readonly string[]): Promise<{ told: Told; code: number | null }> {
  const { code, stdout, stderr } = await mesh.ostria.run(['explain', '--live', '-o', 'json', ...args]);
  if (stdout === '') throw new Error(stderr);
  return { told: JSON.parse(stdout) as Told, code };
}

const helloworld = 'http://helloworld:5000';

test.each([
  ['a request that is served', ['--from', 'sleep', `${helloworld}/hello`], 'delivered', 200, 0],
  [
    'a header that decides',
    ['--from', 'sleep', `${helloworld}/hello`, '-H', 'tester: yes'],
    'delivered',
    200,
    0,
  ],
  ['a rule that refuses', ['--from', 'sleep', `${helloworld}/hello/secret/1`], 'denied', 403, 11],
  ['no rule that allows', ['--from', 'sleep', 'POST', `${helloworld}/hello`], 'denied', 403, 11],
  ['a fault', ['--from', 'sleep', `${helloworld}/teapot`], 'answered', 418, 0],
  ['a redirect', ['--from', 'sleep', `${helloworld}/moved`], 'answered', 301, 0],
  ['a subset without pods', ['--from', 'sleep', `${helloworld}/nobody`], 'fails', 503, 11],
  ['no route', ['--from', 'sleep', `${helloworld}/elsewhere`], 'fails', 404, 11],
  ['a client outside', ['--from', 'ingress', 'http://localhost/hello'], 'delivered', 200, 0],
  ['a client outside whom no route takes', ['--from', 'ingress', 'http://localhost/x'], 'fails', 404, 11],
] as const)('%s: prediction and reality agree', async (_, args, outcome, status, exit) => {
  const { told, code } = await live(...args);
  expect(told.live.comparisons.filter(({ agrees }) => !agrees)).toEqual([]);
  expect([told.verdict.outcome, told.live.reply.status, code]).toEqual([outcome, status, exit]);
  expect(told.live.comparisons.length).toBeGreaterThan(0);
});

test('the object that decides is the one that Envoy names', async () => {
  const { told } = await live('--from', 'sleep', `${helloworld}/hello/secret/1`);
  expect(told.verdict.by).toMatchObject({
    kind: 'AuthorizationPolicy',
    name: 'no-secrets',
    path: 'spec.rules[0]',
  });
  expect(told.live.comparisons.map(({ what }) => what)).toContain('policy');
  const served = await live('--from', 'sleep', `${helloworld}/hello`);
  expect(served.told.live.comparisons.map(({ what }) => what)).toEqual(['answer', 'route', 'destination']);
});

test('metrics of a call that found nobody name whom it was for', async () => {
  await live('--from', 'sleep', `${helloworld}/nobody`);
  const { ports } = JSON.parse(readFileSync(mesh.state('ports.json'), 'utf8')) as {
    ports: Record<string, number>;
  };
  const series = async (): Promise<string | undefined> => {
    const answer = await fetch(`http://127.0.0.1:${ports['sleep-0/metrics']}/stats/prometheus`);
    return (await answer.text())
      .split('\n')
      .find((line) => line.startsWith('istio_requests_total{') && line.includes('response_flags="UH"'));
  };
  // Envoy tells its counters every five seconds.
  for (let wait = 0; wait < 40 && (await series()) === undefined; wait++)
    await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await series()).toContain('destination_service="helloworld.default.svc.cluster.local"');
});

test('the mesh can be asked as it was', async () => {
  const before = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await mesh.remove(noSecrets);
  const ask = async (...args: readonly string[]): Promise<Explanation> => {
    const { stdout, stderr } = await mesh.ostria.run([
      ...['explain', '-o', 'json', '--from', 'sleep', `${helloworld}/hello/secret/1`, ...args],
    ]);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as Explanation;
  };
  expect((await ask()).verdict.outcome).toBe('delivered');
  expect((await ask('--at', new Date(before).toISOString())).verdict).toMatchObject({
    outcome: 'denied',
    status: 403,
  });
});
