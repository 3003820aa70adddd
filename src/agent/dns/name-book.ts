import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { AgentLog } from '../agent-log.ts';

/** What a name means; null: the mesh leaves it to others. */
export type Addresses = readonly string[] | null;

export interface NameBookOptions {
  /** Asks the control plane for one name. */
  readonly ask: (name: string) => Promise<Addresses>;
  /** Keeps what is known, for starts at which the control plane does not answer. */
  readonly file: string;
  readonly log: AgentLog;
  readonly clock?: Clock;
}

interface Entry {
  readonly addresses: Addresses;
  /** When the control plane said so, in ms; 0: before this start. */
  readonly at: number;
}

/** How long an answer holds, in ms: what changed in the mesh is seen after it. */
export const freshMs = 5_000;
/** How long an application waits for the control plane before it gets what was last known. */
const patienceMs = 500;
/** Names beyond are forgotten, those first that were not asked for the longest time. */
const most = 4_096;
/** Files of this size and more were not written by us. */
const longestFile = 1 << 20;
const saveAfterMs = 1_000;

/** What the names mean that the workload's application asks for. Asks the control plane when somebody asks, so that it grows with use. */
export class NameBook {
  readonly #options: NameBookOptions;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #pending = new Map<string, Promise<void>>();
  #failures = 0;
  /** The control plane did not answer: until then it is not asked. */
  #quietUntil = 0;
  #saving: NodeJS.Timeout | undefined;

  constructor(options: NameBookOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    for (const [name, addresses] of readKept(options.file)) this.#entries.set(name, { addresses, at: 0 });
  }

  /** In lower case, without the final dot. Never rejects. */
  async find(name: string): Promise<Addresses> {
    const now = this.#clock.now();
    const known = this.#entries.get(name);
    if (known) {
      // The order of the map is that of use.
      this.#entries.delete(name);
      this.#entries.set(name, known);
      if (now - known.at < freshMs) return known.addresses;
    }
    if (now >= this.#quietUntil) {
      const patience = new AbortController();
      await Promise.race([
        this.#ask(name),
        this.#clock.sleep(patienceMs, { signal: patience.signal }).catch(() => {}),
      ]);
      patience.abort();
    }
    return this.#entries.get(name)?.addresses ?? null;
  }

  /** Writes what is still to be written. */
  async close(): Promise<void> {
    if (this.#saving) await this.#save();
  }

  #ask(name: string): Promise<void> {
    const pending = this.#pending.get(name);
    if (pending) return pending;
    const asked = this.#options
      .ask(name)
      .then(
        (addresses) => this.#note(name, addresses),
        (error) => this.#fail(error),
      )
      .finally(() => this.#pending.delete(name));
    this.#pending.set(name, asked);
    return asked;
  }

  #note(name: string, addresses: Addresses): void {
    const before = this.#entries.get(name)?.addresses ?? null;
    this.#failures = 0;
    this.#entries.delete(name);
    this.#entries.set(name, { addresses, at: this.#clock.now() });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= most) break;
      this.#entries.delete(oldest);
    }
    if (JSON.stringify(before) !== JSON.stringify(addresses))
      this.#saving ??= setTimeout(() => void this.#save(), saveAfterMs).unref();
  }

  #fail(error: unknown): void {
    const delay = backoffDelay(this.#failures, { initialMs: 500, maxMs: freshMs });
    if (this.#failures++ === 0)
      this.#options.log.warn(
        'names of the mesh are not known anew; those that were last known are answered',
        {
          why: messageOf(error),
        },
      );
    this.#quietUntil = this.#clock.now() + delay;
  }

  async #save(): Promise<void> {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    const known = [...this.#entries].filter(([, { addresses }]) => addresses !== null);
    const names = Object.fromEntries(known.map(([name, { addresses }]) => [name, addresses]));
    await writeFileAtomic(this.#options.file, JSON.stringify(names), 0o600).catch((error) =>
      this.#options.log.warn('names are not kept', { why: messageOf(error) }),
    );
  }
}

/** None where the file is absent or was not written by us. */
function readKept(file: string): [string, readonly string[]][] {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > longestFile) return [];
    const entries: [string, unknown][] = Object.entries(JSON.parse(text) as object);
    return entries.filter((entry): entry is [string, string[]] => Array.isArray(entry[1])).slice(0, most);
  } catch {
    return [];
  }
}
