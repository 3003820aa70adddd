import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../kit/atomic-file.ts';

/**
 * `trust`: everybody learns to trust the new roots beside the old ones, which still sign. `issue`: the new authority signs, and everybody
 * renews. When nobody holds a certificate of the old one any more, the old roots go.
 */
export type RotationPhase = 'trust' | 'issue';

export interface RotationRecord {
  readonly phase: RotationPhase;
  /** Ms since the epoch. */
  readonly startedAt: number;
  /** When the phase began, ms since the epoch. */
  readonly since: number;
}

/** Where an authority and its successor are kept below a state directory. */
export interface RotationFiles {
  /** The authority in force. */
  readonly current: string;
  /** The one that takes over. */
  readonly next: string;
  readonly retired: string;
  /** Signs the control plane's own certificate where the workloads' come from elsewhere. */
  readonly own: string;
  readonly record: string;
}

export function rotationFiles(state: string): RotationFiles {
  return {
    current: join(state, 'ca'),
    next: join(state, 'ca-next'),
    retired: join(state, 'ca-retired'),
    own: join(state, 'ca-control-plane'),
    record: join(state, 'ca-rotation.json'),
  };
}

/** The rotation that was going on; undefined without one, or where its file makes no sense. */
export async function readRecord(files: RotationFiles): Promise<RotationRecord | undefined> {
  try {
    const { phase, startedAt, since } = JSON.parse(await readFile(files.record, 'utf8')) as RotationRecord;
    return phase === 'trust' || phase === 'issue' ? { phase, startedAt, since } : undefined;
  } catch {
    return undefined;
  }
}

export function writeRecord(files: RotationFiles, record: RotationRecord): Promise<void> {
  return writeFileAtomic(files.record, JSON.stringify(record));
}

/** The next authority becomes the one in force. Any step may be the last before a crash: `recover` goes on from there. */
export async function retire(files: RotationFiles): Promise<void> {
  await rm(files.retired, { recursive: true, force: true });
  await rename(files.current, files.retired);
  await rename(files.next, files.current);
  await rm(files.record, { force: true });
  // Nothing is to be signed with it again.
  await rm(join(files.retired, 'ca-key.pem'), { force: true });
}

/** Brings the files of an interrupted start or end of a rotation into order. */
export async function recover(
  files: RotationFiles,
  exists: (path: string) => Promise<boolean>,
): Promise<void> {
  const [current, next] = [await exists(files.current), await exists(files.next)];
  if (!current && next && (await exists(files.retired))) {
    await rename(files.next, files.current);
    await rm(files.record, { force: true });
  } else if (next && (await readRecord(files)) === undefined) {
    // Made, but nobody was told of it yet.
    await rm(files.next, { recursive: true, force: true });
  } else if (!next) await rm(files.record, { force: true });
  if (await exists(files.retired)) await rm(join(files.retired, 'ca-key.pem'), { force: true });
}
