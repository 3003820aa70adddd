import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../wait-for.ts';

/** Ends the server and removes what it wrote. */
export type Stop = () => Promise<void>;

export interface ServerProcess {
  /** Program and arguments, given a directory that is the server's own. */
  readonly command: (directory: string) => readonly [string, ...string[]];
  /** Called before it starts. */
  readonly prepare?: (directory: string) => void;
  readonly ready: () => Promise<unknown>;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs as this user, if we may choose: some servers refuse to be root's. */
  readonly user?: string;
}

/** Starts a real server on loopback, with a directory of its own, and waits until it answers, at most as long as a busy machine may take. */
export async function startServer(name: string, server: ServerProcess): Promise<Stop> {
  const directory = mkdtempSync(join(tmpdir(), `ostria-${name}-`));
  const user = server.user === undefined ? undefined : userId(server.user);
  let child: ChildProcess | undefined;
  let said = '';
  const stop = async (): Promise<void> => {
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child?.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const late = setTimeout(() => child?.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(late);
    }
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    if (user !== undefined) run('chown', [server.user ?? '', directory]);
    server.prepare?.(directory);
    const [program, ...args] = server.command(directory);
    child = spawn(program, args, {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...server.env },
      ...(user === undefined ? {} : { uid: user }),
    });
    const failed = new Promise<never>((_, reject) => child?.once('error', reject));
    failed.catch(() => undefined);
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (data: Buffer) => {
        said = `${said}${data}`.slice(-2_000);
      });
    const ready = (): Promise<boolean> =>
      server.ready().then(
        () => true,
        () => false,
      );
    await Promise.race([
      failed,
      waitFor(`${name} to answer`, ready, { timeoutMs: 240_000, intervalMs: 200 }),
    ]);
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}\n${said}`);
  }
  return stop;
}

/** The number of a user whom we can become; undefined: we stay who we are. */
function userId(name: string): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return Number(run('id', ['-u', name]));
}

/** Runs a program to its end, at most two minutes; what it printed. Throws with its words where it fails. */
export function run(
  program: string,
  args: readonly string[],
  options: { user?: string; input?: string; env?: Readonly<Record<string, string>>; cwd?: string } = {},
): string {
  const uid = options.user === undefined ? undefined : userId(options.user);
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 64 * 2 ** 20,
    env: { ...process.env, ...options.env },
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(uid === undefined ? {} : { uid }),
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${`${stderr}${stdout}`.slice(-2_000)}`);
  return stdout;
}
