import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePorts } from './ports.ts';

export interface RunningEtcd {
  /** `host:port` for clients. */
  endpoint: string;
  /** Ends it as a crash would; the data stays. */
  kill: () => Promise<void>;
  /** Starts it again on the same data and ports. */
  restart: () => Promise<void>;
  /** Ends it for good and removes its data. */
  stop: () => Promise<void>;
}

export interface EtcdOptions {
  /** Further flags, such as those for TLS. */
  args?: readonly string[];
  /** Default `http`. */
  scheme?: 'http' | 'https';
}

let binary: string | undefined | null = null;

/**
 * The etcd of this machine: from PATH, else from Debian's package `etcd-server` where we may install it. Undefined where
 * there is none: suites that need it then skip, by name.
 */
export function findEtcd(): string | undefined {
  binary ??= fromPath() ?? installed();
  return binary;
}

function fromPath(): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
  return directories.map((directory) => join(directory, 'etcd')).find((path) => existsSync(path));
}

function installed(): string | undefined {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return undefined;
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const options = { stdio: 'ignore', timeout: 240_000, env } as const;
    execFileSync('apt-get', ['update'], options);
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'etcd-server'], options);
    return fromPath();
  } catch {
    return undefined;
  }
}

/** Starts an etcd of one member on loopback, with data of its own in a temporary directory. */
export async function startEtcd(options: EtcdOptions = {}): Promise<RunningEtcd> {
  const program = findEtcd();
  if (!program) throw new Error('etcd is not on PATH; install Debian’s etcd-server');
  const directory = mkdtempSync(join(tmpdir(), 'ostria-etcd-'));
  const [client = 0, peer = 0] = await freePorts(2);
  const scheme = options.scheme ?? 'http';
  const args = [
    ...['--data-dir', directory, '--name', 'test', '--log-level', 'error', '--logger', 'zap'],
    ...[
      '--listen-client-urls',
      `${scheme}://127.0.0.1:${client}`,
      '--advertise-client-urls',
      `${scheme}://127.0.0.1:${client}`,
    ],
    ...[
      '--listen-peer-urls',
      `http://127.0.0.1:${peer}`,
      '--initial-advertise-peer-urls',
      `http://127.0.0.1:${peer}`,
    ],
    ...['--initial-cluster', `test=http://127.0.0.1:${peer}`],
    ...(options.args ?? []),
  ];
  let child: ChildProcess | undefined;
  const start = async () => {
    child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    await ready(child, client);
  };
  const kill = async () => {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    endpoint: `127.0.0.1:${client}`,
    kill,
    restart: start,
    stop: async () => {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until the port answers; what etcd said is in the error when it does not. */
async function ready(child: ChildProcess, port: number): Promise<void> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  for (let attempt = 0; attempt < 1_200; attempt++) {
    if (child.exitCode !== null) break;
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill('SIGKILL');
  throw new Error(`etcd did not start: ${said}`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
