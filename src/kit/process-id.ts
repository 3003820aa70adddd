import { readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same pid. */
export interface ProcessId {
  readonly pid: number;
  /** Start time as the kernel counts it (clock ticks since boot, /proc/<pid>/stat field 22); 0 where there is no /proc. */
  readonly startTime: number;
}

/** What runs under `pid` now; undefined when nothing does (a zombie counts as nothing). */
export function processId(pid: number): ProcessId | undefined {
  const stat = readStat(pid);
  if (stat) return stat.state === 'Z' || stat.state === 'X' ? undefined : { pid, startTime: stat.startTime };
  if (stat === null) return undefined;
  return signalZero(pid) ? { pid, startTime: 0 } : undefined;
}

/** True while exactly that process runs. */
export function isAlive(id: ProcessId): boolean {
  const now = processId(id.pid);
  return now !== undefined && now.startTime === id.startTime;
}

/** Signals exactly that process. False when it is gone. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false;
  try {
    process.kill(id.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** null: no such process; undefined: this system has no /proc. */
function readStat(pid: number): { state: string; startTime: number } | null | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return hasProc() ? null : undefined;
  }
  // The command name is in parentheses and may itself hold blanks and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? 'X', startTime: Number(fields[19] ?? 0) };
}

function hasProc(): boolean {
  try {
    readFileSync('/proc/self/stat');
    return true;
  } catch {
    return false;
  }
}

function signalZero(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
