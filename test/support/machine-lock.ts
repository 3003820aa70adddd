import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, type ProcessId, processId } from '../../src/kit/process-id.ts';

/** What this process holds; the locks of one that was killed are taken over by whoever needs them. */
const held = new Set<string>();
process.once('exit', () => {
  for (const lock of held) rmSync(lock, { force: true });
});

/** The first of the numbers that no process of this machine has taken; undefined where all are. */
export function takeNumber(kind: string, numbers: readonly number[]): number | undefined {
  return numbers.find((number) => take(lockOf(kind, number)));
}

export function releaseNumber(kind: string, number: number): void {
  const lock = lockOf(kind, number);
  if (held.delete(lock)) rmSync(lock, { force: true });
}

const lockOf = (kind: string, number: number): string => join(tmpdir(), `ostria-test-${kind}-${number}`);

function take(lock: string): boolean {
  const own = `${lock}-${process.pid}`;
  // A link appears with its content: nobody finds a lock without an owner.
  writeFileSync(own, JSON.stringify(processId(process.pid)));
  try {
    if (!linked(own, lock)) {
      if (isOwned(lock)) return false;
      // Two may find the same dead owner: only one of them moves its lock away.
      renameSync(lock, `${own}-stale`);
      const mistaken = isOwned(`${own}-stale`);
      if (!linked(mistaken ? `${own}-stale` : own, lock) || mistaken) return false;
    }
    held.add(lock);
    return true;
  } catch {
    return false;
  } finally {
    for (const file of [own, `${own}-stale`]) rmSync(file, { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}

/** What cannot be read is left alone: it may be somebody else's. */
function isOwned(lock: string): boolean {
  try {
    return isAlive(JSON.parse(readFileSync(lock, 'utf8')) as ProcessId);
  } catch {
    return true;
  }
}
