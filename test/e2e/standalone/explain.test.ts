// `ostria explain` in a running mesh: what it predicts is what real sidecars do, and who decided is who it says.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LiveCheck } from '../../../src/cli/explain/live.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import type { Explanation } from '../../../src/explain/explanation.ts';
import { opensslCertificate } from '../../support/authority.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';
import { root } from '../../support/ostria.ts';
import { startTokenMaker } from '../../support/tokens.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ostria-explain-'));
const file = (name: string, text: string): string => {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
};
const { certificate, key } = opensslCertificate({ directory: scratch, name: 'sealed', names: ['sealed'] });
const bytes = `node ${join(root, 'test', 'support', 'bytes-program.ts')}`;
/** An echo of bytes that `httpbin` alone may call, one that ends TLS itself, and a client without a say. */
const services = `
  echo: { command: ${bytes}, ports: ["7000/tcp"] }
  sealed:
    command: ${bytes}
    ports: ["7443/tls"]
    environment:
      TLS_CERTIFICATE: ${file('sealed.crt', certificate)}
      TLS_KEY: ${file('sealed.pem', key)}
`;

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh([], '', services);
  await mesh.apply(routes, subsets, readers, noSecrets, friends, issuer, membersOnly);
  const { code, stderr } = await mesh.ostria.run(['explain', '--from', 'sleep', 'http://httpbin:8000/get']);
  if (code !== 0) throw new Error(stderr);
});
afterAll(async () => {
  await mesh?.close();
  rmSync(scratch, { recursive: true, force: true });
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

const friends = policy('friends', {
  selector: { matchLabels: { app: 'echo' } },
  rules: [{ from: [{ source: { principals: ['cluster.local/ns/default/sa/httpbin'] } }] }],
});
const tokens = startTokenMaker();
const issuer: ConfigObject = {
  apiVersion: 'security.istio.io/v1',
  kind: 'RequestAuthentication',
  metadata: { name: 'issuer', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'httpbin' } },
    jwtRules: [{ issuer: 'tester', jwks: tokens.keys }],
  },
};
const membersOnly = policy('members-only', {
  selector: { matchLabels: { app: 'httpbin' } },
  action: 'DENY',
  rules: [
    {
      from: [{ source: { notRequestPrincipals: ['tester/*'] } }],
      to: [{ operation: { paths: ['/anything/members*'] } }],
    },
  ],
});
const token = (subject: string, life: number): string =>
  file(
    `${subject}.jwt`,
    tokens.sign({ iss: 'tester', sub: subject, exp: Math.floor(Date.now() / 1_000) + life }),
  );

type Told = Explanation & { readonly live: LiveCheck };

/** Sent once for each question, whichever tests ask it. */
const sent = new Map<string, Promise<{ told: Told; code: number | null }>>();

function live(...args: readonly string[]): Promise<{ told: Told; code: number | null }> {
  const known = sent.get(args.join(' ')) ?? send(args);
  sent.set(args.join(' '), known);
  return known;
}

async function send(args: readonly string[]): Promise<{ told: Told; code: number | null }> {
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

const members = 'http://httpbin:8000/anything/members';
const jwt = (subject: string, life: number) => ['--jwt', token(subject, life)];
test.each([
  ['TLS that the application ends', ['tls://sealed:7443'], 'delivered', 'connection', 0],
  ['bytes to a port of HTTP', ['tcp://helloworld:5000'], 'fails', 'status', 11],
  ['HTTP/2 from the start', [`grpc://helloworld:5000/hello`], 'delivered', 'answer', 0],
  ['a token', [members, ...jwt('ann', 3_600)], 'delivered', 'answer', 0],
  ['a token that is too old', [members, ...jwt('old', -3_600)], 'denied', 'status', 11],
] as const)('%s: prediction and reality agree', async (_, args, outcome, compared, exit) => {
  const { told, code } = await live('--from', 'sleep', ...args);
  expect(told.live.comparisons.filter(({ agrees }) => !agrees)).toEqual([]);
  expect(told.live.comparisons[0]?.what).toBe(compared);
  expect([told.verdict.outcome, code]).toEqual([outcome, exit]);
});

test('bytes that a policy refuses name it, and another’s identity is proved by its own sidecar', async () => {
  const refused = await live('--from', 'sleep', 'tcp://echo:7000');
  expect([refused.told.verdict.outcome, refused.told.live.agrees, refused.code]).toEqual([
    'denied',
    true,
    11,
  ]);
  expect(refused.told.live.comparisons).toMatchObject([
    { what: 'connection', real: 'closed (RBAC)' },
    { what: 'destination' },
    { what: 'policy', real: 'no rule allows it' },
  ]);
  const allowed = await live('--from', 'sleep', 'tcp://echo:7000', '--as', 'default/httpbin');
  expect([allowed.told.verdict.outcome, allowed.told.live.agrees, allowed.code]).toEqual([
    'delivered',
    true,
    0,
  ]);
  expect(allowed.told.live.through).toBe('default/httpbin-0');
  const nobody = await mesh.ostria.run([
    ...['explain', '--live', '--from', 'sleep', 'tcp://echo:7000', '--as', 'default/nobody'],
  ]);
  expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining('nobody else can prove to be')]);
});

test('whether a host answers that nobody declares is found out by sending alone', async () => {
  const url = 'http://helowrld:5000/hello';
  const asked = await mesh.ostria.run(['explain', '--from', 'sleep', url]);
  expect(asked.code).toBe(13);
  expect(asked.stdout).toMatch(/\? GET http:\/\/helowrld.*did you mean helloworld\?/);
  const { told, code } = await live('--from', 'sleep', url);
  expect([told.verdict.outcome, told.live.settles, told.live.answered, code]).toEqual([
    'unknown',
    true,
    false,
    11,
  ]);
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
