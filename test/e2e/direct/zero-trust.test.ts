// The way of docs/guides/zero-trust.md, as a user goes it: what is open, what is needed, tried first, then enforced, and why a call fails.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parseYamlDocuments } from '../../../src/config/yaml-documents.ts';
import type { AuthorizationPolicy } from '../../../src/features/security/authorization-policy/schema.ts';
import { type HelloMesh, openHelloMesh } from '../../support/hello-mesh.ts';

let mesh: HelloMesh;
let file: string;
let httpbin: string;

beforeAll(async () => {
  mesh = await openHelloMesh();
  file = join(mesh.ostria.home, 'suggested.yaml');
  httpbin = new URL(mesh.httpbinFromSleep).origin;
});
afterAll(() => mesh?.close());

const status = async (url: string, method = 'GET') =>
  (await fetch(url, { method, signal: AbortSignal.timeout(30_000) })).status;
const run = (...args: string[]) => mesh.ostria.run(args);
const json = async (...args: string[]) => {
  const { stdout, stderr } = await run(...args, '-o', 'json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
};

test('security check tells what is open, and ends by the threshold', async () => {
  const findings = (await json('security', 'check')) as { code: string; resource: string }[];
  const about = findings.map(({ code, resource }) => `${code} ${resource}`);
  expect(about).toEqual(
    expect.arrayContaining(['NoAuthorizationPolicy Service default/httpbin', 'LocalProcesses this machine']),
  );
  expect(about.filter((text) => text.startsWith('Mtls'))).toEqual([]);
  expect((await run('security', 'check')).code).toBe(0);
  expect((await run('security', 'check', '--failure-threshold', 'Medium')).code).toBe(3);
});

test('policy suggest proposes what was seen, in dry run, and nothing of it would have been refused', async () => {
  let observing = true;
  const suggesting = run('policy', 'suggest', '--observe', '4s').finally(() => {
    observing = false;
  });
  for (let call = 0; observing; call++) {
    expect(await status(`${httpbin}/anything/${call}`)).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { code, stdout, stderr } = await suggesting;
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/default\/httpbin: 1 rule, 0 of \d+ observed calls refused/),
  ]);
  const policies = parseYamlDocuments(stdout, 'suggested.yaml').objects.map(
    ({ object }) => object as AuthorizationPolicy,
  );
  const proposed = policies.find(({ metadata }) => metadata.name === 'httpbin-observed');
  expect(proposed?.metadata.annotations).toEqual({ 'istio.io/dry-run': 'true' });
  expect(proposed?.spec?.rules).toEqual([
    {
      from: [{ source: { principals: [expect.stringMatching(/^cluster\.local\/ns\/default\/sa\//)] } }],
      to: [{ operation: { methods: ['GET'], paths: ['/anything/{*}'] } }],
    },
  ]);
  writeFileSync(file, stdout);
  const checked = await run('policy', 'check', '-f', file);
  expect([checked.code, checked.stdout]).toEqual([
    0,
    expect.stringMatching(/^0 of \d+ recorded calls would be refused/),
  ]);
});

test('tried: nothing is refused, and what would have been is told', async () => {
  expect((await run('apply', '-f', file, '--wait')).code).toBe(0);
  await vi.waitFor(
    async () => {
      // A connection from before may be judged by the chain that is drained: its answer closes it.
      expect(await status(`${httpbin}/anything/1`, 'POST')).toBe(200);
      const { code, stdout } = await run('policy', 'check');
      expect([code, stdout]).toEqual([3, expect.stringContaining('wants methods GET; the call has POST')]);
    },
    { timeout: 30_000, interval: 500 },
  );
});

test('enforced: the refusal names the policy in force, what it misses and the line where that stands', async () => {
  const { stdout } = await run('policy', 'suggest', 'httpbin', '--enforce');
  // The POST of the step before was answered, so that it would be let in too.
  writeFileSync(file, stdout.replace(/ +- POST\n/, ''));
  expect((await run('apply', '-f', file, '--wait')).code).toBe(0);
  expect(await status(`${httpbin}/anything/1`)).toBe(200);
  await vi.waitFor(async () => expect(await status(`${httpbin}/headers`)).toBe(403), { timeout: 30_000 });
  await vi.waitFor(
    async () => {
      const groups = await json('logs', '--failed', 'httpbin');
      const refused = groups.find(
        ({ kind, code }: { kind: string; code: string }) => kind === 'failed' && code === 'RBAC',
      );
      expect(refused?.nearMiss.policies).toEqual([
        { origin: 'AuthorizationPolicy/default/httpbin-observed', position: { file, line: 2, column: 1 } },
      ]);
      const missed = refused.nearMiss.conditions.filter(({ holds }: { holds: string }) => holds === 'no');
      expect(missed).toMatchObject([
        { wanted: 'paths /anything/{*}', found: '/headers', position: { file } },
      ]);
    },
    { timeout: 30_000, interval: 500 },
  );
});
