import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { isAlive, type ProcessId, processId } from '../../kit/process-id.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { RestartPolicy } from '../mesh-file/mesh-file.ts';
import { openLog } from './log-file.ts';
import { waitForEnd } from './ours.ts';
import type { ProcessTable } from './process-table.ts';

/** What to run. Plain data: its hash tells whether a running process is still the wanted one. */
export interface ProcessSpec {
  /** Unique in the mesh, such as `reviews-v1-0/app`. */
  readonly name: string;
  readonly command: readonly string[];
  readonly workingDirectory: string;
  /** The whole environment of the process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names in it that differ between terminals without meaning: another value is no reason for a restart. */
  readonly inherited?: readonly string[];
  /** File that its output is appended to. */
  readonly log: string;
  readonly restart: RestartPolicy;
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number;
  /** How a process of other settings is asked to make room for this one. Default SIGTERM; agents leave their Envoy on SIGHUP. */
  readonly replaceSignal?: NodeJS.Signals;
}

export type ProcessState =
  | { readonly state: 'stopped' }
  | { readonly state: 'running'; readonly pid: number; readonly restarts: number; readonly since: number }
  | { readonly state: 'waiting'; readonly restarts: number; readonly why: string; readonly until: number }
  /** Over for good: it ended and its policy wants no restart. */
  | { readonly state: 'ended'; readonly code: number | undefined; readonly why: string };

export interface ProcessHooks {
  /** Called before each start: files that the process needs at that moment. */
  readonly prepare?: () => void | Promise<void>;
  readonly onChange?: (state: ProcessState) => void;
}

/** A process that ran for this long starts its next backoff from the beginning. */
const settledMs = 30_000;
const adoptedPollMs = 250;

export function specHash(spec: ProcessSpec): string {
  const { name: _, inherited = [], replaceSignal: __, ...rest } = spec;
  const environment = Object.entries(spec.environment)
    .filter(([name]) => !inherited.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify({ ...rest, environment }))
    .digest('hex')
    .slice(0, 16);
}

/** Keeps one process running: adopts the one that an earlier supervisor left, restarts with backoff, stops its whole group. */
export class ManagedProcess {
  readonly spec: ProcessSpec;
  readonly #hash: string;
  readonly #table: ProcessTable;
  readonly #hooks: ProcessHooks;
  readonly #clock: Clock;
  #state: ProcessState = { state: 'stopped' };
  #current: ProcessId | undefined;
  #restarts = 0;
  #attempt = 0;
  #running: Promise<void> | undefined;
  #abort = new AbortController();

  constructor(spec: ProcessSpec, table: ProcessTable, hooks: ProcessHooks = {}, clock: Clock = systemClock) {
    this.spec = spec;
    this.#hash = specHash(spec);
    this.#table = table;
    this.#hooks = hooks;
    this.#clock = clock;
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** Starts (or adopts) the process and keeps it running until `stop`. */
  start(): void {
    if (this.#running) return;
    this.#abort = new AbortController();
    this.#running = this.#run(this.#abort.signal).finally(() => {
      this.#running = undefined;
    });
  }

  /**
   * Ends the process and its group, SIGKILL after the grace time. Resolves when it is gone. `hurry`: asks twice, which
   * agents take as "do not drain".
   */
  async stop(options: { hurry?: boolean; signal?: NodeJS.Signals } = {}): Promise<void> {
    this.#abort.abort();
    const current = this.#current ?? this.#table.alive(this.spec.name);
    if (current) await this.#end(current, options.signal, options.hurry);
    await this.#running;
    this.#table.delete(this.spec.name);
    this.#change({ state: 'stopped' });
  }

  /** Sends a signal to the process alone. */
  signal(signal: NodeJS.Signals): void {
    if (this.#current && isAlive(this.#current)) process.kill(this.#current.pid, signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    await this.#endStranger();
    while (!signal.aborted) {
      const started = this.#clock.now();
      const outcome = await this.#runOnce(signal);
      if (signal.aborted) return;
      const { restart } = this.spec;
      const failed = outcome.code !== 0;
      if (this.#clock.now() - started > settledMs) this.#attempt = 0;
      const wanted = restart.when === 'always' || (restart.when === 'on-failure' && failed);
      if (!wanted || (restart.max !== undefined && this.#attempt >= restart.max)) {
        this.#table.delete(this.spec.name);
        this.#change({ state: 'ended', code: outcome.code, why: outcome.why });
        return;
      }
      const delay = backoffDelay(this.#attempt, { initialMs: 100, maxMs: 15_000 });
      this.#attempt++;
      this.#restarts++;
      this.#change({
        state: 'waiting',
        restarts: this.#restarts,
        why: outcome.why,
        until: this.#clock.now() + delay,
      });
      await this.#clock.sleep(delay, { signal });
    }
  }

  /** A process of our name that runs with other settings: it must go before ours comes. */
  async #endStranger(): Promise<void> {
    const recorded = this.#table.alive(this.spec.name);
    if (recorded && recorded.specHash !== this.#hash) await this.#end(recorded, this.spec.replaceSignal);
  }

  async #runOnce(signal: AbortSignal): Promise<{ code: number | undefined; why: string }> {
    const adopted = this.#table.alive(this.spec.name);
    if (adopted) return this.#watchAdopted(adopted, signal);
    try {
      await this.#hooks.prepare?.();
    } catch (error) {
      return { code: undefined, why: messageOf(error) };
    }
    if (signal.aborted) return { code: undefined, why: 'stopped' };
    return this.#spawn();
  }

  async #watchAdopted(
    id: ProcessId,
    signal: AbortSignal,
  ): Promise<{ code: number | undefined; why: string }> {
    this.#became(id);
    while (isAlive(id)) {
      if (signal.aborted) break;
      await this.#clock.sleep(adoptedPollMs, { signal });
    }
    this.#current = undefined;
    return { code: undefined, why: 'ended while nobody was waiting for it' };
  }

  #spawn(): Promise<{ code: number | undefined; why: string }> {
    const { command, workingDirectory, environment, log } = this.spec;
    const [program = '', ...args] = command;
    const descriptor = openLog(log);
    return new Promise((resolve) => {
      // A group of its own: a Ctrl-C at the terminal is not for it, and stopping reaches its children too.
      const child = spawn(program, args, {
        cwd: workingDirectory,
        env: environment,
        detached: true,
        stdio: ['ignore', descriptor, descriptor],
      });
      closeSync(descriptor);
      child.once('error', (error) => {
        resolve({ code: undefined, why: `${program} cannot be started: ${error.message}` });
      });
      child.once('exit', (code, signal) => {
        this.#current = undefined;
        resolve({
          code: code ?? undefined,
          why: signal ? `ended by ${signal}` : `ended with exit code ${code}`,
        });
      });
      const id = child.pid === undefined ? undefined : processId(child.pid);
      if (id) {
        this.#table.set(this.spec.name, { ...id, specHash: this.#hash });
        this.#became(id);
      }
    });
  }

  #became(id: ProcessId): void {
    this.#current = id;
    this.#change({ state: 'running', pid: id.pid, restarts: this.#restarts, since: this.#clock.now() });
  }

  async #end(id: ProcessId, signal: NodeJS.Signals = 'SIGTERM', hurry = false): Promise<void> {
    signalGroup(id, signal);
    if (hurry && (await waitForEnd([id], 100)).length > 0) signalGroup(id, 'SIGTERM');
    const left = await waitForEnd([id], this.spec.stopGraceMs);
    if (left.length === 0) return;
    signalGroup(id, 'SIGKILL');
    await waitForEnd([id], 2_000);
  }

  #change(state: ProcessState): void {
    this.#state = state;
    this.#hooks.onChange?.(state);
  }
}

/** Signals exactly that process and the group that it leads. */
function signalGroup(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(id)) return;
  for (const target of [-id.pid, id.pid])
    try {
      process.kill(target, signal);
      return;
    } catch {
      // It leads no group: then it alone.
    }
}
