import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessId, processId } from '../../kit/process-id.ts';
import { readJsonFile } from '../state/json-file.ts';

/** In the environment of everything that a mesh starts: the mesh's state directory. Children of children inherit it. */
export const markerVariable = 'OSTRIA_MESH_STATE';

/** Processes that were recorded when they were started. */
export type Recorded = readonly ProcessId[];

/** What a mesh's table of processes holds (`process-table.ts`); nothing where it cannot be read. */
function recordedIn(directory: string): Recorded {
  try {
    const table = readJsonFile<{ processes?: Record<string, ProcessId> }>(join(directory, 'processes.json'));
    return Object.values(table?.processes ?? {});
  } catch {
    return [];
  }
}

/**
 * Whether a process was started by (or under) the mesh whose state is in `directory`. False where it cannot be known. Servers that
 * write a title over their environment (Redis, PostgreSQL) have no marker any more: there the record tells, pid and start time.
 */
export function isOurs(pid: number, directory: string, recorded?: Recorded): boolean {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    if (environment.includes('=')) return environment.split('\0').includes(`${markerVariable}=${directory}`);
    return (recorded ?? recordedIn(directory)).some((known) => known.pid === pid && isAlive(known));
  } catch {
    return false;
  }
}

/** Every process of the mesh that runs now, ourselves apart. Where there is no /proc: none. */
export function findOurs(directory: string): ProcessId[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  const recorded = recordedIn(directory);
  return names
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => isOurs(Number(name), directory, recorded))
    .flatMap((name) => processId(Number(name)) ?? []);
}

export interface SweepOptions {
  /** Between SIGTERM and SIGKILL. Default 5,000 ms. */
  readonly graceMs?: number;
  /** Processes that are left alone. */
  readonly except?: (id: ProcessId) => boolean;
}

/**
 * Ends every process that carries a mesh's marker; each is signalled only while pid and start time are still the same. Returns
 * those that were ended. Looks again after each round, since a dying process may have started another; bounded.
 */
export async function sweep(directory: string, options: SweepOptions = {}): Promise<ProcessId[]> {
  const { graceMs = 5_000, except = () => false } = options;
  const ended = new Map<string, ProcessId>();
  for (let round = 0; round < 5; round++) {
    const alive = findOurs(directory).filter((id) => !except(id));
    if (alive.length === 0) break;
    for (const id of alive) ended.set(keyOf(id), id);
    signalAll(alive, 'SIGTERM');
    const left = await waitForEnd(alive, round === 0 ? graceMs : 1_000);
    signalAll(left, 'SIGKILL');
    await waitForEnd(left, 2_000);
  }
  return [...ended.values()];
}

function keyOf({ pid, startTime }: ProcessId): string {
  return `${pid}/${startTime}`;
}

function signalAll(ids: readonly ProcessId[], signal: NodeJS.Signals): void {
  for (const id of ids) {
    if (!isAlive(id)) continue;
    try {
      process.kill(id.pid, signal);
    } catch {
      // Gone meanwhile.
    }
  }
}

/** Resolves with those that still run after `ms`. */
export async function waitForEnd(ids: readonly ProcessId[], ms: number): Promise<ProcessId[]> {
  const deadline = Date.now() + ms;
  for (;;) {
    const left = ids.filter(isAlive);
    if (left.length === 0 || Date.now() >= deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
