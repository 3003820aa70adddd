import { readFile, stat } from 'node:fs/promises';
import { messageOf } from '../../kit/coded-error.ts';
import {
  defaultYamlLimits,
  type ParsedYaml,
  parseYamlInSteps,
  refuseTooLarge,
  type YamlLimits,
} from '../yaml-documents.ts';
import type { Breather } from './breather.ts';
import type { Scan, ScannedFile } from './directory-scan.ts';

/** A file's clock tick: two writes within it can leave the same fingerprint. */
const fingerprintGrainMs = 50;

interface KnownFile {
  /** Undefined: read again next time, whatever the file looks like. */
  fingerprint: string | undefined;
  parsed: ParsedYaml;
}

/** The parsed files of a directory. Only files that changed are read, only documents that changed are parsed. */
export class DirectoryFiles {
  #known = new Map<string, KnownFile>();
  readonly #limits: YamlLimits;

  constructor(limits: Partial<YamlLimits>) {
    this.#limits = { ...defaultYamlLimits, ...limits };
  }

  /** Contents of all files of the scan, by path. */
  async read(scan: Scan, breather: Breather): Promise<Map<string, ParsedYaml>> {
    const next = new Map<string, KnownFile>();
    const contents = new Map<string, ParsedYaml>();
    for (const file of scan.files) {
      const known = this.#known.get(file.path);
      const current =
        known && known.fingerprint === file.fingerprint ? known : await this.#readFile(file, known, breather);
      next.set(file.path, current);
      contents.set(file.path, current.parsed);
    }
    this.#known = next;
    return contents;
  }

  async #readFile(file: ScannedFile, known: KnownFile | undefined, breather: Breather): Promise<KnownFile> {
    const startedAt = Date.now();
    let content: Uint8Array;
    try {
      // Refused by its size alone, without taking it into memory.
      const { size } = await stat(file.path);
      if (size > this.#limits.bytes) {
        return { fingerprint: file.fingerprint, parsed: refuseTooLarge(file.path, size, this.#limits.bytes) };
      }
      content = await readFile(file.path);
    } catch (error) {
      return { fingerprint: undefined, parsed: unreadable(file.path, error) };
    }
    const steps = parseYamlInSteps(content, file.path, {
      limits: this.#limits,
      ...(known ? { reuse: known.parsed.chunks } : {}),
    });
    for (;;) {
      const step = steps.next();
      if (step.done) {
        const trusted = file.changedAt < startedAt - fingerprintGrainMs;
        return { fingerprint: trusted ? file.fingerprint : undefined, parsed: step.value };
      }
      if (breather.due()) await breather.breathe();
    }
  }
}

function unreadable(path: string, error: unknown): ParsedYaml {
  const message = `cannot be read (${messageOf(error)}); check that it exists and may be read`;
  return {
    objects: [],
    chunks: [],
    problems: [{ file: path, line: 1, column: 1, code: 'FileUnreadable', message }],
  };
}
