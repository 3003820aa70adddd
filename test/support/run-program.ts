import { type SpawnOptions, spawn } from 'node:child_process';

/** How a program ended, and what it said. */
export interface Outcome {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program on no terminal until it ends. `input`: what it reads; default nothing. */
export function runProgram(
  command: string,
  args: readonly string[],
  { input = '', ...options }: Omit<SpawnOptions, 'stdio'> & { readonly input?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
    // One that ends before it has read everything is no failure of ours.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
