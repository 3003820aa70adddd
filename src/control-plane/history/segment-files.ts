import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { ConfigObject } from '../../config/object.ts';
import { Breather } from '../../config/sources/breather.ts';
import type { HistoryEntry, Moment } from './history-entry.ts';

/** The layout of the files; what has another one is left alone. */
const layout = 1;

/**
 * A stretch of the history: a log of entries, and beside it the state before the first of them. A segment whose base is missing (the
 * control plane ended while it was written) is read on from the one before.
 */
export interface Segment {
  readonly number: number;
  /** The state before its first entry. */
  readonly begins: Moment;
  /** Changes in all segments before it. */
  readonly changesBefore: number;
  /** Something between the segment before and this one is not known. */
  readonly afterGap: boolean;
  /** Of the log. */
  bytes: number;
  /** 0: there is no base. */
  baseBytes: number;
}

export interface RecordedObject {
  readonly kind: string;
  readonly key: string;
  readonly object: ConfigObject;
}

interface Header {
  readonly layout: number;
  readonly begins: Moment;
  readonly changesBefore: number;
  readonly afterGap: boolean;
}

const name = (number: number): string => String(number).padStart(8, '0');
export const logPath = (directory: string, number: number): string =>
  join(directory, `${name(number)}.jsonl`);
const basePath = (directory: string, number: number): string =>
  join(directory, `${name(number)}.base.jsonl.gz`);

/** The segments that are there, oldest first. What is not ours, or of another layout, is passed over. */
export async function findSegments(directory: string): Promise<Segment[]> {
  const numbers = (await readdir(directory))
    .map((file) => /^(\d{8})\.jsonl$/.exec(file)?.[1])
    .filter((found) => found !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  const found: Segment[] = [];
  for (const number of numbers) {
    const header = await readHeader(logPath(directory, number));
    if (header?.layout !== layout) continue;
    const { begins, changesBefore, afterGap } = header;
    const [bytes, baseBytes] = [
      await sizeOf(logPath(directory, number)),
      await sizeOf(basePath(directory, number)),
    ];
    found.push({ number, begins, changesBefore, afterGap, bytes, baseBytes });
  }
  return found;
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function readHeader(path: string): Promise<Header | undefined> {
  for await (const line of linesOf(path)) return parse<Header>(line);
  return undefined;
}

/** Complete lines only: the last one of a process that was killed may be cut. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

function parse<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T;
  } catch {
    return undefined;
  }
}

/** The entries of a log, up to the first line that is damaged. */
export async function* readEntries(directory: string, number: number): AsyncGenerator<HistoryEntry> {
  let first = true;
  for await (const line of linesOf(logPath(directory, number))) {
    if (!first) {
      const entry = parse<HistoryEntry>(line);
      if (entry === undefined) return;
      yield entry;
    }
    first = false;
  }
}

/** Cuts off what a killed process left half written. Returns the length. */
export async function repairLog(directory: string, number: number): Promise<number> {
  let length = 0;
  for await (const line of linesOf(logPath(directory, number))) {
    if (parse(line) === undefined) break;
    length += Buffer.byteLength(line) + 1;
  }
  const file = await open(logPath(directory, number), 'r+');
  try {
    await file.truncate(length);
  } finally {
    await file.close();
  }
  return length;
}

/** Starts a log (0600) with its header, and opens it for appending. */
export async function createLog(
  directory: string,
  number: number,
  header: Omit<Header, 'layout'>,
): Promise<{ file: FileHandle; bytes: number }> {
  const file = await open(logPath(directory, number), 'w', 0o600);
  const line = Buffer.from(`${JSON.stringify({ layout, ...header })}\n`);
  await file.write(line);
  return { file, bytes: line.length };
}

export async function* readBase(directory: string, number: number): AsyncGenerator<RecordedObject> {
  const source = createReadStream(basePath(directory, number));
  const input = source.pipe(createGunzip());
  source.once('error', (error) => input.destroy(error));
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) if (line !== '') yield JSON.parse(line) as RecordedObject;
}

/** Writes a state as a whole or not at all; returns its length. The event loop has its turns. */
export async function writeBase(
  directory: string,
  number: number,
  objects: Iterable<RecordedObject>,
): Promise<number> {
  const path = basePath(directory, number);
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        file.write(chunk).then(() => done(), done);
      },
    });
    await pipeline(linesOfObjects(objects), createGzip({ level: 1 }), sink);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await rename(temporary, path);
  return sizeOf(path);
}

/** Written in portions of about this many bytes. */
const portion = 64 * 1024;

async function* linesOfObjects(objects: Iterable<RecordedObject>): AsyncGenerator<string> {
  const breather = new Breather(5);
  let text = '';
  for (const object of objects) {
    text += `${JSON.stringify(object)}\n`;
    if (text.length > portion) {
      yield text;
      text = '';
    }
    if (breather.due()) await breather.breathe();
  }
  if (text !== '') yield text;
}

export async function removeSegment(directory: string, number: number): Promise<void> {
  // The log last: without it the base would be found by nobody.
  await rm(basePath(directory, number), { force: true });
  await rm(logPath(directory, number), { force: true });
}
