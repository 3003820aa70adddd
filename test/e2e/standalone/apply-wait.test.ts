// `ostria apply --wait`: when it returns, the mesh answers the new way; and it says who does not, and why.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { followDelivery } from '../../../src/cli/apply/wait/follow-delivery.ts';
import { statePaths } from '../../../src/cli/state/state-directory.ts';
import type { ConfigObject } from '../../../src/config/object.ts';
import { type HelloMesh, networkingObject, openHelloMesh } from '../../support/hello-mesh.ts';

vi.setConfig({ testTimeout: 90_000 });

let mesh: HelloMesh;
beforeAll(async () => {
  mesh = await openHelloMesh();
}, 300_000);
afterAll(async () => {
  await mesh?.close();
}, 90_000);

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
  readonly answer: string;
}

/** Calls without a pause on kept connections. */
function callOn(url: string, callers: number) {
  const seen: Seen[] = [];
  let stopped = false;
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const once = (): Promise<string> =>
    new Promise((resolve) => {
      const sent = request(url, { agent, timeout: 10_000 }, (response) => {
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
      seen.push({ begun, answer: await once() });
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
      await expect.poll(() => calls.seen.length, { timeout: 20_000 }).toBeGreaterThan(before + 12);
      edits.push({ version, waited, ended: performance.now() });
    }
  } finally {
    await calls.stop();
  }
  const wrong = edits.flatMap(({ version, waited, ended }) =>
    calls.seen.filter(({ begun, answer }) => begun > waited && begun < ended && answer !== version),
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
  await mesh.remove({
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'broken' },
  });
});
