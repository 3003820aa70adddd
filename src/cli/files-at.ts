import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../kit/coded-error.ts';
import { readOrNotFound } from '../kit/read-or-not-found.ts';

const mostFiles = 5_000;

/**
 * The file at a path that a user named, or the files that are wanted in the directory there, sorted; of its subdirectories too where
 * `recursive`, but for `node_modules`. Throws `FileNotFound` for a path that is not there, `TooManyFiles` for more than 5,000.
 */
export function filesAt(path: string, wanted: (name: string) => boolean, recursive: boolean): string[] {
  if (!readOrNotFound(path, () => statSync(path).isDirectory())) return [path];
  const files = entriesBelow(path, recursive)
    .filter((entry) => !entry.isDirectory() && wanted(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  if (files.length <= mostFiles) return files;
  throw new CodedError(
    'TooManyFiles',
    `${path} holds more than ${mostFiles} files; name the ones that are meant`,
  );
}

function entriesBelow(directory: string, recursive: boolean): Dirent[] {
  const entries = readOrNotFound(directory, () => readdirSync(directory, { withFileTypes: true }));
  if (!recursive) return entries;
  return entries.flatMap((entry) =>
    entry.isDirectory() && entry.name !== 'node_modules'
      ? entriesBelow(join(directory, entry.name), true)
      : [entry],
  );
}
