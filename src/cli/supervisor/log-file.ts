import { copyFileSync, openSync, statSync, truncateSync } from 'node:fs';

/** A log is cut when it is larger than this; one older part is kept beside it. */
export const maxLogBytes = 10 * 1024 * 1024;

/** Where the older part of a log is. */
export function olderLog(path: string): string {
  return `${path}.1`;
}

/** Opens a log for a child to append to; the caller closes the descriptor once the child has it. */
export function openLog(path: string): number {
  return openSync(path, 'a', 0o600);
}

/**
 * Keeps a log within its bound while its writer goes on: the content moves to `<log>.1` and the file starts anew. Its writer has
 * it open for appending, so it continues at the new end. What is written between copy and cut is lost; logs may lose a line.
 */
export function boundLog(path: string, maxBytes = maxLogBytes): boolean {
  try {
    if (statSync(path).size <= maxBytes) return false;
    copyFileSync(path, olderLog(path));
    truncateSync(path, 0);
    return true;
  } catch {
    return false;
  }
}
