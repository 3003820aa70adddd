import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ensureBuilt } from '../../scripts/launcher/build.mjs';
import { root } from './ostria.ts';
import { type Outcome, runProgram } from './run-program.ts';

/** `ostria` as a user runs it, in a directory of its own, without a mesh. */
export interface Cli {
  readonly directory: string;
  /** What Node is told to run it, before its arguments. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A process of its own, on no terminal. */
  run(args: readonly string[], input?: string): Promise<Outcome>;
  /** Writes a file into the directory; its name. */
  write(name: string, text: string): string;
  close(): void;
}

/** Of the bundle, which is built where it is stale: the sources take four times as long to start. */
export async function openCli(): Promise<Cli> {
  await ensureBuilt(root, process.execPath);
  const program = join(root, 'dist', 'cli.js');
  const directory = mkdtempSync(join(tmpdir(), 'ostria-cli-'));
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    OSTRIA_HOME: join(directory, 'state'),
    TERM: 'xterm',
  };
  return {
    directory,
    program,
    env,
    run: (args, input = '') =>
      runProgram(process.execPath, [program, ...args], { cwd: directory, env, input }),
    write(name, text) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
      return name;
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
