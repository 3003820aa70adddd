import { setImmediate as immediate } from 'node:timers/promises';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { deepEqual } from '../../kit/deep-equal.ts';
import type { ParsedYaml, YamlLimits } from '../yaml-documents.ts';
import { defaultYamlLimits } from '../yaml-documents.ts';
import { type Admit, type AdmittedObject, type IsNamespaced, SetBuilder } from './admitted-set.ts';
import { Breather } from './breather.ts';
import { DirectoryFiles } from './directory-files.ts';
import { sameFiles, scanDirectory } from './directory-scan.ts';
import { DirectoryWatch } from './directory-watch.ts';
import type { ConfigBatch, ConfigChange, ConfigSource } from './source.ts';
import type { SourceProblem } from './source-problem.ts';

export interface DirectorySourceOptions {
  /** Read with everything below it: `*.yaml`, `*.yml`, `*.json`, links followed, names with a leading dot skipped. */
  directory: string;
  /** Default `directory <path>`. */
  name?: string;
  admit: Admit;
  namespaced: IsNamespaced;
  /** Told all current problems whenever they change; an empty list says that all is well again. */
  onProblem?: (problems: readonly SourceProblem[]) => void;
  /** Quiet time in ms that ends a burst of changes (default 100). A file younger than this is waited for: it may be half written. */
  debounceMs?: number;
  /** Longest time in ms between two looks, for changes that no event told of, as on network file systems (default 10,000). */
  rescanMs?: number;
  /** Limits of each file; `objects` (default 20,000) bounds the whole directory too. */
  limits?: Partial<YamlLimits>;
  clock?: Clock;
}

/** How often a directory that changes while it is read is read again before the next event or rescan gets its chance. */
const mostAttempts = 10;

/**
 * A directory of YAML as one atomic set: what it holds replaces what it held, as a whole, or, with an error anywhere, not
 * at all. Deleting a file deletes its objects.
 *
 * Before the first good reading nothing is delivered, not even an empty set: a typing error at a restart must not take
 * the configuration away from running proxies. `start` then waits; `onProblem` says for what.
 */
export class DirectorySource implements ConfigSource {
  readonly name: string;
  readonly #options: Required<
    Pick<DirectorySourceOptions, 'directory' | 'debounceMs' | 'rescanMs' | 'clock'>
  > &
    DirectorySourceOptions;
  readonly #files: DirectoryFiles;
  readonly #builder: SetBuilder;
  #current = new Map<string, AdmittedObject>();
  #revision = 0;
  #problems: readonly SourceProblem[] = [];
  /** Set by events; the loop waits for it. */
  #wake: (() => void) | undefined;
  #changed = false;
  /** An event is why the present look is taken: events come here, which they do not on every file system. */
  #told = false;
  #running = false;
  #waiting: { resolve: () => void }[] = [];

  constructor(options: DirectorySourceOptions) {
    this.#options = { debounceMs: 100, rescanMs: 10_000, clock: systemClock, ...options };
    this.name = options.name ?? `directory ${options.directory}`;
    this.#files = new DirectoryFiles(options.limits ?? {});
    this.#builder = new SetBuilder(options.admit, options.namespaced);
  }

  /** What is wrong now. With an error among them the last good set is in force. */
  problems(): readonly SourceProblem[] {
    return this.#problems;
  }

  /** Looks at once and checks every object anew, as after new kinds were defined. Resolves when that is done; at once when not started. */
  rescan(): Promise<void> {
    this.#builder.forget();
    if (!this.#running) return Promise.resolve();
    const done = new Promise<void>((resolve) => this.#waiting.push({ resolve }));
    this.#touch();
    return done;
  }

  start(sink: (batch: ConfigBatch) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#run(sink, signal, resolve).then(resolve, reject);
    });
  }

  /** Resolves when `signal` aborts. `delivered` is called after the initial batch. */
  async #run(sink: (batch: ConfigBatch) => void, signal: AbortSignal, delivered: () => void): Promise<void> {
    const watch = new DirectoryWatch(() => this.#touch());
    const wakeOnAbort = () => this.#wake?.();
    signal.addEventListener('abort', wakeOnAbort, { once: true });
    this.#running = true;
    try {
      while (!signal.aborted) {
        const answered = this.#waiting;
        this.#waiting = [];
        this.#told = this.#changed;
        this.#changed = false;
        if (await this.#load(watch, sink, signal)) delivered();
        for (const { resolve } of answered) resolve();
        await this.#pause(signal);
      }
    } finally {
      this.#running = false;
      watch.close();
      signal.removeEventListener('abort', wakeOnAbort);
      for (const { resolve } of this.#waiting.splice(0)) resolve();
    }
  }

  #touch(): void {
    this.#changed = true;
    this.#wake?.();
  }

  /** Waits for an event, then for the burst to end; at most `rescanMs` in all. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, rescanMs, debounceMs } = this.#options;
    if (!this.#changed) {
      const timer = new AbortController();
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      if (!signal.aborted)
        await Promise.race([woken, clock.sleep(rescanMs, { signal: timer.signal, unref: true })]);
      this.#wake = undefined;
      timer.abort();
    }
    if (this.#changed && this.#waiting.length === 0) await clock.sleep(debounceMs, { signal, unref: true });
  }

  /** One look. True where the directory's state is now the delivered one. */
  async #load(
    watch: DirectoryWatch,
    sink: (batch: ConfigBatch) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    const read = await this.#readSettled(watch, signal);
    if (!read || signal.aborted) return false;
    const { objects, problems } = await this.#builder.build(read.contents, new Breather());
    const all = [...read.problems, ...problems];
    const { objects: limit = defaultYamlLimits.objects } = this.#options.limits ?? {};
    if (objects.size > limit)
      all.push(
        this.#problem(
          'TooManyObjects',
          `holds ${objects.size} objects, more than the limit of ${limit}; raise the limit or split the directory`,
        ),
      );
    if (watch.failure !== undefined) all.push(this.#unwatched(watch.failure));
    const good = !all.some((problem) => problem.severity === 'error') && !signal.aborted;
    const failure = good ? this.#deliver(objects, sink) : undefined;
    if (failure) all.push(failure);
    this.#report(all);
    return good && failure === undefined;
  }

  /** Reads until the directory did not change meanwhile and no file is so young that it may still be written. */
  async #readSettled(
    watch: DirectoryWatch,
    signal: AbortSignal,
  ): Promise<{ contents: Map<string, ParsedYaml>; problems: SourceProblem[] } | undefined> {
    const { directory, clock, debounceMs } = this.#options;
    for (let attempt = 0; attempt < mostAttempts && !signal.aborted; attempt++) {
      const scan = await scanDirectory(directory);
      const watched = watch.follow(scan.directories) && watch.failure === undefined;
      const age = clock.now() - scan.files.reduce((newest, file) => Math.max(newest, file.changedAt), 0);
      const patient = attempt < mostAttempts / 2;
      if (patient && age >= 0 && age < debounceMs) {
        await clock.sleep(debounceMs - age, { signal, unref: true });
        continue;
      }
      const contents = await this.#files.read(scan, new Breather());
      const quiet = watched && this.#told && (await this.#isQuiet());
      if (quiet || sameFiles(scan, await scanDirectory(directory)))
        return { contents, problems: scan.problems };
    }
    if (!signal.aborted) {
      this.#report([
        this.#problem(
          'DirectoryUnstable',
          `kept changing through ${mostAttempts} readings; write files elsewhere and move them in`,
        ),
      ]);
    }
    return undefined;
  }

  /**
   * Whether no event came since this look began: cheaper than to look at every file again. The kernel tells of a write as it is made, so
   * what was written while files were read has been told once the loop has looked at its events.
   */
  async #isQuiet(): Promise<boolean> {
    // The first may still belong to the turn in which the last file came.
    await immediate();
    await immediate();
    return !this.#changed;
  }

  #deliver(
    objects: Map<string, AdmittedObject>,
    sink: (batch: ConfigBatch) => void,
  ): SourceProblem | undefined {
    const initial = this.#revision === 0;
    const { next, changes } = difference(this.#current, objects);
    if (!initial && changes.length === 0) {
      this.#current = next;
      return undefined;
    }
    try {
      sink({ revision: this.#revision + 1, changes, initial });
    } catch (error) {
      return this.#problem(
        'DeliveryFailed',
        `was read, but not taken over (${messageOf(error)}); it is tried again`,
      );
    }
    this.#revision++;
    this.#current = next;
    return undefined;
  }

  #report(problems: readonly SourceProblem[]): void {
    if (deepEqual(problems, this.#problems)) return;
    this.#problems = problems;
    this.#options.onProblem?.(problems);
  }

  #problem(code: string, message: string): SourceProblem {
    return { severity: 'error', code, file: this.#options.directory, message };
  }

  #unwatched(why: string): SourceProblem {
    const message = `cannot be watched as a whole (${why}), so a change takes up to ${this.#options.rescanMs} ms to be seen; raise fs.inotify.max_user_watches or use fewer directories`;
    return { ...this.#problem('WatchUnavailable', message), severity: 'warning' };
  }
}

/**
 * What came, changed and went, in the order of identities. An object that stayed equal stays the same, by identity, and
 * the positions given out for it move to where it stands now: moving a line must send nothing, yet be found.
 */
function difference(
  before: ReadonlyMap<string, AdmittedObject>,
  after: ReadonlyMap<string, AdmittedObject>,
): { next: Map<string, AdmittedObject>; changes: ConfigChange[] } {
  const next = new Map<string, AdmittedObject>();
  const changes: [id: string, change: ConfigChange][] = [];
  for (const [id, now] of after) {
    const old = before.get(id);
    if (old && deepEqual(old.object, now.object)) {
      if (old.positions !== now.positions) old.positions.moveTo(now.positions);
      next.set(id, old);
    } else {
      next.set(id, now);
      changes.push([id, { ...now }]);
    }
  }
  for (const [id, { group, kind, key }] of before)
    if (!after.has(id)) changes.push([id, { group, kind, key }]);
  changes.sort(([a], [b]) => (a < b ? -1 : 1));
  return { next, changes: changes.map(([, change]) => change) };
}
