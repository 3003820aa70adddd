import type { Server } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from '../../support/compiled-mesh.ts';
import { type EndpointPicker, startEndpointPicker } from '../../support/endpoint-picker.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { parseEcho, startEcho } from '../../support/http-echo.ts';
import { freePorts } from '../../support/ports.ts';

let mesh: CompiledMesh;
let gateway: TestEnvoy;
let picker: EndpointPicker;
const apps: Server[] = [];
let [front, pickerPort, first, second, other]: number[] = [];

const server = (name: string, port: number) => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: 127.0.0.1, labels: {app: ${name.replace(/-.*/, '')}}, ports: {port-8000: ${port}, http: ${port}}}
`;

const pool = (failureMode: string) => `---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: llama}
spec:
  selector: {matchLabels: {app: llama}}
  targetPorts: [{number: 8000}]
  endpointPickerRef: {name: picker, port: {number: 9002}, failureMode: ${failureMode}}
`;

beforeAll(async () => {
  [front, pickerPort, first, second, other] = await freePorts(5);
  picker = await startEndpointPicker(pickerPort as number);
  for (const [name, port] of [
    ['first', first],
    ['second', second],
    ['other', other],
  ] as const)
    apps.push(await startEcho(name, port as number));
  mesh = await startCompiledMesh(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: picker}
spec: {clusterIP: 10.1.0.1, selector: {app: picker}, ports: [{name: grpc, port: 9002}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: picker-1}
spec: {address: 127.0.0.1, labels: {app: picker}, ports: {grpc: ${pickerPort}}}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {clusterIP: 10.1.0.2, selector: {app: other}, ports: [{name: http, port: 80}]}
${server('llama-1', first as number)}${server('llama-2', second as number)}${server('other-1', other as number)}${pool('FailClose')}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: models}
spec:
  parentRefs: [{name: front}]
  rules:
  - matches: [{path: {value: /models}}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: llama}]
  - matches: [{path: {value: /either}}]
    backendRefs:
    - {group: inference.networking.k8s.io, kind: InferencePool, name: llama, weight: 1}
    - {name: other, port: 80, weight: 1}
  - backendRefs: [{name: other, port: 80}]
`);
  gateway = await mesh.envoy({
    name: 'front',
    type: 'router',
    labels: { 'gateway.networking.k8s.io/gateway-name': 'front' },
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, gateway: { 80: front } } },
  });
});

afterAll(async () => {
  await mesh?.stop();
  picker?.stop();
  for (const app of apps) app.close();
});

async function ask(path: string, body?: string) {
  const response = await fetch(`http://127.0.0.1:${front}${path}`, body ? { method: 'POST', body } : {});
  const text = await response.text();
  return { status: response.status, by: response.ok ? parseEcho({ body: text } as never).version : text };
}

test('the picker sees the body and chooses the endpoint', async () => {
  await expect.poll(() => ask('/').then(({ status }) => status, String)).toBe(200);
  for (const [port, name] of [
    [first, 'first'],
    [second, 'second'],
    [first, 'first'],
  ] as const) {
    picker.endpoint = `127.0.0.1:${port}`;
    for (let i = 0; i < 3; i++) expect(await ask('/models', `{"n":${i}}`)).toEqual({ status: 200, by: name });
    expect(await ask('/models')).toEqual({ status: 200, by: name });
  }
  expect(picker.bodies.slice(0, 3)).toEqual(['{"n":0}', '{"n":1}', '{"n":2}']);
});

test('an endpoint of no pool counts as none, and other routes never ask', async () => {
  picker.endpoint = `127.0.0.1:${other}`;
  const seen = picker.bodies.length;
  expect((await ask('/', 'x')).by).toBe('other');
  expect(picker.bodies.length).toBe(seen);
  expect(['first', 'second']).toContain((await ask('/models', 'x')).by);
});

test('of several backends one is drawn, and only a pool has its picker asked', async () => {
  picker.endpoint = `127.0.0.1:${second}`;
  const seen = picker.bodies.length;
  const by: string[] = [];
  for (let i = 0; i < 40; i++) by.push((await ask('/either', 'x')).by);
  expect(new Set(by)).toEqual(new Set(['second', 'other']));
  expect(picker.bodies.length - seen).toBe(by.filter((name) => name === 'second').length);
});

test('without its picker a pool is refused, or balanced where it says so; nothing was rejected', async () => {
  picker.stop();
  expect((await ask('/models')).status).toBeGreaterThanOrEqual(500);
  mesh.apply(pool('FailOpen'));
  await expect.poll(() => ask('/models').then(({ status }) => status)).toBe(200);
  expect(await rejectedUpdates(gateway)).toBe(0);
  expect(mesh.refusals).toEqual([]);
});
