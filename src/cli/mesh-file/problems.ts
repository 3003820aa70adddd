import { relative } from 'node:path';
import type { MeshFileProblem } from './mesh-file.ts';

/** One line per problem: `mesh.yaml:12:5: what is wrong`. */
export function formatProblems(problems: readonly MeshFileProblem[], directory = process.cwd()): string {
  return problems
    .map(({ file, line, column, message }) => {
      const near = relative(directory, file);
      return `${near.startsWith('..') || near === '' ? file : near}:${line}:${column}: ${message}`;
    })
    .join('\n');
}
