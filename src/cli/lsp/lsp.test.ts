import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type CompletionItem,
  createProtocolConnection,
  type Hover,
  type Location,
  type ProtocolConnection,
  type PublishDiagnosticsParams,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-languageserver/node';

const services = `apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  ports: [{name: http, port: 9080}]
  selector: {app: reviews}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}
`;
const pods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1}
spec:
  selector: {matchLabels: {app: reviews, version: v1}}
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec: {containers: [{name: app, image: reviews, ports: [{containerPort: 9080}]}]}
`;
const routes = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v9
`;

let folder: string;
let server: ChildProcess;
let connection: ProtocolConnection;
const told = new Map<string, PublishDiagnosticsParams>();
const uri = (name: string) => pathToFileURL(join(folder, name)).href;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ostria-lsp-'));
  writeFileSync(join(folder, 'services.yaml'), services);
  writeFileSync(join(folder, 'routes.yaml'), routes);
  writeFileSync(join(folder, 'pods.yaml'), pods);
  writeFileSync(join(folder, 'chart.yaml'), 'kind: Service\nmetadata: {name: {{ .Values.name }}}\n');
  writeFileSync(join(folder, 'mesh.yaml'), 'workloads:\n  web:\n    comand: x\n');
  const main = join(import.meta.dirname, '..', 'main.ts');
  server = spawn(process.execPath, [main, 'lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  if (!server.stdin || !server.stdout) throw new Error('no streams');
  connection = createProtocolConnection(
    new StreamMessageReader(server.stdout),
    new StreamMessageWriter(server.stdin),
  );
  connection.onNotification('textDocument/publishDiagnostics', (params: PublishDiagnosticsParams) => {
    told.set(params.uri, params);
  });
  connection.listen();
  await connection.sendRequest('initialize', {
    processId: process.pid,
    rootUri: null,
    capabilities: {},
    workspaceFolders: [{ uri: pathToFileURL(folder).href, name: 'mesh' }],
  });
  await connection.sendNotification('initialized', {});
});

afterAll(() => {
  connection?.dispose();
  server?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

let version = 0;
/** Of loaded machines too. */
const wait = { timeout: 30_000, interval: 50 };

async function open(name: string, text: string): Promise<void> {
  await connection.sendNotification('textDocument/didOpen', {
    textDocument: { uri: uri(name), languageId: 'yaml', version: ++version, text },
  });
}

const change = (name: string, text: string) =>
  connection.sendNotification('textDocument/didChange', {
    textDocument: { uri: uri(name), version: ++version },
    contentChanges: [{ text }],
  });

/** Asks at the cursor, written `|`. */
async function ask<T>(method: string, name: string, text: string): Promise<T> {
  const before = text.slice(0, text.indexOf('|')).split('\n');
  await change(name, text.replace('|', ''));
  return await connection.sendRequest<T>(method, {
    textDocument: { uri: uri(name) },
    position: { line: before.length - 1, character: before.at(-1)?.length ?? 0 },
  });
}

const complete = async (text: string) =>
  (await ask<CompletionItem[]>('textDocument/completion', 'routes.yaml', text)).map(({ label }) => label);

test('mistakes across files stand in the file that makes them, and go when they are mended', async () => {
  await open('routes.yaml', routes);
  const diagnostics = () => told.get(uri('routes.yaml'))?.diagnostics ?? [];
  await expect.poll(diagnostics, wait).toHaveLength(1);
  expect(diagnostics()[0]).toMatchObject({
    code: 'IST0101',
    severity: 1,
    range: { start: { line: 11, character: 8 }, end: { line: 11, character: 14 } },
    message: expect.stringContaining('has no subset v9'),
  });
  await change('routes.yaml', routes.replace('v9', 'v2'));
  await expect.poll(diagnostics, wait).toEqual([]);
  await change('routes.yaml', `${routes.replace('v9', 'v2')}  tcp: [\n`);
  await expect.poll(diagnostics, wait).toHaveLength(1);
  expect(told.get(uri('chart.yaml'))).toBeUndefined();
});

test('a mesh file is judged by its own rules', async () => {
  await expect.poll(() => told.get(uri('mesh.yaml'))?.diagnostics ?? [], wait).not.toEqual([]);
  expect(told.get(uri('mesh.yaml'))?.diagnostics[0]).toMatchObject({ code: 'MeshFileInvalid' });
});

test('fields that the map lacks are offered, with their texts', async () => {
  const labels = await complete(routes.replace('        subset: v9', '        |'));
  expect(labels).toEqual(['port', 'subset']);
  const items = await ask<CompletionItem[]>(
    'textDocument/completion',
    'routes.yaml',
    routes.replace('  - route:', '  - ti|\n    route:'),
  );
  expect(items.find(({ label }) => label === 'timeout')).toMatchObject({
    detail: 'text',
    documentation: expect.stringContaining('Time for the whole call'),
    textEdit: { newText: 'timeout: $0' },
  });
});

test('names of what is in the mesh are offered where they fit', async () => {
  expect(await complete(routes.replace('subset: v9', 'subset: |'))).toEqual(['v1', 'v2']);
  expect(await complete(routes.replace('host: reviews', 'host: |'))).toEqual(['reviews']);
  expect(await complete(routes.replace('  - reviews\n', '  - |\n'))).toEqual(['reviews']);
  expect(await complete(routes.replace('spec:\n', 'spec:\n  gateways:\n  - |\n'))).toEqual(['mesh']);
  expect(await complete('kind: DestinationRule\napiVersion: |')).toContain('networking.istio.io/v1');
  expect(await complete('apiVersion: security.istio.io/v1\nkind: |')).toEqual([
    'AuthorizationPolicy',
    'PeerAuthentication',
    'RequestAuthentication',
  ]);
});

test('keys of a mesh file are offered', async () => {
  await open('mesh.yaml', 'services: {}\n');
  const items = await ask<CompletionItem[]>(
    'textDocument/completion',
    'mesh.yaml',
    'services:\n  web:\n    command: x\n    re|\n',
  );
  const labels = items.map(({ label }) => label);
  expect(labels).toEqual(expect.arrayContaining(['replicas', 'restart', 'depends_on']));
  expect(labels).not.toContain('command');
});

test('hovering tells what a field is for and what a name stands for', async () => {
  const hover = async (text: string) => {
    const found = await ask<Hover | null>('textDocument/hover', 'routes.yaml', text);
    return (found?.contents as { value: string } | undefined)?.value;
  };
  expect(await hover(routes.replace('destination:', 'desti|nation:'))).toContain('A service');
  expect(await hover(routes.replace('subset: v9', 'subset: v|2'))).toContain('"version":"v2"');
  expect(await hover(routes.replace('subset: v9', 'subset: v|9'))).toContain('No subset');
});

test('hovering over a rule tells what it comes to in a proxy', async () => {
  const rules = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - match:
    - headers:
        end-user:
          exact: jason
    route:
    - destination:
        host: reviews
        subset: v2
  - rou|te:
    - destination:
        host: reviews
        subset: v1
      weight: 75
    - destination:
        host: reviews
        subset: v2
      weight: 25
  - timeout: 1s
    route:
    - destination:
        host: reviews
`;
  const found = await ask<Hover | null>('textDocument/hover', 'routes.yaml', rules);
  const value = (found?.contents as { value: string } | undefined)?.value;
  expect(value).toContain(
    'Takes requests to reviews.default.svc.cluster.local:9080 that no rule before it takes.',
  );
  expect(value).toContain('Asked before it: rule 0 (header end-user "jason")');
  expect(value).toContain('75 % to reviews.default.svc.cluster.local subset v1 port 9080: 1 endpoint (');
  expect(value).toContain('25 % to reviews.default.svc.cluster.local subset v2 port 9080: **no endpoint**');
  const last = rules.replace('|', '').replace('  - timeout', '  - time|out');
  const never = await ask<Hover | null>('textDocument/hover', 'routes.yaml', last);
  expect((never?.contents as { value: string } | undefined)?.value).toContain(
    'No request comes to this rule',
  );
});

test('a name leads to where it is defined', async () => {
  const define = (text: string) => ask<Location[]>('textDocument/definition', 'routes.yaml', text);
  expect(await define(routes.replace('subset: v9', 'subset: v|2'))).toMatchObject([
    { uri: uri('services.yaml'), range: { start: { line: 15, character: 4 } } },
  ]);
  expect(await define(routes.replace('host: reviews', 'host: rev|iews'))).toMatchObject([
    { uri: uri('services.yaml'), range: { start: { line: 0 } } },
  ]);
});

test('the services of a mesh file are there for routes, as soon as it is typed, and until it can be read no more', async () => {
  await open('cart.yaml', routes.replaceAll('reviews', 'cart').replace('        subset: v9\n', ''));
  const diagnostics = () => told.get(uri('cart.yaml'))?.diagnostics.map(({ code }) => code) ?? [];
  await expect.poll(diagnostics, wait).toEqual(['IST0101']);
  await change('mesh.yaml', 'services:\n  cart: { command: x, ports: [9080] }\n');
  await expect.poll(diagnostics, wait).toEqual([]);
  await change('mesh.yaml', 'services:\n  cart: { command: x, ports: [9080], comand: y }\n');
  await expect.poll(() => told.get(uri('mesh.yaml'))?.diagnostics ?? [], wait).toHaveLength(1);
  expect(diagnostics()).toEqual([]);
});

test('of two files with one object the one that is looked at counts', async () => {
  const rule = (subset: string) =>
    routes.replace('subset: v9', `subset: ${subset}`).replace('  - route', '  - rou|te');
  await open('variant.yaml', rule('v1').replace('|', ''));
  const hover = async (name: string, text: string) =>
    JSON.stringify(await ask<Hover | null>('textDocument/hover', name, text));
  expect(await hover('routes.yaml', rule('v2'))).toContain('subset v2');
  expect(await hover('variant.yaml', rule('v1'))).toContain('subset v1');
});

test('a file of tests is judged, and its fields are offered', async () => {
  const text = 'tests:\n- from: web\n  request: GET http://reviews/\n  expct: {status: 200}\n';
  await open('reviews.mesh-test.yaml', text);
  const diagnostics = () => told.get(uri('reviews.mesh-test.yaml'))?.diagnostics ?? [];
  await expect.poll(diagnostics, wait).toHaveLength(2);
  expect(
    diagnostics()
      .map(({ message }) => message)
      .join(),
  ).toContain('expct is not known here');
  const items = await ask<CompletionItem[]>(
    'textDocument/completion',
    'reviews.mesh-test.yaml',
    text.replace('expct: {status: 200}', 'e|'),
  );
  expect(items.map(({ label }) => label)).toEqual(
    expect.arrayContaining(['expect', 'unreachable', 'headers']),
  );
});

test('it ends when the editor says so', async () => {
  await connection.sendRequest('shutdown');
  const ended = new Promise((resolve) => server.once('exit', resolve));
  await connection.sendNotification('exit');
  expect(await ended).toBe(0);
});
