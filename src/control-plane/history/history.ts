import { type FileHandle, open } from 'node:fs/promises';
import { makePrivateDirectory } from '../../kit/atomic-file.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { exportHistory } from './export-history.ts';
import type {
  HistoryChange,
  HistoryDifference,
  HistoryEntry,
  HistoryListing,
  HistorySource,
  Moment,
} from './history-entry.ts';
import {
  byOf,
  changeBetween,
  isSecret,
  type ObservedChange,
  placeOf,
  recordedForms,
} from './observed-change.ts';
import {
  differenceBetween,
  idOf,
  type ListQuery,
  listChanges,
  type Point,
  type State,
  stateAt,
} from './read-history.ts';
import {
  isRecorded,
  nextSecretVersions,
  recordedForm,
  type SecretVersions,
  secretVersionsOf,
} from './recorded-form.ts';
import {
  createLog,
  findSegments,
  logPath,
  removeSegment,
  repairLog,
  type Segment,
  writeBase,
} from './segment-files.ts';

/** How much is kept; beyond, the oldest goes. */
export interface HistoryLimits {
  /** Of all files together. Default 64 MiB. */
  readonly bytes: number;
  /** Changes of objects. Default 100,000. */
  readonly changes: number;
  /** Age in ms. Default 7 days. */
  readonly ageMs: number;
}

export const defaultHistoryLimits: HistoryLimits = {
  bytes: 64 * 1024 * 1024,
  changes: 100_000,
  ageMs: 7 * 24 * 3_600_000,
};

export interface HistoryOptions {
  readonly directory: string;
  readonly limits?: Partial<HistoryLimits>;
  /** Every object in force now. */
  readonly present: () => Iterable<ObservedChange>;
  readonly warn: (message: string) => void;
  /** Who asked for the deletion of an object (`group/Kind namespace/name`), where that is known. */
  readonly deletedBy?: (id: string) => string | undefined;
  readonly now?: () => number;
  /** Appends to a log. Default: as a file is appended to. */
  readonly append?: (file: FileHandle, bytes: Buffer) => Promise<void>;
}

/** A segment takes this share of the limits before the next one begins: what is forgotten goes by whole segments. */
const segments = 16;
const smallestSegment = 64 * 1024;
/** Entries that wait to be written, in bytes of text: a disk that takes nothing must not take the memory too. */
const mostWaiting = 32 * 1024 * 1024;
/** Questions at a time; each reads files and holds a state. Others wait, so many of them. */
const mostQuestions = 16;
/** Until the history is tried again after the disk refused it, ms. */
const retryMs = 60_000;

/**
 * What the configuration was, and who changed it when. Each commit of a source appends one line with the deltas of its objects; now and
 * then a new segment begins with the whole state, and the oldest segments go. The store's own history is for watches and pages, is
 * short, and knows nothing of files.
 */
export class History {
  readonly #options: HistoryOptions;
  readonly #limits: HistoryLimits;
  readonly #now: () => number;
  readonly #secrets = new Map<string, SecretVersions>();
  #segments: Segment[] = [];
  #newest: Moment = { revision: 0, at: 0 };
  #changes = 0;
  #file: FileHandle | undefined;
  #waiting = '';
  #work: Promise<void> = Promise.resolve();
  #scheduled = false;
  #rotating = false;
  #writingBase: Promise<void> = Promise.resolve();
  #recording = false;
  #brokenUntil: number | undefined;
  #questions = 0;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#limits = { ...defaultHistoryLimits, ...options.limits };
    this.#now = options.now ?? Date.now;
  }

  /**
   * Goes on where the last run ended, once every source has told what it has. What changed in between becomes one entry of the
   * source `start`. Never rejects: without a history everything else works.
   */
  async start(): Promise<void> {
    const { directory, warn } = this.#options;
    try {
      makePrivateDirectory(directory);
      this.#segments = await findSegments(directory);
      const state = await this.#resume();
      // From here on without a pause: what comes next is recorded.
      const changes = state && this.#differences(state);
      this.#recording = true;
      if (changes && changes.length > 0) this.#append('start', changes);
      if (!state) this.#enqueue(() => this.#rotate());
    } catch (error) {
      warn(`the history in ${directory} is not kept: ${messageOf(error)}`);
    }
  }

  /** The state as the last run left it, its log open; undefined: a new segment must begin. */
  async #resume(): Promise<State | undefined> {
    const { directory, warn } = this.#options;
    const last = this.#segments.at(-1);
    if (!last) return undefined;
    this.#newest = last.begins;
    this.#changes = last.changesBefore;
    try {
      last.bytes = await repairLog(directory, last.number);
      const { state, moment } = await stateAt(directory, this.#segments, { at: Number.POSITIVE_INFINITY });
      this.#newest = moment;
      const { changes } = await listChanges(directory, [last], { limit: Number.POSITIVE_INFINITY });
      this.#changes = last.changesBefore + changes.length;
      for (const [id, object] of state) if (isSecret(id)) this.#secrets.set(id, secretVersionsOf(object));
      this.#file = await open(logPath(directory, last.number), 'a', 0o600);
      return state;
    } catch (error) {
      warn(`the history in ${directory} begins anew, as its end cannot be read: ${messageOf(error)}`);
      return undefined;
    }
  }

  #differences(state: State): HistoryChange[] {
    const changes: HistoryChange[] = [];
    const gone = new Map(state);
    for (const { group, kind, key, object, positions } of this.#options.present()) {
      const id = `${group}/${kind} ${key}`;
      if (!object || !isRecorded(`${group}/${kind}`)) continue;
      gone.delete(id);
      const before = state.get(id);
      if (isSecret(id))
        this.#secrets.set(id, nextSecretVersions(this.#secrets.get(id) ?? {}, undefined, object));
      const after = recordedForm(object, this.#secrets.get(id));
      const change = changeBetween({ kind: `${group}/${kind}`, key }, before, after);
      if (change) changes.push({ ...change, ...placeOf(positions), ...byOf(undefined, object) });
    }
    for (const id of gone.keys()) {
      const at = id.indexOf(' ');
      changes.push({ kind: id.slice(0, at), key: id.slice(at + 1) });
    }
    return changes;
  }

  /** Takes note of one commit of a source. Cheap: the deltas are made at once, and written with the next turn of the event loop. */
  record(source: HistorySource, observed: readonly ObservedChange[]): void {
    if (!this.#recording) return;
    const changes = observed.flatMap((one): HistoryChange[] => {
      const change = this.#changeOf(one);
      return change ? [change] : [];
    });
    if (changes.length > 0) this.#append(source, changes);
  }

  #changeOf({
    group,
    kind: name,
    key,
    object,
    previous,
    positions,
  }: ObservedChange): HistoryChange | undefined {
    const kind = `${group}/${name}`;
    if (!isRecorded(kind)) return undefined;
    const id = idOf({ kind, key });
    const old = this.#secrets.get(id);
    if (!object) {
      this.#secrets.delete(id);
      const by = this.#options.deletedBy?.(id);
      return previous ? { kind, key, ...(by === undefined ? {} : { by }) } : undefined;
    }
    if (isSecret(id)) this.#secrets.set(id, nextSecretVersions(old ?? {}, previous, object));
    const before = previous && recordedForm(previous, old);
    const change = changeBetween({ kind, key }, before, recordedForm(object, this.#secrets.get(id)));
    return change && { ...change, ...placeOf(positions), ...byOf(previous, object) };
  }

  #append(source: HistorySource, changes: readonly HistoryChange[]): void {
    if (this.#brokenUntil !== undefined && this.#now() < this.#brokenUntil) return;
    // Clocks are set back now and then: times only grow, or a search by time would go astray.
    const at = Math.max(this.#newest.at, this.#now());
    const entry: HistoryEntry = { revision: this.#newest.revision + 1, at, source, changes };
    this.#newest = { revision: entry.revision, at };
    this.#changes += changes.length;
    this.#waiting += `${JSON.stringify(entry)}\n`;
    if (this.#waiting.length > mostWaiting) {
      this.#waiting = '';
      this.#break(new Error(`${mostWaiting} bytes wait for the disk`));
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#enqueue(() => this.#write()));
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => this.#break(error));
  }

  async #write(): Promise<void> {
    this.#scheduled = false;
    const segment = this.#segments.at(-1);
    if (!this.#file || !segment || this.#brokenUntil !== undefined) {
      this.#waiting = '';
      if (this.#now() >= (this.#brokenUntil ?? 0)) await this.#rotate();
      return;
    }
    await this.#drain(this.#file, segment);
    if (this.#isFull(segment)) await this.#rotate();
  }

  async #drain(file: FileHandle, segment: Segment): Promise<void> {
    while (this.#waiting !== '') {
      const bytes = Buffer.from(this.#waiting);
      this.#waiting = '';
      await (this.#options.append ?? appendTo)(file, bytes);
      segment.bytes += bytes.length;
    }
  }

  /** A segment that is as large as its base at least: so what is written for bases is never more than what is written for changes. */
  #isFull({ bytes, baseBytes, begins, changesBefore }: Segment): boolean {
    const limits = this.#limits;
    return (
      !this.#rotating &&
      (bytes > Math.max(smallestSegment, baseBytes, limits.bytes / segments) ||
        this.#changes - changesBefore > Math.max(100, limits.changes / segments) ||
        this.#now() - begins.at > limits.ageMs / segments)
    );
  }

  /** Something did not reach the disk, so what comes after it would be deltas of something else: a new state is written first. */
  #break(error: unknown): void {
    if (this.#brokenUntil === undefined)
      this.#options.warn(
        `the history in ${this.#options.directory} has a gap from now on: ${messageOf(error)}; tried again every minute`,
      );
    this.#brokenUntil = this.#now() + retryMs;
  }

  /** Begins a segment: its log at once, the state beside it as the disk takes it. Nothing waits to be written when it is called. */
  async #rotate(): Promise<void> {
    const { directory, present } = this.#options;
    const number = (this.#segments.at(-1)?.number ?? 0) + 1;
    const begins = { revision: this.#newest.revision, at: Math.max(this.#newest.at, this.#now()) };
    const afterGap = this.#brokenUntil !== undefined || this.#file === undefined;
    this.#newest = begins;
    const objects = [...present()];
    const secrets = new Map(this.#secrets);
    const changesBefore = this.#changes;
    const created = await createLog(directory, number, { begins, changesBefore, afterGap });
    await this.#file?.close().catch(() => undefined);
    this.#file = created.file;
    const { bytes } = created;
    const segment: Segment = { number, begins, changesBefore, afterGap, bytes, baseBytes: 0 };
    this.#segments.push(segment);
    this.#brokenUntil = undefined;
    this.#rotating = true;
    this.#writingBase = writeBase(directory, number, recordedForms(objects, secrets))
      .then((length) => {
        segment.baseBytes = length;
        this.#enqueue(() => this.#prune());
      })
      .catch((error: unknown) => this.#break(error))
      .finally(() => {
        this.#rotating = false;
      });
  }

  /** Drops the oldest segments beyond the limits; what is left begins with a base. */
  async #prune(): Promise<void> {
    for (let next = this.#segments[1]; next && this.#isOver(next); next = this.#segments[1]) {
      if (!this.#segments.slice(1).some(({ baseBytes }) => baseBytes > 0)) return;
      const [oldest] = this.#segments;
      this.#segments = this.#segments.slice(1);
      if (oldest) await removeSegment(this.#options.directory, oldest.number);
    }
  }

  #isOver(next: Segment): boolean {
    const bytes = this.#segments.reduce((sum, segment) => sum + segment.bytes + segment.baseBytes, 0);
    const [oldest] = this.#segments;
    return (
      bytes > this.#limits.bytes ||
      this.#changes - (oldest?.changesBefore ?? 0) > this.#limits.changes ||
      this.#now() - next.begins.at > this.#limits.ageMs
    );
  }

  /** The newest revision, and when it was. */
  get newest(): Moment {
    return this.#newest;
  }

  list(query: ListQuery): Promise<HistoryListing> {
    return this.#ask(async (known) => {
      const listed = await listChanges(this.#options.directory, known, query);
      const begins = known.find(({ baseBytes }) => baseBytes > 0)?.begins ?? this.#newest;
      return { ...listed, begins, newest: this.#newest };
    });
  }

  difference(from: Point, to: Point): Promise<HistoryDifference> {
    return this.#ask((known) => differenceBetween(this.#options.directory, known, from, to));
  }

  objectsAt(point: Point): Promise<{ state: State; moment: Moment }> {
    return this.#ask((known) => stateAt(this.#options.directory, known, point));
  }

  /** The newest part of it; see `exportHistory`. */
  export(): Promise<Buffer> {
    return this.#ask((known) => exportHistory(this.#options.directory, known));
  }

  /** One question after the other, and after what was recorded before it is written. */
  #ask<T>(work: (segments: readonly Segment[]) => Promise<T>): Promise<T> {
    if (this.#questions >= mostQuestions)
      return Promise.reject(
        new CodedError('HistoryBusy', `${mostQuestions} questions about the history wait; ask again later`),
      );
    this.#questions++;
    const answer = this.#asking.then(async () => {
      if (this.#waiting !== '') this.#enqueue(() => this.#write());
      await this.#work;
      // The very first state, or that after a gap, may still be on its way to the disk.
      if (this.#rotating && !this.#segments.some(({ baseBytes }) => baseBytes > 0)) await this.#writingBase;
      return work([...this.#segments]);
    });
    this.#asking = answer.catch(() => undefined).finally(() => this.#questions--);
    return answer;
  }

  /** Resolves when everything recorded is on the disk, and what is beyond the limits is gone. */
  async settled(): Promise<void> {
    if (this.#waiting !== '') this.#enqueue(() => this.#write());
    await this.#work;
    await this.#writingBase;
    await this.#work;
  }

  async close(): Promise<void> {
    this.#recording = false;
    await this.settled();
    await this.#file?.sync().catch(() => undefined);
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
  }
}

const appendTo = (file: FileHandle, bytes: Buffer): Promise<void> => file.appendFile(bytes);
