// `ostria apply --wait` and what goes with it: when it returns, the mesh answers the new way, or says who does not, or is as it was.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { followDelivery } from '../../../src/cli/apply/wait/follow-delivery.ts';
import { statePaths } from '../../../src/cli/state/state-directory.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import type { HistoryListing } from '../../../src/control-plane/history/history-entry.ts';
import type { RolloutReport } from '../../../src/control-plane/rollout/rollout-report.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
});
afterAll(async () => {
  await mesh?.close();
});

const subsets = networkingObject('DestinationRule', 'helloworld', {
  host: 'helloworld',
  subsets: ['v1', 'v2'].map((version) => ({ name: version, labels: { version } })),
});

const routeTo = (subset: string): ConfigObject =>
  networkingObject('VirtualService', 'hello-sleep', {
    hosts: ['helloworld'],
    http: [{ route: [{ destination: { host: 'helloworld', subset } }] }],
  });

const file = (...objects: ConfigObject[]): string => objects.map((object) => stringify(object)).join('---\n');

interface Seen {
  readonly begun: number;
  readonly ended: number;
  readonly answer: string;
}

/** Calls without a pause on kept connections. */
function callOn(url: string, callers: number) {
  const seen: Seen[] = [];
  let stopped = false;
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const once = (): Promise<string> =>
    new Promise((resolve) => {
      const sent = request(url, { agent, timeout: 30_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(/version: (v\d)/.exec(body)?.[1] ?? String(response.statusCode)));
      });
      sent.on('timeout', () => sent.destroy(new Error('timed out')));
      sent.on('error', (error) => resolve(error.message));
      sent.end();
    });
  const caller = async (): Promise<void> => {
    while (!stopped) {
      const begun = performance.now();
      const answer = await once();
      seen.push({ begun, ended: performance.now(), answer });
    }
  };
  const all = Array.from({ length: callers }, caller);
  return {
    seen,
    async stop(): Promise<void> {
      stopped = true;
      await Promise.all(all);
      agent.destroy();
    },
  };
}

test('under load, no request that begins after the wait is answered the old way', async () => {
  await mesh.apply(subsets, routeTo('v1'));
  const calls = callOn(mesh.helloFromSleep, 4);
  const paths = statePaths(mesh.state());
  const edits: { version: string; waited: number; ended: number }[] = [];
  try {
    for (let number = 0; number < 30; number++) {
      const version = number % 2 === 0 ? 'v2' : 'v1';
      await mesh.apply(routeTo(version));
      const written = Number((await mesh.read(routeTo(version))).metadata.resourceVersion);
      const state = await followDelivery(
        mesh.client,
        { first: written, last: written },
        { timeoutMs: 20_000, signal: new AbortController().signal, mesh: paths },
      );
      const waited = performance.now();
      expect(state).toMatchObject({ done: true, warming: { warming: [], unasked: [] } });
      expect(state.report.concerned).toBeGreaterThan(0);
      const before = calls.seen.length;
      await expect.poll(() => calls.seen.length).toBeGreaterThan(before + 12);
      edits.push({ version, waited, ended: performance.now() });
    }
  } finally {
    await calls.stop();
  }
  const wrong = edits.flatMap(({ version, waited, ended }) =>
    // One that is still on its way when the next edit is made may be answered by that.
    calls.seen.filter((call) => call.begun > waited && call.ended < ended && call.answer !== version),
  );
  console.log(JSON.stringify({ requests: calls.seen.length, edits: edits.length, wrong: wrong.length }));
  expect(wrong).toEqual([]);
});

test('a proxy that does not answer is named, with what it lacks and since when', async () => {
  const note = readFileSync(mesh.state('workloads', 'sleep-0', 'envoy-process.json'), 'utf8');
  const { pid: envoy } = JSON.parse(note) as { pid: number };
  process.kill(envoy, 'SIGSTOP');
  try {
    const late = await mesh.ostria.run(['apply', '-f', '-', '--wait', '--timeout', '2s'], {
      input: file(routeTo('v2')),
    });
    expect(late.code).toBe(8);
    expect(late.stderr).toMatch(
      /sleep-0\.default {2}VirtualHost: sent and not answered for \d\.\d s; it acknowledged one \d+(\.\d)? s ago/,
    );
    expect(late.stderr).not.toContain('httpbin-0.default  ');
  } finally {
    process.kill(envoy, 'SIGCONT');
  }
  const again = await mesh.ostria.run(['apply', '-f', '-', '--wait'], { input: file(routeTo('v1')) });
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).toMatch(/All \d proxies concerned answer the new way/);
  const same = await mesh.ostria.run(['apply', '-f', '-', '--wait'], { input: file(routeTo('v1')) });
  expect(same).toMatchObject({ code: 0 });
  expect(same.stdout).toContain('there is nothing to wait for');
});

test('a permission that was taken away is used once more per kept connection at most', async () => {
  await mesh.apply(subsets, routeTo('v1'));
  await expect.poll(answerOf).toBe('v1');
  const shut: ConfigObject = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'shut', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'helloworld' } }, action: 'DENY', rules: [{}] },
  };
  try {
    const wait = await mesh.ostria.run(['apply', '-f', '-', '--wait'], { input: file(shut) });
    expect(wait).toMatchObject({ code: 0 });
    const answers: (string | undefined)[] = [];
    for (let count = 0; count < 8; count++) answers.push(await answerOf());
    // The sidecar of the caller keeps one connection, or one more where one was full.
    expect(answers.filter((answer) => answer !== undefined).length).toBeLessThanOrEqual(2);
    expect(answers.slice(4)).toEqual(Array(4).fill(undefined));
  } finally {
    await mesh.remove(shut);
  }
  await expect.poll(answerOf, { timeout: 30_000 }).toBe('v1');
});

const brokenFilter: ConfigObject = {
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name: 'broken', namespace: 'default' },
};

const brokenLua = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: broken
spec:
  workloadSelector: { labels: { app: httpbin } }
  configPatches:
    - applyTo: HTTP_FILTER
      match: { context: SIDECAR_INBOUND }
      patch:
        operation: INSERT_FIRST
        value:
          name: lua
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: { inline_string: "this is no program" }
`;

test('what Envoy refuses is told in its own words at the line of the file', async () => {
  const refused = await mesh.ostria.run(['apply', '-f', '-', '--wait'], { input: brokenLua });
  expect(refused.code).toBe(9);
  expect(refused.stderr).toMatch(
    /rejected: <standard input>:4:3: EnvoyFilter broken: httpbin-0\.default refused Listener .*script load error/,
  );
  await mesh.remove(brokenFilter);
});

test('a refused change is taken back: what was there is restored, what is new is deleted', async () => {
  await mesh.apply(routeTo('v1'));
  const before = (await mesh.read(routeTo('v1'))).spec;
  const input = `${file(routeTo('v2'), subsets)}---\n${brokenLua}`;
  const back = await mesh.ostria.run(['apply', '-f', '-', '--auto-rollback'], { input });
  expect(back.code).toBe(10);
  expect(back.stdout).toContain('virtualservice.networking.istio.io/hello-sleep restored');
  expect(back.stdout).toContain('envoyfilter.networking.istio.io/broken deleted');
  const [, revision] = /ostria rollback (\d+) takes it back/.exec(back.stderr) ?? [];
  expect(Number(revision)).toBeGreaterThan(0);
  expect((await mesh.read(routeTo('v1'))).spec).toEqual(before);
  await expect(mesh.read(brokenFilter)).rejects.toThrow('not found');
  // What a rollback wrote is nobody's: the same file goes on where it was.
  const again = await mesh.ostria.run(['apply', '-f', '-', '--wait'], { input: file(routeTo('v2')) });
  expect(again).toMatchObject({ code: 0 });
});

test('a change that makes requests fail is taken back, and what failed before does not count', async () => {
  await mesh.apply(routeTo('v1'));
  const calls = callOn(mesh.helloFromSleep, 2);
  try {
    const failing = networkingObject('VirtualService', 'hello-sleep', {
      hosts: ['helloworld'],
      http: [
        {
          fault: { abort: { percentage: { value: 60 }, httpStatus: 503 } },
          route: [{ destination: { host: 'helloworld' } }],
        },
      ],
    });
    const flags = ['--auto-rollback', '--max-error-rate', '10%', '--observe', '20s'];
    const back = await mesh.ostria.run(['apply', '-f', '-', ...flags], { input: file(failing) });
    expect(back.stderr).toMatch(/errors: \d+\.\d % .* 0\.0 % \(0 of \d+\) before/);
    expect(back.code).toBe(10);
    const restored = calls.seen.length;
    await expect.poll(() => calls.seen.length).toBeGreaterThan(restored + 20);
    expect(new Set(calls.seen.slice(restored + 4).map(({ answer }) => answer))).toEqual(new Set(['v1']));
  } finally {
    await calls.stop();
  }
});

const post = async (path: string, body?: unknown): Promise<RolloutReport> =>
  (await mesh.client.request({ method: 'POST', path, ...(body === undefined ? {} : { body }) }))
    .json as RolloutReport;

const answerOf = async (): Promise<string | undefined> =>
  /version: (v\d)/.exec(await (await fetch(mesh.helloFromSleep)).text())?.[1];

test('a change is tried by the share of proxies that it is given to, and by nobody else', async () => {
  await mesh.apply(subsets, routeTo('v1'));
  await expect.poll(answerOf).toBe('v1');
  const stored = (await mesh.read(routeTo('v1'))).spec;
  const begun = await post('/debug/rollout', { objects: [routeTo('v2')], share: 0.01 });
  const id = `id=${begun.id}`;
  try {
    expect(begun).toMatchObject({ state: 'trying' });
    expect(begun.members).toHaveLength(1);
    // Gateways do not read routes of the mesh.
    expect(begun.concerned).toBe(4);
    await expect
      .poll(() => post(`/debug/rollout/report?${id}&timeout=2000`))
      .toMatchObject({ delivery: { done: true, concerned: 1, acknowledged: 1 } });
    const triedBySleep = begun.members.some((member) => member.includes('~sleep-0.'));
    expect(await answerOf()).toBe(triedBySleep ? 'v2' : 'v1');
    const all = await post(`/debug/rollout/step?${id}&share=1`);
    expect(all.members).toHaveLength(4);
    expect(all.members[0]).toBe(begun.members[0]);
    await expect.poll(answerOf).toBe('v2');
    expect((await mesh.read(routeTo('v1'))).spec).toEqual(stored);
  } finally {
    await post(`/debug/rollout/end?${id}`);
  }
  await expect.poll(answerOf).toBe('v1');
  const canary = await mesh.ostria.run(['apply', '-f', '-', '--canary', '10%,50%'], {
    input: file(routeTo('v2')),
  });
  // Who calls the host tries it first.
  expect(canary.stdout).toMatch(
    /Trying it on 1 proxy of 4: sleep-0\.default\nTrying it on 2 proxies of 4: sleep-0/,
  );
  expect(canary).toMatchObject({ code: 0 });
  expect(await answerOf()).toBe('v2');
  const never = await mesh.ostria.run(['apply', '-f', '-', '--canary', '10%'], { input: brokenLua });
  expect(never.code).toBe(10);
  expect(never.stderr).toMatch(
    /rejected: .*EnvoyFilter broken: httpbin-0\.default refused Listener .*script load error/,
  );
  expect(never.stderr).toContain('Nothing was applied');
  await expect(mesh.read(brokenFilter)).rejects.toThrow('not found');
});

test('a control plane that is started anew in the middle is back to what was, and says so', async () => {
  await mesh.apply(subsets, routeTo('v1'));
  const begun = await post('/debug/rollout', { objects: [routeTo('v2')], share: 1 });
  await expect.poll(answerOf).toBe('v2');
  const { controlPlane } = await mesh.ostria.status();
  process.kill((controlPlane.state as { pid: number }).pid, 'SIGKILL');
  await expect.poll(answerOf, { timeout: 60_000 }).toBe('v1');
  await expect
    .poll(() => post(`/debug/rollout/report?id=${begun.id}`).catch((error: Error) => error.message))
    .toContain('there is no such rollout: it has ended, or the control plane was started anew');
});

test('the past survives the control plane: history, diff, get --at and rollback', async () => {
  const ok = (...args: string[]) => mesh.ostria.run(args);
  expect(await ok('history', '--since', '1m', '--until', '1h')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--since 1m is later than --until 1h'),
  });
  const past = JSON.parse((await ok('history', 'vs/hello-sleep', '-o', 'json')).stdout) as HistoryListing;
  const [newest] = past.changes;
  expect(past.changes.length).toBeGreaterThan(10);
  expect(newest).toMatchObject({ key: 'default/hello-sleep', by: 'ostria' });
  const was = (await mesh.read(routeTo('v1'))).spec;
  const from = String(newest?.revision);
  await mesh.apply(routeTo('v2'));
  await mesh.remove(subsets);
  const differs = await ok('diff', from);
  expect(differs.code).toBe(1);
  expect(differs.stdout).toMatch(/-\s+subset: v1\n\+\s+subset: v2/);
  expect(differs.stdout).toContain('+++ /dev/null');
  expect((await ok('diff', from, from)).code).toBe(0);
  const then = await ok('get', 'vs', 'hello-sleep', '--at', from, '-o', 'json');
  expect((JSON.parse(then.stdout) as ConfigObject).spec).toEqual(was);
  const dry = await ok('rollback', from, '--dry-run');
  expect(dry.stdout).toMatch(/-\s+subset: v2\n\+\s+subset: v1/);
  const back = await ok('rollback', from, '--wait');
  expect(back).toMatchObject({ code: 0 });
  expect(back.stdout).toMatch(/(All \d proxies|The 1 proxy) concerned answers? the new way/);
  expect(back.stdout).toContain('destinationrule.networking.istio.io/helloworld created');
  expect(back.stdout).toContain('virtualservice.networking.istio.io/hello-sleep restored');
  expect((await mesh.read(routeTo('v1'))).spec).toEqual(was);
  expect((await ok('rollback', from)).stdout).toContain('Nothing differs from');
  await expect.poll(answerOf).toBe('v1');
  const files = await mesh.ostria.run(['diff', '-f', '-'], { input: file(routeTo('v1'), subsets) });
  expect(files).toMatchObject({ code: 0, stdout: '' });
  const others = await mesh.ostria.run(['diff', '-f', '-'], { input: file(routeTo('v2')) });
  expect(others.code).toBe(1);
  expect(others.stdout).toMatch(/-\s+subset: v1\n\+\s+subset: v2/);
  expect((await ok('diff', '2001-01-01')).code).toBe(4);
  const gone = await ok('delete', 'vs/hello-sleep', '--canary', '10%');
  expect(gone).toMatchObject({ code: 0 });
  expect(gone.stdout).toMatch(
    /^Trying it on 1 proxy of 4: sleep-0.default\n.* deleted\n(All \d proxies|The 1 proxy) concerned answers? the new way/,
  );
  const missing = await ok('delete', 'vs/hello-sleep', '--wait', '--ignore-not-found');
  expect(missing.stdout).toContain('there is nothing to wait for');
});
