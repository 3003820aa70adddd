import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a directory with its parents where they are absent. Throws what the system says. `mkdirSync` with `recursive` does not: on a
 * file system that makes no directories, such as /proc, it tries for ever.
 *
 * @param mode of each directory that is made, before the umask; default 0777
 */
export function makeDirectory(path: string, mode = 0o777): void {
  const failure = tryToMake(path, mode);
  if (!failure) return;
  const above = dirname(path);
  if (failure.code !== 'ENOENT' || above === path) throw failure;
  makeDirectory(above, mode);
  const again = tryToMake(path, mode);
  if (again) throw again;
}

function tryToMake(path: string, mode: number): NodeJS.ErrnoException | undefined {
  try {
    mkdirSync(path, { mode });
    return undefined;
  } catch (error) {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory()
      ? undefined
      : (error as NodeJS.ErrnoException);
  }
}
