import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { chooseMesh, runningSupervisor } from '../meshes.ts';
import { knownMeshes, type StatePaths, stateDirectory, statePaths } from '../state/state-directory.ts';
import { callControl } from '../supervisor/control-socket.ts';
import { loadMesh } from '../supervisor/load-mesh.ts';
import { findOurs, sweep, waitForEnd } from '../supervisor/ours.ts';

interface DownFlags {
  readonly mesh?: string;
  readonly file?: string;
  readonly all?: boolean;
  readonly purge?: boolean;
}

export function registerDown(program: Command): void {
  program
    .command('down')
    .summary('end a mesh and every process that it started')
    .description(
      'Ends the supervisor, the control plane, all agents, Envoys and applications of a mesh. Its configuration and ports are kept for the next ostria up.',
    )
    .option('--mesh <name>', 'mesh of this machine (default: the one that runs)')
    .option('-f, --file <file>', 'the mesh of this mesh file')
    .option('--all', 'every mesh of this user')
    .option('--purge', 'forget its state too: configuration, keys, certificates, ports and logs')
    .addHelpText(
      'after',
      `
Examples:
  ostria down
  ostria down --all
  ostria down -f samples/bookinfo/mesh.yaml
  ostria down --mesh bookinfo --purge`,
    )
    .action(async (flags: DownFlags) => {
      const meshes = flags.all ? knownMeshes() : [chooseMesh(flags.mesh ?? nameOf(flags.file))];
      if (meshes.length === 0) process.stdout.write('There is no mesh here.\n');
      for (const mesh of meshes) {
        const paths = statePaths(stateDirectory(mesh));
        await endMesh(paths, mesh);
        if (flags.purge) {
          rmSync(paths.directory, { recursive: true, force: true });
          process.stdout.write(`The state of ${mesh} is removed.\n`);
        }
      }
    });
}

function nameOf(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  return loadMesh({ meshFile: resolve(file), profiles: [] }).name;
}

/** Longest time in which a supervisor ends a mesh by itself. */
const shutdownMs = 25_000;

/** Ends everything of a mesh, also what a killed supervisor left behind. Throws `ProcessesLeft` when something does not go. */
export async function endMesh(paths: StatePaths, mesh: string): Promise<void> {
  const supervisor = runningSupervisor(paths);
  if (supervisor) {
    await callControl(paths.controlSocket, 'shutdown').catch(() => undefined);
    await waitForEnd([supervisor], shutdownMs);
  }
  const ended = await sweep(paths.directory);
  const left = findOurs(paths.directory);
  if (left.length > 0)
    throw new CodedError(
      'ProcessesLeft',
      `these processes of ${mesh} did not end: ${left.map(({ pid }) => pid).join(', ')}; end them with kill -9`,
    );
  rmSync(paths.supervisor, { force: true });
  process.stdout.write(
    supervisor || ended.length > 0 ? `The mesh ${mesh} has ended.\n` : `The mesh ${mesh} was not running.\n`,
  );
}
