import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { http } from '../../kit/node-http.ts';
import type { Healthcheck } from '../mesh-file/mesh-file.ts';

/** What to ask whether an application is well. `port` 0: it listens nowhere. */
export interface CheckTarget {
  readonly test: Healthcheck['test'] | { readonly type: 'tcp' };
  readonly port: number;
  /** Where it may listen; one that answers is enough. */
  readonly hosts: readonly string[];
  readonly timeoutMs: number;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** Undefined: well. Else why not. Never rejects and never takes (much) longer than `timeoutMs`. */
export function checkHealth(target: CheckTarget, signal: AbortSignal): Promise<string | undefined> {
  const { test } = target;
  if (test.type === 'exec') return runCheck(test.command, target, signal);
  if (target.port === 0) return Promise.resolve(undefined);
  return firstWell(target.hosts, (host) =>
    test.type === 'http'
      ? getStatus(target.port, test.path, target.timeoutMs, signal, host)
      : connectTo(target.port, target.timeoutMs, signal, host),
  );
}

/** Undefined where one host is well; else what one says that answers at all. */
async function firstWell(
  hosts: readonly string[],
  check: (host: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  const complaints = await Promise.all(hosts.map(check));
  if (complaints.includes(undefined)) return undefined;
  return complaints.find((why) => !why?.includes('ECONNREFUSED')) ?? complaints[0];
}

/** Undefined when the port answers the path with 2xx or 3xx. */
export function getStatus(
  port: number,
  path: string,
  timeoutMs: number,
  signal: AbortSignal,
  host = '127.0.0.1',
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const outgoing = http.request({ host, port, path, agent: false, signal: limit }, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      response.once('close', () =>
        resolve(status >= 200 && status < 400 ? undefined : `${path} answers ${status}`),
      );
    });
    outgoing.once('error', (error) =>
      resolve(limit.aborted ? `${path} does not answer within ${timeoutMs} ms` : `${path}: ${error.message}`),
    );
    outgoing.end();
  });
}

function connectTo(
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
  host: string,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, signal });
    const done = (why: string | undefined): void => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(timeoutMs, () => done(`port ${port} does not answer within ${timeoutMs} ms`));
    socket.once('connect', () => done(undefined));
    socket.once('error', () => done(`nothing listens on port ${port} yet`));
  });
}

function runCheck(
  command: readonly string[],
  { timeoutMs, workingDirectory, environment }: CheckTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: workingDirectory,
      env: environment,
      stdio: 'ignore',
      detached: true,
    });
    let tooLong = false;
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Over already.
      }
    };
    const timer = setTimeout(() => {
      tooLong = true;
      kill();
    }, timeoutMs);
    signal.addEventListener('abort', kill, { once: true });
    const done = (why: string | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      resolve(why);
    };
    child.once('error', (error) => done(`the check ${program} cannot be started: ${error.message}`));
    child.once('exit', (code) => {
      if (tooLong) done(`the check did not end within ${timeoutMs} ms`);
      else done(code === 0 ? undefined : `the check ended with ${code ?? 'a signal'}`);
    });
  });
}
