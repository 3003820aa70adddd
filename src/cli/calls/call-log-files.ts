import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../../kit/coded-error.ts';
import { type CallRecord, parseCallRecord } from '../../observe/call-record.ts';
import type { StatePaths } from '../state/state-directory.ts';

/** A proxy's log, and whose it is. */
export interface CallLogFile {
  readonly workload: string;
  readonly path: string;
}

/** Most bytes read of one file: its end is what matters. The agent keeps its own within 10 MiB, and one older part. */
const mostBytes = 32 << 20;

/** The proxies' logs of a mesh of this machine, oldest part first. */
export function callLogFiles(paths: StatePaths): CallLogFile[] {
  const known = existsSync(paths.workloads) ? readdirSync(paths.workloads).sort() : [];
  return known.flatMap((workload) =>
    ['envoy.log.1', 'envoy.log']
      .map((file) => ({ workload, path: join(paths.workload(workload), file) }))
      .filter(({ path }) => existsSync(path)),
  );
}

/** The workloads that a name means. Throws `WorkloadUnknown`. */
export function workloadsOfName(known: readonly string[], name: string): string[] {
  const found = known.filter((one) => one === name || one.startsWith(`${name}-`));
  if (found.length > 0) return found;
  throw new CodedError(
    'WorkloadUnknown',
    `there is no workload ${name}; there are ${known.join(', ') || 'none'}`,
  );
}

/** Reads a proxy's log from where it ended before. */
export class CallLogReader {
  readonly #file: CallLogFile;
  #position = -1;
  #rest = '';

  constructor(file: CallLogFile) {
    this.#file = file;
  }

  /** The records that were added since; the first time, all there are. A file that was cut is read anew. */
  read(): CallRecord[] {
    const lines = (this.#rest + this.#newText()).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => parseCallRecord(line, this.#file.workload) ?? []);
  }

  #newText(): string {
    let descriptor: number;
    try {
      descriptor = openSync(this.#file.path, 'r');
    } catch {
      return '';
    }
    try {
      const { size } = fstatSync(descriptor);
      if (this.#position < 0) this.#position = Math.max(0, size - mostBytes);
      if (size < this.#position) [this.#position, this.#rest] = [0, ''];
      const buffer = Buffer.alloc(Math.min(size - this.#position, mostBytes));
      const length = readSync(descriptor, buffer, 0, buffer.length, this.#position);
      this.#position += length;
      return buffer.toString('utf8', 0, length);
    } finally {
      closeSync(descriptor);
    }
  }
}
