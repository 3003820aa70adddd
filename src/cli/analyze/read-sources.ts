import type { SourceObject } from '../../analyze/analyzer.ts';
import { collectObjects, shortPath } from '../apply/collect-objects.ts';
import { findMeshFiles, meshFileObjects } from './mesh-file-objects.ts';

export interface ReadSources {
  /** What files hold; of mesh files, what they publish and what they apply. */
  readonly sources: readonly SourceObject[];
  /** Lines about files that could not be read. */
  readonly broken: readonly string[];
  readonly meshFiles: readonly string[];
}

/**
 * Objects of files and directories. One that names no namespace is put into `namespace`, where that is given. Throws `FileNotFound`
 * for a path that is not there.
 */
export function readSources(
  files: readonly string[],
  { recursive = false, namespace }: { readonly recursive?: boolean; readonly namespace?: string },
): ReadSources {
  const meshFiles = findMeshFiles(files);
  const mesh = meshFileObjects(meshFiles);
  const meshNames = new Set(meshFiles.map(shortPath));
  const others = files.filter((file) => !meshFiles.includes(file));
  const plain = collectObjects(others, { recursive });
  const known = new Set(plain.objects.map(({ positions }) => positions.file));
  const applied = collectObjects(mesh.apply, { recursive: true });
  const objects = [
    ...plain.objects,
    ...applied.objects.filter(({ positions }) => !known.has(positions.file)),
  ];
  const sources = objects.map(({ object, positions }) => {
    const { metadata } = object;
    const given = namespace !== undefined && !metadata?.namespace && object.kind !== 'Namespace';
    return { positions, object: given ? { ...object, metadata: { ...metadata, namespace } } : object };
  });
  const broken = [...plain.problems, ...applied.problems]
    .filter(({ file }) => !meshNames.has(file))
    .map(({ file, line, column, message }) => `error: ${file}:${line}:${column}: ${message}`);
  return {
    sources: [...mesh.sources, ...sources],
    broken: [...mesh.problems, ...new Set(broken)],
    meshFiles,
  };
}
