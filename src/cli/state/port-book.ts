import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../kit/coded-error.ts';
import { readJsonFile, writeJsonFile } from './json-file.ts';
import { isPortTaken, listeningPorts, type PortOwner, portOwner } from './listening-ports.ts';

/** Where a mesh's ports begin unless told otherwise: below the range from which systems give out ports by themselves. */
export const defaultPortBase = 20_000;
/** Ports are given out from the base up to here above it. */
const span = 12_000;
/** Ports without a wish begin here above the base; below are those with a number that people remember. */
const unnamedOffset = 1_000;

/** Ports that browsers, and `fetch` everywhere, refuse to call (WHATWG Fetch, section 2.9, those above 1023). */
const blockedPorts = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697,
  10080,
]);

interface Book {
  schemaVersion: 1;
  portBase: number;
  ports: Record<string, number>;
}

/** A port that a mesh was given earlier and that another process now listens on. */
export interface PortConflict {
  readonly key: string;
  readonly port: number;
  readonly owner: PortOwner;
}

export interface PortWish {
  /** What the port is for, such as `reviews-v1-0/inbound/9080`: the same key gets the same port after a restart. */
  readonly key: string;
  /** Taken when it is free, as an offset from the base. */
  readonly offset?: number;
  /** Taken when it is free, whatever the base. */
  readonly preferred?: number;
  /** Exactly this port, whatever the base. */
  readonly exact?: number;
}

/** The ports of a mesh, remembered across restarts in a file. */
export class PortBook {
  readonly #path: string;
  #book: Book;

  /** Another base than last time moves every port. */
  constructor(path: string, portBase?: number) {
    this.#path = path;
    const stored = readJsonFile<Book>(path);
    const base = portBase ?? stored?.portBase ?? defaultPortBase;
    if (!Number.isInteger(base) || base < 1_024 || base + span > 65_535)
      throw new CodedError(
        'PortBaseInvalid',
        `the port base must be a whole number from 1024 to ${65_535 - span}, not ${base}`,
      );
    this.#book = stored?.portBase === base ? stored : { schemaVersion: 1, portBase: base, ports: {} };
  }

  /** Why ports of this mesh may be taken for moments at a time; undefined: they are not. */
  get warning(): string | undefined {
    const { portBase } = this.#book;
    const first = firstEphemeralPort();
    if (first === undefined || portBase + unnamedOffset < first) return undefined;
    return `the system gives ports from ${first} on to outgoing connections, so that one of the mesh’s (from ${portBase}) can be taken at times; a base below ${first - span} is safe`;
  }

  get portBase(): number {
    return this.#book.portBase;
  }

  /** The port under a key that was assigned. */
  port(key: string): number {
    const port = this.#book.ports[key];
    if (port === undefined) throw new Error(`no port was assigned to ${key}`);
    return port;
  }

  /** Gives each wish its port, the earlier one where there is one, and remembers them. Throws `PortsExhausted`. */
  async assign(wishes: readonly PortWish[]): Promise<void> {
    const { ports, portBase } = this.#book;
    const used = new Set(Object.values(ports));
    const taken = listeningPorts();
    const isFree = async (port: number) =>
      !used.has(port) && !blockedPorts.has(port) && !(await isPortTaken(port, taken));
    let next = portBase + unnamedOffset;
    let changed = false;
    for (const { key, offset, preferred, exact } of wishes) {
      if (exact !== undefined) {
        changed ||= ports[key] !== exact;
        ports[key] = exact;
        continue;
      }
      if (ports[key] !== undefined) continue;
      const wished = preferred ?? (offset === undefined ? undefined : portBase + offset);
      let port = wished !== undefined && (await isFree(wished)) ? wished : undefined;
      for (; port === undefined; next++) {
        if (next >= portBase + span)
          throw new CodedError(
            'PortsExhausted',
            `no free port is left from ${portBase + unnamedOffset} to ${portBase + span - 1}; move the mesh with --port-base, or run fewer workloads`,
          );
        if (await isFree(next)) port = next;
      }
      ports[key] = port;
      used.add(port);
      changed = true;
    }
    if (changed) this.#save();
  }

  /** Forgets the ports of keys that are no longer wanted. */
  keepOnly(isWanted: (key: string) => boolean): void {
    const { ports } = this.#book;
    const gone = Object.keys(ports).filter((key) => !isWanted(key));
    for (const key of gone) delete ports[key];
    if (gone.length > 0) this.#save();
  }

  /** Which of the keys' ports another process listens on; `isOurs` tells the processes of this mesh. */
  async conflicts(keys: readonly string[], isOurs: (pid: number) => boolean): Promise<PortConflict[]> {
    const taken = listeningPorts();
    const found: PortConflict[] = [];
    for (const key of keys) {
      const port = this.port(key);
      if (!(await isPortTaken(port, taken))) continue;
      const owner = await settledOwner(port);
      if (owner && (owner.pid === undefined || !isOurs(owner.pid))) found.push({ key, port, owner });
    }
    return found;
  }

  #save(): void {
    writeJsonFile(this.#path, this.#book);
  }
}

const ownerTries = 5;

/**
 * Who listens on a port; undefined: nobody any more. A socket without a process is looked at again: it may be of one that is
 * just ending, or that a proxy is just replacing.
 */
async function settledOwner(port: number): Promise<PortOwner | undefined> {
  for (let tries = 1; ; tries++) {
    const owner = portOwner(port);
    if (owner.pid !== undefined || tries === ownerTries) return owner;
    await sleep(100);
    if (!(await isPortTaken(port, listeningPorts()))) return undefined;
  }
}

/** Lowest port that the system picks by itself (ip(7), ip_local_port_range); undefined where it does not say. */
function firstEphemeralPort(): number | undefined {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10);
  } catch {
    return undefined;
  }
}

/** `PortInUse`: names every conflict with its owner and says how to mend it. */
export function portConflictError(conflicts: readonly PortConflict[]): CodedError {
  const lines = conflicts.map(({ key, port, owner }) => {
    const who =
      owner.pid === undefined
        ? 'a process that this user may not see'
        : `process ${owner.pid}${owner.command ? ` (${owner.command})` : ''}`;
    return `  port ${port} (${key}) is in use by ${who}`;
  });
  return new CodedError(
    'PortInUse',
    `${conflicts.length === 1 ? 'a port of this mesh is' : 'ports of this mesh are'} in use:\n${lines.join('\n')}\nend ${conflicts.length === 1 ? 'that process' : 'those processes'}, or move the mesh: --port-base N`,
  );
}
