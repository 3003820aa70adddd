// Set-up of a whole run of vitest: whatever tests start ends with the run, also when it is interrupted or killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

/** In the environment of all that a run starts. */
export const runVariable = 'OSTRIA_TEST_RUN';

let reaper: ChildProcess | undefined;

/** vitest calls it before the first test. Nothing happens where there is no /proc to look into. */
export function setup(): void {
  if (process.platform !== 'linux') return;
  const run = randomBytes(8).toString('hex');
  process.env[runVariable] = run;
  // A group of its own: Ctrl-C ends the tests, and then it has work to do.
  reaper = spawn(
    process.execPath,
    [join(import.meta.dirname, 'reaper-program.ts'), run, String(process.pid)],
    {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
      env: { ...process.env, [runVariable]: undefined },
    },
  );
  reaper.unref();
}

/** vitest calls it after the last test. */
export async function teardown(): Promise<void> {
  const child = reaper;
  if (!child || child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.ref();
  child.stdin?.end();
  await ended;
}
