import { isAlive, type ProcessId } from '../../kit/process-id.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';

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
  readonly #processes: Map<string, RecordedProcess>;

  constructor(path: string) {
    this.#path = path;
    this.#processes = new Map(Object.entries(readJsonFile<Table>(path)?.processes ?? {}));
  }

  /** The process under a name when it still runs. */
  alive(name: string): RecordedProcess | undefined {
    const recorded = this.#processes.get(name);
    return recorded && isAlive(recorded) ? recorded : undefined;
  }

  get(name: string): RecordedProcess | undefined {
    return this.#processes.get(name);
  }

  all(): RecordedProcess[] {
    return [...this.#processes.values()];
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
