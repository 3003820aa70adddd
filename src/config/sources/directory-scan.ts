import type { BigIntStats, Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../kit/coded-error.ts';
import type { SourceProblem } from './source-problem.ts';

/** A configuration file as found: `fingerprint` changes whenever its content may have. */
export interface ScannedFile {
  path: string;
  fingerprint: string;
  /** Last change in ms since the epoch. */
  changedAt: number;
}

export interface Scan {
  files: ScannedFile[];
  /**
   * All directories whose entries decide what the files are, which are those to watch: real path to identity. A directory
   * that was removed and made again has the same path and another identity.
   */
  directories: Map<string, string>;
  problems: SourceProblem[];
}

const configurationFile = /\.(?:yaml|yml|json)$/i;
const deepest = 32;
const mostFiles = 20_000;
/** Entries that are asked for at a time: one after another, waking a thread for each costs more than the question. */
const together = 32;

/**
 * Finds `*.yaml`, `*.yml` and `*.json` below `root`, sorted by path. Symbolic links are followed, names with a leading dot
 * are skipped: so a mounted ConfigMap is read once, through its links, and not again through `..data`.
 */
export async function scanDirectory(root: string): Promise<Scan> {
  const scan: Scan = { files: [], directories: new Map(), problems: [] };
  await visit(root, [], scan);
  scan.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  if (scan.files.length > mostFiles) {
    scan.problems.push(
      problem(
        root,
        'TooManyFiles',
        `holds more than ${mostFiles} configuration files; put several objects into one file`,
      ),
    );
  }
  return scan;
}

async function visit(directory: string, parents: readonly string[], scan: Scan): Promise<void> {
  let real: string;
  let entries: Dirent[];
  try {
    real = await addDirectory(directory, scan);
    entries = await readdir(directory, { withFileTypes: true });
  } catch (error) {
    scan.problems.push(unreadable(directory, error));
    return;
  }
  // A link to a directory that we are inside of would never end; the objects are read where they stand.
  if (parents.includes(real) || parents.length >= deepest || scan.files.length > mostFiles) return;
  const inside = [...parents, real];
  const visible = entries.filter(({ name }) => !name.startsWith('.'));
  visible.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (let at = 0; at < visible.length; at += together) {
    const looks = visible.slice(at, at + together).map((entry) => look(join(directory, entry.name), entry));
    for (const found of await Promise.all(looks)) if (found) await take(found, inside, scan);
  }
}

/** What an entry is, or why nobody can tell. */
interface Look {
  readonly path: string;
  readonly entry: Dirent;
  readonly found: BigIntStats | undefined;
  readonly error?: unknown;
}

async function look(path: string, entry: Dirent): Promise<Look | undefined> {
  // What is no configuration file, as its name and its type tell, needs no further look.
  if (entry.isFile() && !configurationFile.test(path)) return undefined;
  try {
    return { path, entry, found: await stat(path, { bigint: true }) };
  } catch (error) {
    return { path, entry, found: undefined, error };
  }
}

async function take(
  { path, entry, found, error }: Look,
  parents: readonly string[],
  scan: Scan,
): Promise<void> {
  if (!found) {
    // A link to nothing, or gone since readdir. Only a configuration file is missed by anybody.
    if (configurationFile.test(path)) scan.problems.push(unreadable(path, error));
    return;
  }
  if (found.isDirectory()) return visit(path, parents, scan);
  if (!found.isFile() || !configurationFile.test(path)) return;
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  const changedAt = Math.max(Number(mtimeNs / 1_000_000n), Number(ctimeNs / 1_000_000n));
  scan.files.push({ path, fingerprint: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`, changedAt });
  // File systems that do not tell types in a listing leave open what a link is.
  if (entry.isFile()) return;
  // Where a link leads is watched too; should that be gone by now, the next look tells.
  await realpath(path)
    .then((target) => addDirectory(dirname(target), scan))
    .catch(() => {});
}

async function addDirectory(directory: string, scan: Scan): Promise<string> {
  const real = await realpath(directory);
  if (scan.directories.has(real)) return real;
  // With the time of its making: the number of a removed directory is soon given to the next one.
  const { dev, ino, birthtimeNs } = await stat(real, { bigint: true });
  scan.directories.set(real, `${dev}:${ino}:${birthtimeNs}`);
  return real;
}

function unreadable(path: string, error: unknown): SourceProblem {
  const code = (error as NodeJS.ErrnoException).code;
  const cure =
    code === 'EACCES'
      ? 'give this process the right to read it'
      : code === 'ENOENT'
        ? 'create it, or remove the link that points to it'
        : 'check the path';
  return problem(path, 'FileUnreadable', `cannot be read (${messageOf(error)}); ${cure}`);
}

function problem(file: string, code: string, message: string): SourceProblem {
  return { severity: 'error', code, file, message };
}

/** True where both scans saw the same files in the same state. */
export function sameFiles(a: Scan, b: Scan): boolean {
  if (a.files.length !== b.files.length) return false;
  return a.files.every((file, i) => {
    const other = b.files[i];
    return file.path === other?.path && file.fingerprint === other.fingerprint;
  });
}
