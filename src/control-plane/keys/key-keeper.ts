import { readFile } from 'node:fs/promises';
import {
  type FetchedKeys,
  fetchedKeysKey,
  fetchedKeysKind,
  type KeySource,
  keySourceOf,
  type RequestAuthentication,
  requestAuthenticationKind,
} from '../../features/security/request-authentication/schema.ts';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { messageOf } from '../../kit/coded-error.ts';
import type { GuardedFetchOptions } from '../../kit/guarded-fetch.ts';
import { setOrDelete } from '../../kit/maps.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { WorldChange } from '../../snapshot/world.ts';
import type { CompileTarget } from '../mesh-state.ts';
import { fetchKeys } from './fetch-keys.ts';

export interface KeyKeeperOptions {
  /** Told what was fetched. */
  readonly publish: (changes: readonly WorldChange[]) => void;
  readonly fetch?: Omit<GuardedFetchOptions, 'signal'>;
  /** Keeps the last good keys over a restart: an issuer that is down then refuses nobody. */
  readonly cacheFile?: string;
  /** Between two fetches that succeed, in ms. Default 20 minutes; a tenth of it is random. */
  readonly refreshMs?: number;
  /** Told once per spell of failures. */
  readonly onProblem?: (message: string) => void;
}

interface Source {
  readonly source: Exclude<KeySource, { type: 'inline' }>;
  /** The objects that ask for it. */
  readonly users: Set<string>;
  value: FetchedKeys;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  ending: AbortController;
}

/** URLs followed at once; what is beyond is told on its object. */
const maxSources = 500;
const maxConcurrent = 8;
/** While an issuer fails, at most this long between two tries, in ms. */
const longestRetryMs = 60_000;

/**
 * Fetches the keys that RequestAuthentications name, again and again, and tells the compile. What was fetched last stays in use while
 * an issuer fails; without anything its tokens are refused.
 */
export class KeyKeeper implements CompileTarget {
  readonly #options: KeyKeeperOptions;
  readonly #sources = new Map<string, Source>();
  /** What each object asks for. */
  readonly #wanted = new Map<string, ReadonlySet<string>>();
  readonly #cached = new Map<string, string>();
  readonly #waiting: Source[] = [];
  #running = 0;
  #closed = false;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: KeyKeeperOptions) {
    this.#options = options;
  }

  /** Reads the last run's keys. Call it before the first `apply`; a file that cannot be read counts as absent. */
  async load(): Promise<void> {
    if (this.#options.cacheFile === undefined) return;
    try {
      const stored = JSON.parse(await readFile(this.#options.cacheFile, 'utf8')) as Record<string, unknown>;
      for (const [key, keys] of Object.entries(stored))
        if (typeof keys === 'string') this.#cached.set(key, keys);
    } catch {
      // The next fetch writes it anew.
    }
  }

  apply(changes: Iterable<WorldChange>): void {
    for (const { kind, key, value } of changes)
      if (kind === requestAuthenticationKind.name)
        this.#take(key, value as RequestAuthentication | undefined);
  }

  setMesh(): void {}

  /** Resolves when every source was fetched or failed once, after `limitMs` at the latest. */
  async settled(limitMs: number): Promise<void> {
    const until = Date.now() + limitMs;
    while (Date.now() < until && [...this.#sources.values()].some(isUntried))
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const source of this.#sources.values()) stop(source);
    await this.#saving;
  }

  #take(object: string, policy: RequestAuthentication | undefined): void {
    const wanted = new Map<string, Source['source']>();
    for (const rule of policy?.spec?.jwtRules ?? []) {
      const source = keySourceOf(rule);
      const key = fetchedKeysKey(source);
      if (source.type !== 'inline' && key !== undefined) wanted.set(key, source);
    }
    for (const key of this.#wanted.get(object) ?? []) if (!wanted.has(key)) this.#forget(key, object);
    for (const [key, source] of wanted) this.#follow(key, source, object);
    setOrDelete(this.#wanted, object, wanted.size > 0 ? new Set(wanted.keys()) : undefined);
  }

  #follow(key: string, source: Source['source'], object: string): void {
    const known = this.#sources.get(key);
    if (known) {
      known.users.add(object);
      return;
    }
    if (this.#sources.size >= maxSources) {
      this.#publish(key, { problem: `only ${maxSources} URLs of keys are followed at once` });
      return;
    }
    const keys = this.#cached.get(key);
    const made: Source = {
      source,
      users: new Set([object]),
      value: keys === undefined ? {} : { keys },
      failures: 0,
      timer: undefined,
      ending: new AbortController(),
    };
    this.#sources.set(key, made);
    if (keys !== undefined) this.#publish(key, made.value);
    this.#enqueue(made);
  }

  #forget(key: string, object: string): void {
    const source = this.#sources.get(key);
    source?.users.delete(object);
    if (source && source.users.size > 0) return;
    if (source) stop(source);
    this.#sources.delete(key);
    this.#publish(key, undefined);
  }

  #enqueue(source: Source): void {
    this.#waiting.push(source);
    this.#start();
  }

  #start(): void {
    while (this.#running < maxConcurrent && !this.#closed) {
      const source = this.#waiting.shift();
      if (!source) return;
      if (source.ending.signal.aborted) continue;
      this.#running++;
      void this.#fetch(source).finally(() => {
        this.#running--;
        this.#start();
      });
    }
  }

  async #fetch(source: Source): Promise<void> {
    const { signal } = source.ending;
    try {
      const keys = await fetchKeys(source.source, { ...this.#options.fetch, signal });
      if (signal.aborted) return;
      source.failures = 0;
      this.#set(source, { keys });
      this.#again(source, (this.#options.refreshMs ?? 20 * 60_000) * (0.9 + 0.1 * Math.random()));
    } catch (error) {
      if (signal.aborted) return;
      const problem = messageOf(error);
      if (source.failures === 0) this.#options.onProblem?.(`keys of tokens: ${problem}`);
      this.#set(source, { ...(source.value.keys === undefined ? {} : { keys: source.value.keys }), problem });
      this.#again(source, backoffDelay(source.failures++, { initialMs: 1_000, maxMs: longestRetryMs }));
    }
  }

  #again(source: Source, delayMs: number): void {
    source.timer = setTimeout(() => this.#enqueue(source), delayMs);
    source.timer.unref();
  }

  #set(source: Source, value: FetchedKeys): void {
    const key = fetchedKeysKey(source.source) as string;
    const changed = source.value.keys !== value.keys;
    source.value = value;
    this.#publish(key, value);
    if (changed) this.#save();
  }

  #publish(key: string, value: FetchedKeys | undefined): void {
    this.#options.publish([{ kind: fetchedKeysKind.name, key, value }]);
  }

  /** One write at a time; the last one has everything. */
  #save(): void {
    const { cacheFile, onProblem } = this.#options;
    if (cacheFile === undefined) return;
    this.#saving = this.#saving.then(async () => {
      const kept = [...this.#sources].flatMap(([key, { value }]) =>
        value.keys === undefined ? [] : [[key, value.keys]],
      );
      await writeFileAtomic(cacheFile, JSON.stringify(Object.fromEntries(kept))).catch((error: unknown) =>
        onProblem?.(`keys of tokens cannot be kept: ${messageOf(error)}`),
      );
    });
  }
}

function isUntried({ value, failures }: Source): boolean {
  return value.keys === undefined && failures === 0;
}

function stop(source: Source): void {
  source.ending.abort();
  clearTimeout(source.timer);
}
