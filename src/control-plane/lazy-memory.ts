import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../kit/atomic-file.ts';
import { messageOf } from '../kit/coded-error.ts';
import { getOrMake } from '../kit/maps.ts';
import type { LazyUsage } from '../plan/lazy.ts';

export interface LazyMemoryOptions {
  /** Where it survives the control plane; absent: nowhere. */
  readonly file?: string;
  readonly warn: (message: string) => void;
  /**
   * Names, of hosts known and unknown and of what is no host, of one identity. Envoy asks for a name once, so none may be forgotten while a proxy runs: beyond the
   * limit the identity is served with everything. Default 2,000.
   */
  readonly maxHosts?: number;
  /** Identities; beyond, those that have no proxy are forgotten, the one that asked longest ago first. Default 10,000. */
  readonly maxIdentities?: number;
  /** How long changes wait for others before they are written, in ms. Default 1,000. */
  readonly writeDelayMs?: number;
}

/** The file's layout; a newer one is left alone. */
const fileVersion = 1;

interface Remembered {
  readonly hosts: Set<string>;
  /** These do not survive: whoever still wants them asks again. */
  readonly unknown: Set<string>;
  /** Names that no host can have, as a count against the limit: Envoy keeps each that it asked for. */
  readonly invalid: Set<string>;
  full: boolean;
}

/** What a proxy asked for. */
interface Asked {
  readonly hosts: readonly string[];
  readonly unknown: readonly string[];
  readonly invalid?: readonly string[];
}

/** What the workloads of each identity asked for, bounded, and kept in a file that is replaced as a whole. */
export class LazyMemory {
  readonly #options: Required<Omit<LazyMemoryOptions, 'file'>> & Pick<LazyMemoryOptions, 'file'>;
  /** Whoever asked last is last. */
  readonly #identities = new Map<string, Remembered>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #changed = false;

  constructor(options: LazyMemoryOptions) {
    this.#options = { maxHosts: 2_000, maxIdentities: 10_000, writeDelayMs: 1_000, ...options };
    this.#read();
  }

  /** Every identity that is known. */
  identities(): string[] {
    return [...this.#identities.keys()];
  }

  usage(identity: string): LazyUsage | undefined {
    const found = this.#identities.get(identity);
    return found && { hosts: [...found.hosts].sort(), unknown: [...found.unknown].sort(), full: found.full };
  }

  /** Takes note of what was asked for. Returns the identities whose usage is another one now. */
  note(identity: string, asked: Asked, isConnected: (identity: string) => boolean): string[] {
    const found = getOrMake(this.#identities, identity, remembersNothing);
    this.#identities.delete(identity);
    this.#identities.set(identity, found);
    const changed = this.#add(found, asked) ? [identity] : [];
    for (const oldest of this.#identities.keys()) {
      if (this.#identities.size <= this.#options.maxIdentities) break;
      if (isConnected(oldest)) continue;
      this.#identities.delete(oldest);
      changed.push(oldest);
    }
    if (changed.length > 0) this.#write();
    return changed;
  }

  #add(found: Remembered, { hosts, unknown, invalid = [] }: Asked): boolean {
    if (found.full) return false;
    const before = found.hosts.size + found.unknown.size;
    for (const host of hosts) found.hosts.add(host);
    for (const name of unknown) found.unknown.add(name);
    for (const name of invalid) found.invalid.add(name);
    const after = found.hosts.size + found.unknown.size;
    found.full = after + found.invalid.size > this.#options.maxHosts;
    if (found.full) found.invalid.clear();
    return after !== before || found.full;
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#flush();
  }

  #write(): void {
    this.#changed = true;
    if (this.#options.file === undefined || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, this.#options.writeDelayMs);
  }

  #flush(): Promise<void> {
    const { file, warn } = this.#options;
    if (file === undefined || !this.#changed) return this.#writing;
    this.#changed = false;
    const used = Object.fromEntries(
      [...this.#identities]
        .filter(([, { hosts }]) => hosts.size > 0)
        .map(([identity, { hosts }]) => [identity, [...hosts]]),
    );
    const text = `${JSON.stringify({ version: fileVersion, used })}\n`;
    this.#writing = this.#writing
      .then(() => writeFileAtomic(file, text))
      .catch((error: unknown) => warn(`${file}: what lazy sidecars use is not saved: ${messageOf(error)}`));
    return this.#writing;
  }

  /** A file that cannot be read is as good as none: what was in it is asked for again. */
  #read(): void {
    const { file, warn, maxIdentities } = this.#options;
    if (file === undefined) return;
    try {
      const { version, used } = JSON.parse(readFileSync(file, 'utf8')) as { version: number; used: unknown };
      if (version !== fileVersion) throw new Error(`its version is ${version}, not ${fileVersion}`);
      for (const [identity, hosts] of Object.entries(used as Record<string, string[]>).slice(
        -maxIdentities,
      )) {
        const remembered = remembersNothing();
        this.#identities.set(identity, remembered);
        this.#add(remembered, { hosts: hosts.filter((host) => typeof host === 'string'), unknown: [] });
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        warn(`${file}: what lazy sidecars used is forgotten: ${messageOf(error)}`);
    }
  }
}

function remembersNothing(): Remembered {
  return { hosts: new Set(), unknown: new Set(), invalid: new Set(), full: false };
}
