import type { MeshWorkload } from '../mesh-file/mesh-file.ts';
import { sourceDirectory } from '../programs.ts';
import type { Instance } from './instance.ts';
import { watchTree } from './watch-tree.ts';

/** Restarts applications when files of their directory change, and the control plane with our own sources (`up --watch`). */
export function watchFiles(
  mesh: {
    readonly stateDirectory: string;
    readonly workloads: readonly MeshWorkload[];
    readonly log: (line: string) => void;
    instances(): readonly Instance[];
    restartControlPlane(): void;
  },
  signal: AbortSignal,
): void {
  const watchDirectory = (directory: string, restart: () => void): void =>
    watchTree(
      directory,
      (file) => {
        // The state of a mesh may be kept below its project.
        if (file.startsWith(mesh.stateDirectory)) return;
        mesh.log(`${file} changed`);
        restart();
      },
      signal,
      (error) => mesh.log(`${directory} cannot be watched: ${error.message}`),
    );
  const directories = new Set(mesh.workloads.map(({ workingDirectory }) => workingDirectory));
  for (const directory of directories)
    watchDirectory(directory, () => {
      for (const instance of mesh.instances())
        if (instance.plan.workload?.workingDirectory === directory) void instance.restartApp();
    });
  const sources = sourceDirectory();
  if (sources !== undefined) watchDirectory(sources, () => mesh.restartControlPlane());
}
