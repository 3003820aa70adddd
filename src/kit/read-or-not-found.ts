import { CodedError } from './coded-error.ts';
import { reasonOf } from './system-reason.ts';

/** What `read` finds at a path that a user named. Throws `FileNotFound` with `name` and the system's reason where it cannot be read. */
export function readOrNotFound<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CodedError('FileNotFound', `${name} cannot be read: ${reasonOf(error)}`);
  }
}
