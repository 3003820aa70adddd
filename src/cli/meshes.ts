import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../kit/coded-error.ts';
import { isAlive, type ProcessId } from '../kit/process-id.ts';
import { readMeshFile } from './mesh-file/parse-mesh-file.ts';
import { readJsonFile } from './state/json-file.ts';
import { knownMeshes, type StatePaths, stateDirectory, statePaths } from './state/state-directory.ts';
import { findOurs } from './supervisor/ours.ts';

/** The supervisor of a mesh, while it runs. */
export function runningSupervisor(paths: StatePaths): ProcessId | undefined {
  let id: ProcessId | undefined;
  try {
    id = readJsonFile<ProcessId>(paths.supervisor);
  } catch {
    return undefined;
  }
  if (!id || !isAlive(id)) return undefined;
  // Without start times (no /proc) the pid may be another's by now: the socket must be there too.
  return id.startTime === 0 ? (existsSync(paths.controlSocket) ? id : undefined) : id;
}

export function runningMeshes(): string[] {
  return knownMeshes().filter((name) => runningSupervisor(statePaths(stateDirectory(name))) !== undefined);
}

/**
 * Which mesh a command means: the one named, `OSTRIA_MESH`, the mesh file of this directory, the only one that runs, or the
 * only one known. Throws `MeshUnknown`.
 */
export function chooseMesh(named: string | undefined): string {
  const asked = named ?? process.env.OSTRIA_MESH;
  const known = knownMeshes();
  if (asked !== undefined && asked !== '') {
    if (known.includes(asked)) return asked;
    throw new CodedError(
      'MeshUnknown',
      `there is no mesh named ${asked}; ${known.length > 0 ? `known are ${known.join(', ')}` : 'start one with ostria up'}`,
    );
  }
  if (existsSync(join(process.cwd(), 'mesh.yaml'))) {
    const result = readMeshFile('mesh.yaml');
    if (result.ok && known.includes(result.mesh.name)) return result.mesh.name;
  }
  const running = runningMeshes();
  const [only] = running.length > 0 ? running : known;
  if ((running.length === 1 || (running.length === 0 && known.length === 1)) && only !== undefined)
    return only;
  if (known.length === 0)
    throw new CodedError('MeshUnknown', 'there is no mesh here; start one with ostria up');
  throw new CodedError(
    'MeshUnknown',
    `which mesh? ${(running.length > 0 ? running : known).join(', ')} ${running.length > 0 ? 'are running' : 'are known'}; name one with --mesh`,
  );
}

/** Paths of a mesh that must be running. Throws `MeshNotRunning`. */
export function requireRunning(named: string | undefined): { mesh: string; paths: StatePaths } {
  const mesh = chooseMesh(named);
  const paths = statePaths(stateDirectory(mesh));
  if (runningSupervisor(paths)) return { mesh, paths };
  const left = findOurs(paths.directory).length;
  throw new CodedError(
    'MeshNotRunning',
    left === 0
      ? `the mesh ${mesh} is not running; start it with ostria up`
      : `the supervisor of the mesh ${mesh} has ended, ${left} of its processes run on: ostria up takes them over, ostria down ends them`,
  );
}
