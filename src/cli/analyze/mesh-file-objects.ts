import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { SourceObject } from '../../analyze/analyzer.ts';
import type { ConfigObject } from '../../config/object.ts';
import type { MeshFile, MeshGateway, MeshWorkload } from '../mesh-file/mesh-file.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { formatProblems } from '../mesh-file/problems.ts';
import { sharedObjects } from '../supervisor/mesh-objects.ts';

export interface MeshFileObjects {
  /** Services, namespaces and pods of the meshes that the files describe. */
  readonly sources: readonly SourceObject[];
  /** Files and directories that the meshes apply. */
  readonly apply: readonly string[];
  /** Lines for people. */
  readonly problems: readonly string[];
}

const meshFile = /^mesh\.ya?ml$/;

/** The mesh files among some paths, and those that stand in the directories among them. */
export function findMeshFiles(paths: readonly string[]): string[] {
  const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  return paths.flatMap((path) => {
    if (meshFile.test(basename(path))) return isFile(path) ? [path] : [];
    return ['mesh.yaml', 'mesh.yml'].map((name) => join(path, name)).filter(isFile);
  });
}

/** What `ostria up` would publish for mesh files: no process is needed to know it. */
export function meshFileObjects(files: readonly string[]): MeshFileObjects {
  const sources: SourceObject[] = [];
  const apply: string[] = [];
  const problems: string[] = [];
  for (const file of files) {
    const result = readMeshFile(file);
    if (!result.ok) {
      problems.push(formatProblems(result.problems));
      continue;
    }
    const { mesh } = result;
    apply.push(...mesh.apply);
    sources.push(...objectsOfMesh(mesh).map((object) => ({ object })));
  }
  return { sources, apply, problems };
}

/** Services, namespaces and pods of one mesh. */
export function objectsOfMesh(mesh: MeshFile): ConfigObject[] {
  return [...sharedObjects(mesh, []), ...podsOf(mesh)];
}

function podsOf({ workloads, gateways }: MeshFile): ConfigObject[] {
  const proxy = { name: 'istio-proxy', image: 'ostria.dev/process' };
  const pod = (
    { name, namespace, labels }: MeshWorkload | MeshGateway,
    containers: readonly unknown[],
  ): ConfigObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { ...labels } },
    spec: { containers },
  });
  return [
    ...workloads.map((workload) => {
      const ports = workload.ports.map(({ name, port }) => ({ name, containerPort: port }));
      return pod(workload, [{ name: workload.service, image: 'ostria.dev/process', ports }, proxy]);
    }),
    ...gateways.map((gateway) => pod(gateway, [proxy])),
  ];
}
