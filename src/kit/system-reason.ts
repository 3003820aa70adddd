import { getSystemErrorMessage } from 'node:util';
import { messageOf } from './coded-error.ts';

/** What the system says of a call on a file that failed, such as `permission denied`. undefined: the error is none of these. */
export function systemReason(error: unknown): string | undefined {
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || typeof errno !== 'number' || syscall === undefined) return undefined;
  return getSystemErrorMessage(errno);
}

/** The same, or the message of anything else that was thrown. */
export function reasonOf(error: unknown): string {
  return systemReason(error) ?? messageOf(error);
}
