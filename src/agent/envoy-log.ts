import {
  closeSync,
  copyFileSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';

/** Opens the log that Envoy's stdout and stderr go to. Appending, so that a truncated file goes on at its start. */
export function openEnvoyLog(path: string): number {
  return openSync(path, 'a', 0o600);
}

/**
 * Keeps the log within its bound: what is there goes to `<path>.1` (replacing an older one) and the file is emptied. Envoy holds the
 * file open, so it is copied rather than renamed; lines written between the two steps are lost.
 */
export function rotateEnvoyLog(path: string, maxBytes: number): boolean {
  try {
    if (statSync(path).size <= maxBytes) return false;
    copyFileSync(path, `${path}.1.tmp`);
    truncateSync(path, 0);
    renameSync(`${path}.1.tmp`, `${path}.1`);
    return true;
  } catch {
    return false;
  }
}

/** The last lines, for a message about a crash. */
export function tailEnvoyLog(path: string, lines: number): string {
  try {
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      const buffer = Buffer.alloc(Math.min(size, 4_096));
      readSync(file, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8').trimEnd().split('\n').slice(-lines).join('\n');
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}
