import { existsSync } from 'node:fs';
import { type ApiAccess, readKubeconfig } from '../../../kit/kubeconfig.ts';
import { runningMeshes } from '../../meshes.ts';
import { type StatePaths, stateDirectory, statePaths } from '../../state/state-directory.ts';

/** The mesh of this machine that an API server belongs to: its Envoys can be asked. Undefined: it runs elsewhere. */
export function localMeshOf(access: ApiAccess): StatePaths | undefined {
  for (const name of runningMeshes()) {
    const paths = statePaths(stateDirectory(name));
    if (!existsSync(paths.kubeconfig)) continue;
    try {
      if (readKubeconfig(paths.kubeconfig).server === access.server) return paths;
    } catch {
      // A mesh that is being started or ended: not the one that answers.
    }
  }
  return undefined;
}
