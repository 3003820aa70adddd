import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

export interface KubectlResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The kubectl to test with: `$OSTRIA_KUBECTL`, one on PATH, else Debian's package where we may install it. */
export function findKubectl(): { path: string; version: string } | { missing: string } {
  const given = process.env.OSTRIA_KUBECTL;
  for (const path of given === undefined ? ['kubectl', '/usr/bin/kubectl'] : [given]) {
    const version = versionOf(path);
    if (version !== undefined) return { path, version };
  }
  if (given === undefined && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    try {
      execFileSync('apt-get', ['install', '-y', '-q', 'kubernetes-client'], {
        stdio: 'ignore',
        timeout: 180_000,
      });
      const version = versionOf('/usr/bin/kubectl');
      if (version !== undefined) return { path: '/usr/bin/kubectl', version };
    } catch {
      // Said below.
    }
  }
  return {
    missing: 'kubectl is not installed: set OSTRIA_KUBECTL, or install the Debian package kubernetes-client',
  };
}

function versionOf(path: string): string | undefined {
  try {
    const text = execFileSync(path, ['version', '--client', '-o', 'json'], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    return (JSON.parse(text) as { clientVersion: { gitVersion: string } }).clientVersion.gitVersion;
  } catch {
    return undefined;
  }
}

export interface Kubectl {
  /** Runs to its end; never rejects on an exit code. */
  run(
    args: readonly string[],
    options?: { input?: string; env?: Record<string, string> },
  ): Promise<KubectlResult>;
  /** Runs and expects exit code 0; its standard output. */
  ok(args: readonly string[], options?: { input?: string; env?: Record<string, string> }): Promise<string>;
  /** Starts one that keeps running, such as `get -w`. */
  start(args: readonly string[]): { output: () => string; stop: () => Promise<void> };
}

export function createKubectl(path: string, kubeconfig: string, home: string): Kubectl {
  const base = { PATH: process.env.PATH ?? '', HOME: home, KUBECONFIG: kubeconfig };
  const run: Kubectl['run'] = (args, options = {}) =>
    new Promise((resolve) => {
      const child = execFile(
        path,
        [...args],
        { env: { ...base, ...options.env }, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
          resolve({ code, stdout, stderr });
        },
      );
      child.stdin?.end(options.input ?? '');
    });
  return {
    run,
    ok: async (args, options) => {
      const result = await run(args, options);
      if (result.code !== 0)
        throw new Error(
          `kubectl ${args.join(' ')} ended with ${result.code}: ${result.stderr}${result.stdout}`,
        );
      return result.stdout;
    },
    start: (args) => {
      const child = spawn(path, [...args], { env: base, stdio: ['ignore', 'pipe', 'pipe'] });
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      return {
        output: () => text,
        stop: async () => {
          child.kill('SIGTERM');
          await ended;
        },
      };
    },
  };
}
