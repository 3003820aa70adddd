import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { createTarGzip, parseTar } from 'nanotar';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { readOrNotFound } from '../../kit/read-or-not-found.ts';

/** Version of the archive's layout. */
export const reportFormat = 1;

const topFolder = 'ostria-report';
/** Longest name that every tar reads (ustar without a prefix). */
const longestName = 100;

/** Most that is unpacked of a report, bytes: a small archive can hold very much. */
const maxUnpacked = 512 * 1024 * 1024;

/** `report.json`: what the archive is. */
export interface ReportHead {
  readonly format: number;
  /** RFC 3339. */
  readonly made: string;
  readonly mesh: string;
  readonly ostria: string;
  readonly node: string;
  readonly platform: string;
  /** `name.namespace` of each proxy → the folder of its files. */
  readonly proxies: Readonly<Record<string, string>>;
  /** What could not be had, or did not fit, and why. */
  readonly leftOut: readonly string[];
}

export type ReportFiles = ReadonlyMap<string, Uint8Array>;

/** Writes the archive, for its owner alone (0600). */
export async function writeReport(path: string, head: ReportHead, files: ReportFiles): Promise<number> {
  const long = [...files.keys()].find((name) => Buffer.byteLength(`${topFolder}/${name}`) > longestName);
  if (long !== undefined) throw new Error(`${long} is too long a name for the archive`);
  const archive = await createTarGzip(
    [
      { name: `${topFolder}/report.json`, data: `${JSON.stringify(head, null, 2)}\n` },
      ...[...files].map(([name, data]) => ({ name: `${topFolder}/${name}`, data })),
    ],
    { attrs: { mode: '600', mtime: Date.parse(head.made) } },
  );
  await writeFileAtomic(path, archive, 0o600);
  return archive.length;
}

/** Reads an archive. Throws `FileNotFound`, `ReportInvalid`. */
export async function readReport(path: string): Promise<{ head: ReportHead; files: ReportFiles }> {
  const bytes = readOrNotFound(path, () => readFileSync(path));
  const files = new Map<string, Uint8Array>();
  try {
    for (const { name, data } of parseTar(gunzipSync(bytes, { maxOutputLength: maxUnpacked }))) {
      if (!name.startsWith(`${topFolder}/`) || !data || name.split('/').includes('..')) continue;
      files.set(name.slice(topFolder.length + 1), data);
    }
    const head = JSON.parse(textOf(files, 'report.json') ?? '{}') as Partial<ReportHead>;
    if (head.format !== reportFormat)
      throw new Error(
        head.format === undefined
          ? 'it has no report.json'
          : `its layout is ${head.format}, this Ostria reads ${reportFormat}`,
      );
    return { head: head as ReportHead, files };
  } catch (error) {
    throw new CodedError('ReportInvalid', `${path} is no report of ostria bug-report: ${messageOf(error)}`);
  }
}

export function textOf(files: ReportFiles, name: string): string | undefined {
  const data = files.get(name);
  return data === undefined ? undefined : Buffer.from(data).toString('utf8');
}
