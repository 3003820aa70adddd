import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type ParsedObject, parseYamlDocuments, type YamlProblem } from '../../config/yaml-documents.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { readOrNotFound } from '../../kit/read-or-not-found.ts';
import { filesAt } from '../files-at.ts';
import { isTestFile } from '../mesh-tests/is-test-file.ts';

export interface CollectedObjects {
  readonly objects: readonly ParsedObject[];
  readonly problems: readonly YamlProblem[];
}

const configurationFile = /\.(ya?ml|json)$/i;

/**
 * Reads the objects of files and directories, in the order given; a directory's files by name, without its subdirectories unless
 * `recursive`, as kubectl does. `-` is standard input. Throws `FileNotFound` for a path that is not there.
 */
export function collectObjects(
  paths: readonly string[],
  options: { recursive?: boolean } = {},
): CollectedObjects {
  const objects: ParsedObject[] = [];
  const problems: YamlProblem[] = [];
  for (const file of paths.flatMap((path) => filesOf(path, options.recursive ?? false))) {
    const name = file === '-' ? '<standard input>' : shortPath(file);
    const parsed = parseYamlDocuments(readInput(file), name);
    objects.push(...parsed.objects);
    problems.push(...parsed.problems);
  }
  return { objects, problems };
}

function filesOf(path: string, recursive: boolean): string[] {
  if (path === '-') return ['-'];
  if (/^https?:\/\//.test(path))
    throw new CodedError(
      'UrlNotRead',
      `${path}: Ostria reads files, not URLs; download it first and look at it`,
    );
  const files = filesAt(path, (name) => configurationFile.test(name) && !isTestFile(name), recursive);
  if (files.length === 0)
    throw new CodedError(
      'FileNotFound',
      `${path} holds no .yaml, .yml or .json file${recursive ? '' : ' (-R looks into subdirectories too)'}`,
    );
  return files;
}

function readInput(file: string): Uint8Array {
  const isInput = file === '-';
  return readOrNotFound(isInput ? 'standard input' : file, () => readFileSync(isInput ? 0 : file));
}

/** Relative where that is shorter to read. */
export function shortPath(file: string): string {
  const near = relative(process.cwd(), file);
  return near === '' || near.startsWith('..') ? file : near;
}
