import { CodedError } from '../../kit/coded-error.ts';
import type { MeshFile } from '../mesh-file/mesh-file.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { formatProblems } from '../mesh-file/problems.ts';
import type { SupervisorConfig } from './supervisor-config.ts';

/** The mesh file with only the workloads whose profiles were asked for. Throws `MeshFileInvalid`. */
export function loadMesh(config: Pick<SupervisorConfig, 'meshFile' | 'profiles'>): MeshFile {
  const result = readMeshFile(config.meshFile);
  if (!result.ok) throw new CodedError('MeshFileInvalid', formatProblems(result.problems));
  const { mesh } = result;
  return {
    ...mesh,
    workloads: mesh.workloads.filter(
      ({ profiles }) =>
        profiles.length === 0 || profiles.some((profile) => config.profiles.includes(profile)),
    ),
  };
}
