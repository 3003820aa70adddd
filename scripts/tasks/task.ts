import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';

export interface TaskContext {
  /** The checkout. */
  readonly root: string;
  /** What followed the task's name. */
  readonly args: readonly string[];
}

export interface Task {
  /** One line for the list of tasks. */
  readonly summary: string;
  /** True: the bundles in `dist/` are brought up to date first. */
  readonly build?: boolean;
  /** Resolves with the exit code. */
  run(context: TaskContext): Promise<number>;
}

/** Runs a Node program of the checkout on our terminal. Resolves with its exit code (128 + signal number where a signal ended it). */
export function runNode(
  root: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  return ended(spawn(process.execPath, [join(root, program), ...args], { cwd: root, stdio: 'inherit', env }));
}

/** How a program ended that ran out of sight, and what it wrote. */
export interface Captured {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As `runNode`, for a program that runs beside others: what it writes is kept, to be told as one. */
export async function captureNode(
  root: string,
  program: string,
  args: readonly string[],
  cwd = root,
): Promise<Captured> {
  const child = spawn(process.execPath, [join(root, program), ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return { code: await ended(child), stdout, stderr };
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const forward = (signal: NodeJS.Signals): void => {
      if (signal !== 'SIGINT' || !(process.stdin.isTTY || process.stderr.isTTY)) child.kill(signal);
    };
    process.on('SIGINT', forward).on('SIGTERM', forward);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.off('SIGINT', forward).off('SIGTERM', forward);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

/** What a static check found, and what it said of it. */
export interface CheckOutcome {
  readonly ok: boolean;
  readonly said: string;
}

/** Where the command-line programs of our development tools are. */
export const tools = {
  tsc: 'node_modules/typescript/bin/tsc',
  biome: 'node_modules/@biomejs/biome/bin/biome',
  depcruise: 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs',
  knip: 'node_modules/knip/bin/knip.js',
  vitest: 'node_modules/vitest/vitest.mjs',
} as const;
