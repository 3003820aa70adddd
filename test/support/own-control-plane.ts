import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openJoinTokens } from '../../src/ca/join-token.ts';
import type { FakeControlPlane } from './fake-control-plane.ts';
import { freePorts } from './ports.ts';

const source = (path: string) => join(import.meta.dirname, '../../src', path);

/** A control plane as somebody starts it who runs agents by hand: a process of its own, with the API and xDS by TLS. */
export interface OwnControlPlane
  extends Pick<FakeControlPlane, 'directory' | 'port' | 'rootFile' | 'joinToken'> {
  /** As `ostria` with its kubeconfig. */
  ostria(...args: string[]): Promise<string>;
  /** As `ostria apply -f`. */
  apply(yaml: string): Promise<void>;
  /** What it logs. */
  log(): string;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** `prefix`: before its command and those of `ostria`. `host`: whom xDS listens for. */
export async function startOwnControlPlane(
  options: {
    prefix?: readonly string[];
    host?: string;
    /** Of xDS. Default: a free one. */
    port?: number;
    flags?: readonly string[];
  } = {},
): Promise<OwnControlPlane> {
  const { prefix = [], host = '127.0.0.1', flags = [] } = options;
  const directory = mkdtempSync(join(tmpdir(), 'ostria-own-'));
  const state = join(directory, 'state');
  mkdirSync(state, { mode: 0o700 });
  const kubeconfig = join(directory, 'kubeconfig');
  const [free = 0, api = 0] = await freePorts(2);
  const { port = free } = options;
  const [command = '', ...args] = [
    ...prefix,
    ...[process.execPath, source('control-plane/main.ts'), '--state', state, '--kubeconfig', kubeconfig],
    ...['--xds', `${host.includes(':') ? `[${host}]` : host}:${port}`, '--api', `127.0.0.1:${api}`, ...flags],
  ];
  let text = '';
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ready = new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      text += chunk;
      if (text.includes('the control plane serves')) resolve();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('exit', () => reject(new Error(`the control plane ended:\n${text}`)));
  });
  const kill = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await ended;
    }
  };
  const stop = async (): Promise<void> => {
    await kill();
    rmSync(directory, { recursive: true, force: true });
  };
  await ready.catch(async (error: Error) => {
    await stop();
    throw error;
  });
  const tokens = openJoinTokens({ directory: join(state, 'join-tokens') });
  let count = 0;
  const ostria = async (...asked: string[]): Promise<string> => {
    const [first = '', ...rest] = [...prefix, process.execPath, source('cli/main.ts'), ...asked];
    const env = { ...process.env, KUBECONFIG: kubeconfig };
    return (await promisify(execFile)(first, rest, { env, timeout: 120_000 })).stdout;
  };
  return {
    directory,
    port,
    rootFile: join(state, 'control-plane-roots.pem'),
    ostria,
    async apply(yaml) {
      const file = join(directory, `applied-${count++}.yaml`);
      writeFileSync(file, yaml);
      await ostria('apply', '-f', file);
    },
    joinToken(serviceAccount) {
      const { token } = tokens.mint({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount });
      const file = join(directory, `token-${count++}`);
      writeFileSync(file, token, { mode: 0o600 });
      return file;
    },
    log: () => text,
    kill,
    stop,
  };
}
