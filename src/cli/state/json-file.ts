import { readFileSync } from 'node:fs';
import { writeFileAtomicSync } from '../../kit/atomic-file.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { reasonOf } from '../../kit/system-reason.ts';

/** The JSON of a file of ours; undefined where there is none. Throws `StateUnreadable` when it is not JSON. */
export function readJsonFile<T>(path: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CodedError('StateUnreadable', `${path} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new CodedError(
      'StateUnreadable',
      `${path} is not JSON (${messageOf(error)}); remove it to begin anew`,
      {
        cause: error,
      },
    );
  }
}

export function writeJsonFile(path: string, value: unknown, mode = 0o600): void {
  writeFileAtomicSync(path, `${JSON.stringify(value, null, 2)}\n`, mode);
}
