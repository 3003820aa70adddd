import { existsSync, readdirSync } from 'node:fs';
import type { Option } from 'commander';
import { runningMeshes } from '../meshes.ts';
import { knownMeshes, stateDirectory, statePaths } from '../state/state-directory.ts';

/** Names of workloads: of the mesh that is named, else of those that run, else of all that are known here. */
function workloads(mesh: string | undefined): string[] {
  const running = runningMeshes();
  const meshes = mesh !== undefined ? [mesh] : running.length > 0 ? running : knownMeshes();
  return meshes.flatMap((name) => {
    const directory = statePaths(stateDirectory(name)).workloads;
    return existsSync(directory) ? readdirSync(directory).sort() : [];
  });
}

/** Words that an argument of a command can be, where they can be known without asking anybody. `given`: the arguments before it. */
export function argumentWords(
  command: string,
  given: readonly string[],
  mesh: string | undefined,
): readonly string[] {
  if (command === 'describe') {
    if (given.length === 0) return ['service', 'workload', 'pod'];
    return given.length === 1 && !/^(svc|services?)$/.test(given[0] ?? '') ? workloads(mesh) : [];
  }
  if (command === 'completion') return given.length === 0 ? ['bash', 'zsh', 'fish'] : [];
  if (command === 'logs') return [...workloads(mesh), 'control-plane', 'supervisor'];
  if (command === 'policy suggest') return workloads(mesh);
  const isOfOne = command === 'proxy-status' || command.startsWith('proxy-config ');
  return isOfOne && given.length === 0 ? workloads(mesh) : [];
}

/** Values of a flag. */
export function flagWords(option: Option): readonly string[] {
  if (option.argChoices) return option.argChoices;
  if (option.long === '--mesh') return knownMeshes();
  if (option.long === '--output')
    return ['short', 'json', 'yaml', 'wide', 'name', 'junit'].filter((form) =>
      new RegExp(`\\b${form}\\b`).test(option.description),
    );
  return [];
}
