import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from '../../scripts/launcher/build.mjs';
import type { MeshStatus } from '../../src/cli/supervisor/mesh-status.ts';
import { findOurs } from '../../src/cli/supervisor/ours.ts';
import { type Outcome, runProgram } from './run-program.ts';

export const root = join(import.meta.dirname, '..', '..');

/** `ostria` as a user runs it, with a home of its own: nothing of it touches another mesh of this machine. */
export interface Ostria {
  /** Holds the state of its meshes. */
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  run(
    args: readonly string[],
    options?: { input?: string; cwd?: string; env?: Readonly<Record<string, string>> },
  ): Promise<Outcome>;
  /** `ostria ps -o json`. */
  status(): Promise<MeshStatus>;
  /** Processes of a mesh that run now. */
  processes(mesh: string): readonly { readonly pid: number; readonly startTime: number }[];
  /** Ends every mesh and removes the home. */
  close(): Promise<void>;
}

/** Builds the bundles where they are stale: what is tested is what is shipped. */
export async function openOstria(): Promise<Ostria> {
  await ensureBuilt(root, process.execPath);
  const home = mkdtempSync(join(tmpdir(), 'ostria-e2e-'));
  const env = { ...process.env, OSTRIA_HOME: home, NO_COLOR: '1', OSTRIA_MESH: undefined };
  const run: Ostria['run'] = (args, { input = '', cwd = root, env: more = {} } = {}) =>
    runProgram(process.execPath, [join(root, 'bin', 'ostria.mjs'), ...args], {
      ...{ input, cwd },
      env: { ...env, ...more },
    });
  return {
    home,
    env,
    run,
    status: async () => {
      const { code, stdout, stderr } = await run(['ps', '-o', 'json']);
      if (code !== 0) throw new Error(`ostria ps ended with ${code}: ${stderr}`);
      return JSON.parse(stdout) as MeshStatus;
    },
    processes: (mesh) => findOurs(join(home, mesh)),
    close: async () => {
      spawnSync(process.execPath, [join(root, 'bin', 'ostria.mjs'), 'down', '--all'], {
        env,
        timeout: 60_000,
      });
      rmSync(home, { recursive: true, force: true });
    },
  };
}
