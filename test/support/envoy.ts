import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy } from '../../src/agent/envoy-binary.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { isAlive, type ProcessId, processId, signalProcess } from '../../src/kit/process-id.ts';
import { waitFor } from './wait-for.ts';

let found: Promise<string> | undefined;

/** The Envoy that tests use; installs it when absent. */
export function envoyPath(): Promise<string> {
  found ??= findEnvoy({ log: (line) => console.error(line) }).then((envoy) => envoy.path);
  return found;
}

export interface TestEnvoyOptions {
  /** Bootstrap as Envoy's JSON. `admin` and, when absent, `node` are added. */
  bootstrap: Record<string, unknown>;
  /** Default 1. */
  concurrency?: number;
  /** Default `warning`. */
  logLevel?: string;
  args?: readonly string[];
  /** A command that runs what follows it elsewhere: in a network namespace, as another user. */
  prefix?: readonly string[];
  /** How long log lines may wait to be written, in milliseconds. Default 100. */
  logFlushMs?: number;
  /** Default: until the admin interface answers LIVE or PRE_INITIALIZING. `live`: until LIVE. */
  until?: 'admin' | 'live';
  /** Default 60,000. */
  timeoutMs?: number;
}

export interface TestEnvoy {
  readonly id: ProcessId;
  readonly directory: string;
  /** Unix socket of the admin interface. */
  readonly adminSocket: string;
  admin(path: string, method?: string): Promise<{ status: number; body: string }>;
  /** The value of a counter or gauge; 0 when Envoy has not made it. */
  stat(name: string): Promise<number>;
  log(): Promise<string>;
  running(): boolean;
  /** SIGTERM, SIGKILL after two seconds, and the directory goes. */
  stop(): Promise<void>;
}

/** Starts a real Envoy; its directory, admin socket and log are its own. The caller must `stop()` it. */
export async function startEnvoy(options: TestEnvoyOptions): Promise<TestEnvoy> {
  const path = await envoyPath();
  const directory = await mkdtemp(join(tmpdir(), 'ostria-envoy-'));
  const adminSocket = join(directory, 'admin.sock');
  const bootstrapFile = join(directory, 'bootstrap.json');
  const logFile = join(directory, 'envoy.log');
  const bootstrap = {
    node: { id: 'test', cluster: 'test' },
    ...options.bootstrap,
    admin: { address: { pipe: { path: adminSocket, mode: 0o600 } } },
  };
  await writeFile(bootstrapFile, JSON.stringify(bootstrap));
  const out = openSync(logFile, 'a');
  const [program = path, ...before] = [...(options.prefix ?? []), path];
  const child = spawn(
    program,
    [
      ...before,
      ...['-c', bootstrapFile, '--concurrency', String(options.concurrency ?? 1)],
      ...['--log-level', options.logLevel ?? 'warning', '--base-id', String(randomInt(1, 2 ** 31 - 1))],
      ...['--file-flush-interval-msec', String(options.logFlushMs ?? 100), '--drain-time-s', '1'],
      ...(options.args ?? []),
    ],
    { stdio: ['ignore', out, out] },
  );
  closeSync(out);
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  const id = processId(child.pid as number) ?? { pid: child.pid as number, startTime: 0 };
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const log = () => readFile(logFile, 'utf8').catch(() => '');

  const envoy: TestEnvoy = {
    id,
    directory,
    adminSocket,
    admin: (target, method = 'GET') => adminRequest(adminSocket, target, method),
    async stat(name) {
      const { body } = await envoy.admin(`/stats?filter=^${encodeURIComponent(escapeRegExp(name))}$`);
      return Number(/: (\d+)/.exec(body)?.[1] ?? 0);
    },
    log,
    running: () => child.exitCode === null && child.signalCode === null && isAlive(id),
    async stop() {
      signalProcess(id, 'SIGTERM');
      await Promise.race([ended, systemClock.sleep(2_000, { unref: true })]);
      signalProcess(id, 'SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    await waitFor(
      'Envoy to start',
      async () => {
        if (!envoy.running()) return false;
        const { status, body } = await envoy.admin('/ready');
        return options.until === 'live' ? status === 200 : body !== '';
      },
      { timeoutMs: options.timeoutMs ?? 60_000 },
    );
  } catch (error) {
    const text = await log();
    await envoy.stop();
    throw new Error(`${(error as Error).message}\n${text.slice(-4_000)}`);
  }
  return envoy;
}

/** One request to an admin interface on a unix socket. */
export function adminRequest(
  socketPath: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, timeout: 30_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('admin request timed out')));
    sent.on('error', reject);
    sent.end();
  });
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
