// `ostria test --real-envoy`: the assertions of test files through stock Envoys, and what differs from the prediction is told.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestResult } from '../../../src/cli/mesh-tests/run-tests.ts';
import { opensslCertificate } from '../../support/authority.ts';
import { type Ostria, openOstria, root } from '../../support/ostria.ts';

let ostria: Ostria;
/** Where runs keep their files, so that what is left shows. */
let temporary: string;

beforeAll(async () => {
  ostria = await openOstria();
  temporary = mkdtempSync(join(tmpdir(), 'o-'));
});
afterAll(async () => {
  await ostria?.close();
  if (temporary) rmSync(temporary, { recursive: true, force: true });
});

/** Envoys of our runs that are alive. */
function envoys(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${temporary}/ostria-test-`)
          ? [Number(pid)]
          : [];
      } catch {
        return [];
      }
    });
}

function run(args: readonly string[], interruptWhen?: () => boolean) {
  const child = spawn(process.execPath, [join(root, 'bin', 'ostria.mjs'), 'test', '--real-envoy', ...args], {
    cwd: root,
    env: { ...ostria.env, TMPDIR: temporary },
  });
  let stdout = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const interrupt = async (): Promise<void> => {
    for (let tries = 0; tries < 400 && child.exitCode === null && !interruptWhen?.(); tries++)
      await sleep(25);
    child.kill('SIGINT');
  };
  if (interruptWhen) void interrupt();
  return ended.then((code) => ({ code, stdout }));
}

test('Bookinfo keeps its promises on Envoy', async () => {
  const { code, stdout } = await run(['samples/bookinfo/bookinfo.mesh-test.yaml']);
  expect(stdout).toMatch(
    /all passed, 4 of 4 as expected .*\n3 through 5 of Envoy 1\.40\.\d+ \(3 requests\), 1 on files alone/,
  );
  expect(stdout).not.toContain('differ');
  expect(code).toBe(0);
  expect(envoys()).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});

const services = ['name: reviews, app: reviews', 'name: ledger, app: ledger'].map((text) => {
  const name = /name: (\w+)/.exec(text)?.[1];
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: 8080 }, { name: any, port: 90, targetPort: 8090 }] }`;
});
const deployments = ['web web', 'reviews-v1 reviews', 'reviews-v2 reviews', 'ledger ledger'].map((text) => {
  const [name, app] = text.split(' ');
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  template:
    metadata: { labels: { app: ${app}, version: ${name} } }
    spec: { serviceAccountName: ${app}, containers: [{ name: app, image: app }] }`;
});
const rules = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: reviews-v1 } }, { name: v2, labels: { version: reviews-v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ uri: { prefix: /api/ } }]
      rewrite: { uri: / }
      headers: { request: { set: { x-from: mesh }, remove: [x-secret] } }
      mirror: { host: reviews, subset: v1 }
      route: [{ destination: { host: reviews, subset: v2 } }]
    - route:
        - { destination: { host: reviews, subset: v1 }, weight: 80 }
        - { destination: { host: reviews, subset: v2 }, weight: 20 }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  selector: { matchLabels: { app: ledger } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/default/sa/web] } }]
      to: [{ operation: { methods: [GET] } }]
---
# The prediction runs no Lua: only an Envoy shows what this does.
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: teapot }
spec:
  workloadSelector: { labels: { app: ledger } }
  configPatches:
    - applyTo: HTTP_FILTER
      match: { context: SIDECAR_INBOUND, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } }
      patch:
        operation: INSERT_BEFORE
        value:
          name: teapot
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code:
              inline_string: |
                function envoy_on_request(handle)
                  if handle:headers():get(":path") == "/tea" then handle:respond({[":status"] = "418"}, "") end
                end`;

const cases = `config: all.yaml
tests:
  - name: split
    from: web
    request: http://reviews/
    expect: { goesTo: [{ workload: reviews-v1, weight: 80 }, { workload: reviews-v2, subset: v2, weight: 20 }] }
  - name: rewritten
    from: web
    request: http://reviews/api/x?y=1
    headers: { x-secret: s, x-keep: k }
    expect: { path: /x?y=1, host: reviews, goesTo: reviews-v2, timeout: none, headers: { x-from: mesh, x-secret: null, x-keep: k } }
  - name: reads
    from: web
    request: http://ledger/
    expect: { allowed: true, goesTo: ledger }
  - name: no writes
    from: web
    request: POST http://ledger/
    expect: { denied: default/readers, status: 403 }
  - name: reads by a port that declares no protocol
    from: web
    request: http://ledger:90/
    expect: { allowed: true, goesTo: ledger }
  - name: no writes there either
    from: web
    request: POST http://ledger:90/
    expect: { denied: default/readers, status: 403 }
  - name: nobody else reads
    from: reviews-v1
    request: http://ledger/
    expect: { denied: true }
  - name: tea
    from: web
    request: http://ledger/tea
    expect: { allowed: true }
  - name: token
    from: web
    request: http://ledger/
    claims: { sub: somebody }
    expect: { allowed: true }
`;

test('routes, headers and policies are seen; what the prediction cannot know is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-cases-'));
  try {
    writeFileSync(join(directory, 'all.yaml'), [...services, ...deployments, rules].join('\n---\n'));
    writeFileSync(join(directory, 'all.mesh-test.yaml'), cases);
    const { code, stdout } = await run([directory, '-o', 'json']);
    const results = new Map((JSON.parse(stdout) as TestResult[]).map((one) => [one.name, one]));
    const tea = results.get('tea');
    expect([...results.values()].filter(({ ok }) => !ok)).toEqual([tea]);
    expect(tea?.mismatches).toMatchObject([{ field: 'allowed', expected: 'true', actual: 'false' }]);
    expect(tea?.envoy?.differences).toEqual(['status 418 on Envoy, reaches ledger.default predicted']);
    expect(results.get('split')?.envoy).toMatchObject({ notChecked: [], differences: [] });
    expect(results.get('rewritten')?.envoy).toMatchObject({ requests: 1, notChecked: ['timeout'] });
    expect(results.get('token')?.envoy).toEqual({ requests: 1, notChecked: [], differences: [] });
    expect(code).toBe(1);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('gRPC, bytes, TLS, tokens and other identities are sent as well', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-cases-'));
  try {
    cpSync(join(root, 'test/support/every-kind'), directory, { recursive: true });
    const { certificate, key } = opensslCertificate({
      directory,
      name: 'shop',
      ca: false,
      names: ['shop.example'],
    });
    const secret = {
      ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls' },
      metadata: { name: 'shop', namespace: 'istio-system' },
      stringData: { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': certificate },
    };
    writeFileSync(join(directory, 'secret.yaml'), JSON.stringify(secret));
    const { code, stdout } = await run([directory, '-o', 'json']);
    const results = JSON.parse(stdout) as TestResult[];
    const plain = { requests: 1, notChecked: [], differences: [] };
    expect(results.map(({ name, ok, envoy }) => [name, ok, envoy])).toEqual(
      results.map(({ name }) => [name, true, plain]),
    );
    expect([results.length, code]).toEqual([18, 0]);
    expect(envoys()).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('an interrupt ends every Envoy', async () => {
  const { code } = await run(['samples/bookinfo'], () => envoys().length > 2);
  expect(code).toBe(130);
  expect(envoys()).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});
