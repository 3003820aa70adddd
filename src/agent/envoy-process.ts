import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { writeFileAtomicSync } from '../kit/atomic-file.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { messageOf } from '../kit/coded-error.ts';
import { isAlive, type ProcessId, processId, signalProcess } from '../kit/process-id.ts';
import { backoffDelay } from '../kit/retry.ts';
import type { AgentLog } from './agent-log.ts';
import { openEnvoyLog, rotateEnvoyLog, tailEnvoyLog } from './envoy-log.ts';

export interface EnvoyProcessOptions {
  path: string;
  /** `-c` and its file are added. */
  args: readonly string[];
  bootstrapFile: string;
  /** What the Envoy that is wanted is known by: another text means another Envoy. */
  bootstrap: string;
  /** The text of the bootstrap's file, asked for before each start. `failure`: why the last Envoy ended soon after its start. */
  render: (failure?: string) => Promise<string>;
  /** Added to our own. */
  environment: Readonly<Record<string, string>>;
  logFile: string;
  maxLogBytes: number;
  /** Where the running Envoy is noted for the next agent. */
  stateFile: string;
  log: AgentLog;
  clock?: Clock;
}

interface Noted extends ProcessId {
  bootId: string;
  /** Hash of binary, arguments and bootstrap: another one means another Envoy is wanted. */
  fingerprint: string;
}

/** An Envoy that ran this long has proved itself: the next crash starts counting anew. */
const STABLE_MS = 60_000;
/** One that ends this soon has not taken its bootstrap. */
const EARLY_MS = 5_000;
const WATCH_MS = 500;
const ROTATE_MS = 15_000;
const KILL_AFTER_MS = 5_000;

/**
 * Keeps one Envoy running, detached from us: it lives on when we die, and the next agent takes it over by pid and start time. A
 * crashed one is started again after 0.1 s, doubling up to 30 s, for ever: each time is logged.
 */
export class EnvoyProcess {
  readonly #options: EnvoyProcessOptions;
  readonly #clock: Clock;
  readonly #fingerprint: string;
  readonly #stop = new AbortController();
  #id: ProcessId | undefined;
  #restarts = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: EnvoyProcessOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#fingerprint = createHash('sha256')
      .update(JSON.stringify([options.path, options.args, options.bootstrap, options.environment]))
      .digest('hex');
  }

  /** The running Envoy. */
  get id(): ProcessId | undefined {
    return this.#id && isAlive(this.#id) ? this.#id : undefined;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** The Envoy that an earlier agent left: `same` when it runs what we would run. */
  findRunning(): { id: ProcessId; same: boolean } | undefined {
    const noted = this.#readNote();
    if (noted && noted.bootId === bootId() && isAlive(noted))
      return { id: noted, same: noted.fingerprint === this.#fingerprint };
    // An agent that died between start and note would leave an Envoy that shares our ports unseen (SO_REUSEPORT).
    const stray = findByBootstrap(this.#options.bootstrapFile);
    return stray && { id: stray, same: false };
  }

  /** Adopts or starts, then watches until `stop`. */
  start(adopted?: ProcessId): void {
    this.#running = this.#run(adopted);
  }

  /** SIGTERM, after five seconds SIGKILL; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    if (this.#id) await this.#end(this.#id);
  }

  /** Stops watching and leaves Envoy to the next agent. */
  async leave(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Ends a process that `findRunning` returned. */
  async end(id: ProcessId): Promise<void> {
    await this.#end(id);
  }

  async #run(adopted: ProcessId | undefined): Promise<void> {
    const { signal } = this.#stop;
    const { log } = this.#options;
    const stopped = aborted(signal);
    if (adopted) log.info('adopted the running Envoy', { pid: adopted.pid });
    let failure: string | undefined;
    for (let attempt = 0, next = adopted; !signal.aborted; next = undefined) {
      const bootstrap = next ? '' : await this.#options.render(failure);
      if (signal.aborted) return;
      const startedAt = this.#clock.now();
      const ended = next ? this.#watch(next) : this.#spawn(bootstrap);
      const why = await Promise.race([ended, stopped]);
      if (signal.aborted) return;
      const ran = this.#clock.now() - startedAt;
      if (ran > STABLE_MS) attempt = 0;
      const delay = backoffDelay(attempt++, { initialMs: 100, maxMs: 30_000 });
      this.#restarts++;
      const tail = tailEnvoyLog(this.#options.logFile, 3);
      failure = ran < EARLY_MS ? `Envoy ${why} at once: ${tail.split('\n').at(-1)}` : undefined;
      log.error(`Envoy ${why}; starting it again in ${Math.round(delay)} ms`, {
        restarts: this.#restarts,
        log: this.#options.logFile,
        last: tail,
      });
      await this.#clock.sleep(delay, { signal });
    }
  }

  #spawn(bootstrap: string): Promise<string> {
    const { path, args, bootstrapFile, environment, logFile, log } = this.#options;
    let child: ChildProcess;
    try {
      writeFileAtomicSync(bootstrapFile, bootstrap);
      const out = openEnvoyLog(logFile);
      try {
        child = spawn(path, ['-c', bootstrapFile, ...args], {
          detached: true,
          stdio: ['ignore', out, out],
          env: { ...process.env, ...environment },
        });
      } finally {
        closeSync(out);
      }
    } catch (error) {
      return Promise.resolve(`could not be started: ${messageOf(error)}`);
    }
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started (${path}): ${error.message}`));
      child.once('exit', (code, name) => resolve(name ? `was ended by ${name}` : `exited with code ${code}`));
    });
    const id = child.pid === undefined ? undefined : processId(child.pid);
    if (!id) return ended;
    this.#id = id;
    this.#note(id);
    log.info('started Envoy', { pid: id.pid });
    const rotation = setInterval(() => this.#rotate(), ROTATE_MS);
    rotation.unref();
    return ended.finally(() => clearInterval(rotation));
  }

  /** An adopted Envoy is no child of ours: nobody tells us of its end. */
  async #watch(id: ProcessId): Promise<string> {
    this.#id = id;
    this.#note(id);
    for (let at = this.#clock.now(); isAlive(id) && !this.#stop.signal.aborted; ) {
      await this.#clock.sleep(WATCH_MS, { signal: this.#stop.signal });
      if (this.#clock.now() - at < ROTATE_MS) continue;
      at = this.#clock.now();
      this.#rotate();
    }
    return 'is gone';
  }

  async #end(id: ProcessId): Promise<void> {
    if (!signalProcess(id, 'SIGTERM')) return;
    const start = this.#clock.now();
    while (isAlive(id)) {
      if (this.#clock.now() - start > KILL_AFTER_MS) signalProcess(id, 'SIGKILL');
      await this.#clock.sleep(20);
    }
  }

  #rotate(): void {
    if (rotateEnvoyLog(this.#options.logFile, this.#options.maxLogBytes))
      this.#options.log.info('rotated the Envoy log', { file: this.#options.logFile });
  }

  #note(id: ProcessId): void {
    const noted: Noted = { ...id, bootId: bootId(), fingerprint: this.#fingerprint };
    writeFileAtomicSync(this.#options.stateFile, JSON.stringify(noted));
  }

  #readNote(): Noted | undefined {
    try {
      const value = JSON.parse(readFileSync(this.#options.stateFile, 'utf8')) as Partial<Noted>;
      const { pid, startTime, bootId: boot, fingerprint } = value;
      if (typeof pid !== 'number' || typeof startTime !== 'number') return undefined;
      if (typeof boot !== 'string' || typeof fingerprint !== 'string') return undefined;
      return { pid, startTime, bootId: boot, fingerprint };
    } catch {
      return undefined;
    }
  }
}

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('');
    else signal.addEventListener('abort', () => resolve(''), { once: true });
  });
}

/** Start times count from boot; the same pid and time after a reboot are another process. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** A process of ours whose arguments are `… -c <bootstrapFile> …`. */
function findByBootstrap(bootstrapFile: string): ProcessId | undefined {
  let names: string[];
  try {
    names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return undefined;
  }
  for (const name of names) {
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (args[1] === '-c' && args[2] === bootstrapFile) return processId(Number(name));
    } catch {
      // Gone meanwhile, or not ours to read.
    }
  }
  return undefined;
}
