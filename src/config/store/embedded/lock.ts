import { readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { writeFileAtomicSync } from '../../../kit/atomic-file.ts';
import { isAlive, type ProcessId, processId } from '../../../kit/process-id.ts';
import { StoreError } from '../store.ts';
import { createPrivateFile } from './schema.ts';

export interface StoreLock {
  release(): void;
}

/**
 * Makes this process the only one to write the store at `path`. The lock is the kernel's (SQLite's exclusive lock on an
 * otherwise unused database beside the store), so it ends with the process, however that ends; the pid stands in a file
 * of its own, for the message only. Throws `StoreLocked`.
 */
export function lockStore(path: string): StoreLock {
  const lockFile = `${path}.lock`;
  const pidFile = `${path}.pid`;
  createPrivateFile(lockFile);
  const database = new DatabaseSync(lockFile);
  try {
    database.exec(
      'PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;',
    );
  } catch (error) {
    database.close();
    throw new StoreError(
      'StoreLocked',
      `${path} is in use by ${describeHolder(pidFile)}; stop it, or give this one another state directory`,
      { cause: error },
    );
  }
  const own = processId(process.pid) ?? { pid: process.pid, startTime: 0 };
  writeFileAtomicSync(pidFile, JSON.stringify(own));
  return {
    release: () => {
      rmSync(pidFile, { force: true });
      database.close();
    },
  };
}

function describeHolder(pidFile: string): string {
  try {
    const holder = JSON.parse(readFileSync(pidFile, 'utf8')) as ProcessId;
    if (isAlive(holder))
      return holder.pid === process.pid ? `this process (pid ${holder.pid})` : `process ${holder.pid}`;
  } catch {
    // Not written yet, or just removed: the holder is between two steps.
  }
  return 'another process';
}
