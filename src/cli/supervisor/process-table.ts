import { isAlive, type ProcessId } from '../../kit/process-id.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';
import { isOurs } from './ours.ts';

/** A process that was started, as kept on disk for whoever comes after us. */
export interface RecordedProcess extends ProcessId {
  /** Hash of what it was started with: a process with other settings must not be adopted. */
  readonly specHash: string;
}

interface Table {
  schemaVersion: 1;
  processes: Record<string, RecordedProcess>;
}

/** Which processes the mesh runs, by name; survives the supervisor. */
export class ProcessTable {
  readonly #path: string;
  readonly #directory: string;
  readonly #processes: Map<string, RecordedProcess>;

  /** `directory`: the mesh's state, whose marker its processes carry. */
  constructor(path: string, directory: string) {
    this.#path = path;
    this.#directory = directory;
    this.#processes = new Map(Object.entries(readJsonFile<Table>(path)?.processes ?? {}));
  }

  /** The process under a name when it still runs: same pid, same start, and of this mesh (after a reboot the first two can agree). */
  alive(name: string): RecordedProcess | undefined {
    const recorded = this.#processes.get(name);
    return recorded && isAlive(recorded) && isOurs(recorded.pid, this.#directory, [recorded])
      ? recorded
      : undefined;
  }

  names(): string[] {
    return [...this.#processes.keys()];
  }

  set(name: string, record: RecordedProcess): void {
    this.#processes.set(name, record);
    this.#save();
  }

  delete(name: string): void {
    if (this.#processes.delete(name)) this.#save();
  }

  #save(): void {
    const table: Table = { schemaVersion: 1, processes: Object.fromEntries(this.#processes) };
    writeJsonFile(this.#path, table);
  }
}
