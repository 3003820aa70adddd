import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatJunit } from '../cli/mesh-tests/format-results.ts';
import { findTestFiles, runTestFiles } from '../cli/mesh-tests/run-tests.ts';
import { expectCall, expectUnreachable, mesh, type TestMesh } from './main.ts';

const configuration = `
apiVersion: v1
kind: Service
metadata: { name: ledger, namespace: pay }
spec: { selector: { app: ledger }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ledger, namespace: pay }
spec:
  selector: { matchLabels: { app: ledger } }
  template: { metadata: { labels: { app: ledger, version: v1 } }, spec: { serviceAccountName: ledger, containers: [{ name: app }] } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template: { metadata: { labels: { app: web } }, spec: { serviceAccountName: web, containers: [{ name: app }] } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ledger, namespace: pay }
spec:
  hosts: [ledger.pay.svc.cluster.local]
  http:
    - match: [{ uri: { prefix: /api/ } }]
      rewrite: { uri: / }
      headers: { request: { set: { x-from: mesh }, remove: [x-secret] } }
      timeout: 3s
      retries: { attempts: 4, perTryTimeout: 1s }
      route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
    - match: [{ uri: { exact: /old } }]
      redirect: { uri: /new }
    - route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: readers, namespace: pay }
spec:
  selector: { matchLabels: { app: ledger } }
  rules: [{ from: [{ source: { namespaces: [shop] } }], to: [{ operation: { methods: [GET] } }] }]
`;

const split = `
apiVersion: v1
kind: Service
metadata: { name: tea }
spec: { selector: { app: tea }, ports: [{ name: http, port: 80 }] }
${['tea-v1', 'tea-v2', 'web-v1']
  .map((name) => {
    const [app, version] = name.split('-');
    return `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${app}, version: ${version} } }
  template: { metadata: { labels: { app: ${app}, version: ${version} } }, spec: { containers: [{ name: app }] } }
`;
  })
  .join('')}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: tea }
spec: { host: tea, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: tea }
spec:
  hosts: [tea]
  http:
    - route:
        - { destination: { host: tea, subset: v1 }, weight: 80 }
        - { destination: { host: tea, subset: v2 }, weight: 20 }
`;

const get = (path: string, more: object = {}) => ({
  from: 'web.shop',
  request: `GET http://ledger.pay:8080${path}`,
  ...more,
});

describe('assertions on a mesh', () => {
  let directory: string;
  let tested: TestMesh;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ostria-testing-'));
    writeFileSync(join(directory, 'all.yaml'), configuration);
    tested = await mesh(join(directory, 'all.yaml'));
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('hold where the mesh does what they say', () => {
    expectCall(tested, get('/api/x', { headers: { 'X-Secret': '1' } }), {
      allowed: true,
      goesTo: { workload: 'ledger.pay', version: 'v1', service: 'ledger.pay', weight: 100 },
      path: '/x',
      headers: { 'x-from': 'mesh', 'x-secret': null },
      timeout: '3s',
      retries: 4,
      identity: 'shop/web',
    });
    expectCall(tested, get('/old'), { redirect: 'http://ledger.pay:8080/new', status: 301 });
    expectCall(
      tested,
      { from: 'web.shop', request: 'POST http://ledger.pay:8080/' },
      { denied: 'pay/readers', status: 403 },
    );
    expectCall(tested, get('/'), { denied: false, fails: false, timeout: 'none' });
    expectUnreachable(tested, 'from anyone to ledger.pay POST,PUT,DELETE');
  });

  it.each([
    [{ denied: true }, /denied: expected true, but it is false/],
    [{ goesTo: 'web.shop' }, /goesTo: expected web.shop, but it is ledger.pay \(version v1\)/],
    [{ goesTo: [{ subset: 'v2' }] }, /expected subset v2/],
    [{ timeout: '5s' }, /timeout: expected 5000 ms, but it is none/],
    [{ headers: { 'x-from': 'mesh' } }, /x-from: mesh, but it is x-from: none/],
    [{ identity: 'none' }, /but it is spiffe:\/\/cluster.local\/ns\/shop\/sa\/web/],
    [{ status: 200 }, /but it is that of the destination/],
  ])('fail where it does something else: %j', (expected, message) => {
    expect(() => expectCall(tested, get('/'), expected)).toThrow(message);
  });

  it('tell by which cluster a place is reached, where a route has several', async () => {
    writeFileSync(join(directory, 'split.yaml'), split);
    const tested = await mesh(join(directory, 'split.yaml'));
    const question = { from: 'web', request: 'GET http://tea/' };
    const places = (first: object, second: object) => ({
      goesTo: [
        { ...first, weight: 80 },
        { ...second, weight: 20 },
      ],
    });
    expectCall(tested, question, places({ workload: 'tea-v1', subset: 'v1' }, { subset: 'v2' }));
    expectCall(tested, question, places({ service: 'tea', subset: 'v1' }, { version: 'v2' }));
    expect(() =>
      expectCall(tested, question, places({ workload: 'tea-v1', subset: 'v2' }, { subset: 'v2' })),
    ).toThrow(/but it is tea-v1.default \(version v1; subset v1; 80 %\), tea-v2/);
  });

  it('say which line decided', () => {
    expect(() =>
      expectCall(tested, { from: 'web.shop', request: 'POST http://ledger.pay:8080/' }, { allowed: true }),
    ).toThrow(/all\.yaml:\d+:\d+ {2}refused/);
    expect(() => expectUnreachable(tested, 'from namespace/shop to ledger.pay')).toThrow(
      /GET http:\/\/ledger.*gets through/,
    );
  });

  it('run from files, with JUnit output, and every mistake in them is told at its line', async () => {
    const file = join(directory, 'ledger.mesh-test.yaml');
    writeFileSync(
      file,
      `config: all.yaml
tests:
  - name: reads
    from: web.shop
    request: http://ledger.pay:8080/
    expect: { goesTo: ledger.pay }
  - unreachable: from plaintext to ledger.pay
  - name: "writes <&>"
    from: web.shop
    request: POST http://ledger.pay:8080/
    expect: { allowed: true }
`,
    );
    const run = await runTestFiles(findTestFiles([directory]), { config: [] });
    const { results } = run;
    expect(results.map(({ name, ok, line }) => [name, ok, line])).toEqual([
      ['reads', true, 3],
      ['unreachable from plaintext to ledger.pay', true, 7],
      ['writes <&>', false, 8],
    ]);
    const junit = formatJunit(results);
    expect(junit).toContain('tests="3" failures="1"');
    expect(junit).toContain('name="writes &lt;&amp;&gt;"');
    writeFileSync(
      file,
      'config: all.yaml\ntests:\n  - from: web\n    request: 7\n    expect: { goto: 1 }\n  - unreachable: from x\n',
    );
    await expect(runTestFiles([file], { config: [] })).rejects.toThrow(
      /:3:5: request is missing[\s\S]*:6:18: "from x" is no claim/,
    );
  });
});
