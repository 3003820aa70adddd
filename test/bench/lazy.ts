import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseAgentConfig } from '../../src/agent/agent-config.ts';
import { buildBootstrap } from '../../src/agent/envoy-bootstrap.ts';
import { nodeCommand, programEnvironment } from '../../src/cli/programs.ts';
import { startEnvoy, type TestEnvoy } from '../support/envoy.ts';
import { call } from '../support/http-echo.ts';
import { freePorts } from '../support/ports.ts';
import { memoryMiB, round } from './xds-bench/process-usage.ts';

/**
 * `npm run bench:lazy`: what lazy scope costs a first request, and what it saves a sidecar. The control plane is a process of its own;
 * the sidecars are Envoys with the agent's bootstrap, called through their forward proxies. Cold first requests are timed twice: by sidecars
 * whose application uses as many services as `--used` says (`besideUsed`), and by one whose table grows by all of them (`lazy`). Prints JSON.
 */

const usage = `bench:lazy -- [options]
  --services N   services in the mesh, a fifth with a VirtualService and a DestinationRule (1000)
  --used N       services that the application uses while memory is looked at (10)
  --cold N       cold first requests that are timed, by one sidecar (100)
  --sidecars N   sidecars that use a few services and make 10 cold first requests each (5)
`;

/** Cold first requests of each of the sidecars that use a few services. */
const coldOfEach = 10;

interface Options {
  readonly services: number;
  readonly used: number;
  readonly cold: number;
  readonly sidecars: number;
}

function parseOptions(args: string[]): Options {
  const text = { type: 'string' as const };
  const { values } = parseArgs({ args, options: { services: text, used: text, cold: text, sidecars: text } });
  const count = (name: keyof Options, by: number): number => {
    const value = Number(values[name] ?? by);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`--${name} must be a whole number of 1 or more`);
    return value;
  };
  const options = {
    ...{ services: count('services', 1000), used: count('used', 10) },
    ...{ cold: count('cold', 100), sidecars: count('sidecars', 5) },
  };
  if (options.used + options.cold + options.sidecars * coldOfEach > options.services)
    throw new Error(
      `--used, --cold and ${coldOfEach} times --sidecars together must not be more than --services`,
    );
  return options;
}

const hostOf = (i: number): string => `svc-${i}.default.svc.cluster.local`;

function meshYaml({ services }: Options, backend: number): string {
  return Array.from({ length: services }, (_, i) => {
    const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: svc-${i}, namespace: default}
spec:
  hosts: [${hostOf(i)}]
  addresses: [10.${100 + (i >> 8)}.${i & 255}.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints:
${Array.from({ length: 5 }, (_, n) => `  - {address: 127.0.0.${n + 1}, ports: {http: ${backend}}, labels: {version: v${n % 2}}}`).join('\n')}`;
    if (i % 5 !== 0) return service;
    return `${service}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: svc-${i}, namespace: default}
spec:
  hosts: [${hostOf(i)}]
  http:
  - route: [{destination: {host: ${hostOf(i)}, subset: v0}, weight: 50}, {destination: {host: ${hostOf(i)}, subset: v1}, weight: 50}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: svc-${i}, namespace: default}
spec: {host: ${hostOf(i)}, subsets: [{name: v0, labels: {version: v0}}, {name: v1, labels: {version: v1}}]}`;
  }).join('\n---\n');
}

async function startControlPlane(directory: string, port: number): Promise<ChildProcess> {
  const root = join(import.meta.dirname, '..', '..');
  const bundle = join(root, 'dist', 'control-plane.js');
  const program = existsSync(bundle) ? bundle : join(root, 'src', 'control-plane', 'main.ts');
  const [node = '', ...nodeFlags] = nodeCommand('control-plane');
  const child = spawn(
    node,
    [
      ...[...nodeFlags, program, '--config', join(directory, 'config'), '--state', join(directory, 'state')],
      ...['--insecure-xds', `127.0.0.1:${port}`, '--lazy', '--log-level', 'error'],
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...programEnvironment('control-plane') },
    },
  );
  return child;
}

/** The agent's bootstrap, over xDS without TLS. */
function bootstrap(name: string, xdsPort: number, httpProxy: number, lazy: boolean): Record<string, unknown> {
  const parsed = parseAgentConfig({
    workload: name,
    namespace: 'default',
    stateDirectory: '/nonexistent',
    labels: { app: name, 'ostria.io/lazy': String(lazy) },
    controlPlane: { address: `127.0.0.1:${xdsPort}`, rootFile: '/nonexistent/root.pem' },
    credential: { joinTokenFile: '/nonexistent/token' },
    capture: { outbound: {}, inbound: [], httpProxy },
  });
  if (!parsed.ok) throw new Error(parsed.errors.join('; '));
  const made = buildBootstrap(parsed.config, { adminSocket: '', sdsSocket: '/nonexistent/sds.sock' });
  const { clusters } = made.static_resources as { clusters: Record<string, unknown>[] };
  for (const cluster of clusters) delete cluster.transport_socket;
  return made;
}

interface Sidecar {
  readonly envoy: TestEnvoy;
  readonly proxy: number;
}

type StartSidecar = (name: string, lazy: boolean) => Promise<Sidecar>;

async function startSidecar(name: string, xdsPort: number, lazy: boolean): Promise<Sidecar> {
  const [proxy = 0] = await freePorts(1);
  const envoy = await startEnvoy({
    bootstrap: bootstrap(name, xdsPort, proxy, lazy),
    until: 'live',
    timeoutMs: 60_000,
  });
  return { envoy, proxy };
}

async function ask({ proxy }: Sidecar, host: string): Promise<number> {
  const from = performance.now();
  const { status } = await call(proxy, `http://${host}/`, { host });
  const took = performance.now() - from;
  if (status !== 200 && !host.includes('unknown')) throw new Error(`${host} answered ${status}`);
  return took;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0, 2);
}

const received = (sidecar: Sidecar): Promise<number> =>
  sidecar.envoy.stat('cluster.xds-grpc.upstream_cx_rx_bytes_total');

/** A sidecar after its start, and with the services that its application uses. */
async function weigh(sidecar: Sidecar, used: number) {
  await sleep(6_000); // Statistics are flushed every 5 s.
  const firstSyncBytes = await received(sidecar);
  const atStart = memoryMiB(sidecar.envoy.id.pid).resident;
  for (let i = 0; i < used; i++) await ask(sidecar, `${hostOf(i)}:8080`);
  await sleep(1_000);
  return { firstSyncBytes, residentMiB: { atStart, inUse: memoryMiB(sidecar.envoy.id.pid).resident } };
}

interface Times {
  readonly first: number[];
  readonly warm: number[];
}

/** Times of services that the sidecar has not used: of the first request to each, and of two that follow. */
async function time(sidecar: Sidecar, from: number, count: number): Promise<Times> {
  const times: Times = { first: [], warm: [] };
  for (let i = from; i < from + count; i++) {
    times.first.push(await ask(sidecar, `${hostOf(i)}:8080`));
    times.warm.push(await ask(sidecar, `${hostOf(i)}:8080`), await ask(sidecar, `${hostOf(i)}:8080`));
  }
  return times;
}

function summary({ first, warm }: Times) {
  const p50 = (values: readonly number[]): number => quantile(values, 0.5);
  return {
    coldMs: { p50: p50(first), p95: quantile(first, 0.95) },
    warmMs: { p50: p50(warm), p95: quantile(warm, 0.95) },
    coldOverWarmP50Ms: round(p50(first) - p50(warm), 2),
  };
}

/** Unknown hosts: addresses, which answer, and names, which DNS has to refuse; its time is part of theirs. */
async function timeUnknown(sidecar: Sidecar, port: number) {
  const timed = async (count: number, authority: (i: number) => string) => {
    const times: number[] = [];
    for (let i = 0; i < count; i++) times.push(await ask(sidecar, authority(i)));
    return { p50: quantile(times, 0.5), max: quantile(times, 1) };
  };
  return {
    addresses: await timed(200, (i) => `127.0.1.${i + 1}:${port}`),
    names: await timed(20, (i) => `unknown-${i}.invalid:8080`),
  };
}

/** Cold first requests beside a few services in use: each sidecar makes but a few of them, or its table would be another one. */
async function timeBesideUsed(start: StartSidecar, { used, cold, sidecars }: Options) {
  const all: Times = { first: [], warm: [] };
  for (let n = 0; n < sidecars; n++) {
    const sidecar = await start(`lazy-${n}`, true);
    for (let i = 0; i < used; i++) await ask(sidecar, `${hostOf(i)}:8080`);
    const { first, warm } = await time(sidecar, used + cold + n * coldOfEach, coldOfEach);
    all.first.push(...first);
    all.warm.push(...warm);
    await sidecar.envoy.stop();
  }
  return summary(all);
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    return;
  }
  const options = parseOptions(process.argv.slice(2));
  const directory = mkdtempSync(join(tmpdir(), 'ostria-bench-lazy-'));
  const backend = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => backend.listen(0, '0.0.0.0', resolve));
  mkdirSync(join(directory, 'config'));
  const { port: backendPort } = backend.address() as AddressInfo;
  writeFileSync(join(directory, 'config', 'mesh.yaml'), meshYaml(options, backendPort));
  const [xdsPort = 0] = await freePorts(1);
  const controlPlane = await startControlPlane(directory, xdsPort);
  const sidecars: Sidecar[] = [];
  const start: StartSidecar = async (name, lazy) => {
    const sidecar = await startSidecar(name, xdsPort, lazy);
    sidecars.push(sidecar);
    return sidecar;
  };
  try {
    const lazy = await start('lazy', true);
    const weight = await weigh(lazy, options.used);
    const times = summary(await time(lazy, options.used, options.cold));
    const unknownHostMs = await timeUnknown(lazy, backendPort);
    const besideUsed = await timeBesideUsed(start, options);
    const again = await start('lazy', true);
    const preloaded = await weigh(again, 0);
    const eager = await weigh(await start('eager', false), options.used);
    const result = {
      ...{ benchmark: 'lazy', options, besideUsed, lazy: { ...weight, ...times, unknownHostMs } },
      ...{ preloaded, eager },
    };
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  } finally {
    for (const { envoy } of sidecars) await envoy.stop();
    controlPlane.kill('SIGTERM');
    await new Promise((resolve) => controlPlane.once('exit', resolve));
    backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
