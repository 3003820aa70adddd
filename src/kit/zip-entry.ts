import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { CodedError } from './coded-error.ts';

/*
 * Reads one member of a zip archive (PKWARE APPNOTE 6.3: end of central directory 4.3.16, central file header 4.3.12, local
 * file header 4.3.7). Enough for Python wheels: stored or deflated members, no encryption, no zip64.
 */

const END_SIGNATURE = 0x06054b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_SIZE = 22;
const MAX_COMMENT = 0xffff;
const MAX_DIRECTORY = 16 * 1024 * 1024;

export interface ZipEntry {
  name: string;
  /** 0 stored, 8 deflated. */
  method: number;
  compressedSize: number;
  size: number;
  localOffset: number;
}

/** The archive's member `name`, or undefined. Throws `ZipInvalid` when the file is not such an archive. */
export async function findZipEntry(archive: string, name: string): Promise<ZipEntry | undefined> {
  const file = await open(archive, 'r');
  try {
    for (const entry of await readDirectory(file, archive)) if (entry.name === name) return entry;
    return undefined;
  } finally {
    await file.close();
  }
}

/** The member's content as a stream, inflated on the way. */
export async function openZipEntry(archive: string, entry: ZipEntry): Promise<Readable> {
  const file = await open(archive, 'r');
  let start: number;
  try {
    const header = await readAt(file, entry.localOffset, 30, archive);
    if (header.readUInt32LE(0) !== LOCAL_SIGNATURE)
      throw invalid(archive, `${entry.name} has no local header`);
    start = entry.localOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  } finally {
    await file.close();
  }
  const raw = createReadStream(archive, { start, end: start + entry.compressedSize - 1 });
  if (entry.method === 0) return raw;
  if (entry.method !== 8) throw invalid(archive, `${entry.name} uses compression method ${entry.method}`);
  const inflate = createInflateRaw();
  raw.on('error', (error) => inflate.destroy(error));
  return raw.pipe(inflate);
}

async function readDirectory(file: FileHandle, archive: string): Promise<ZipEntry[]> {
  const { size } = await file.stat();
  const tailSize = Math.min(size, END_SIZE + MAX_COMMENT);
  const tail = await readAt(file, size - tailSize, tailSize, archive);
  let end = tail.length - END_SIZE;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw invalid(archive, 'no end of central directory');
  const count = tail.readUInt16LE(end + 10);
  const length = tail.readUInt32LE(end + 12);
  const offset = tail.readUInt32LE(end + 16);
  if (length > MAX_DIRECTORY || offset + length > size)
    throw invalid(archive, 'central directory out of range');
  return parseDirectory(await readAt(file, offset, length, archive), count, archive);
}

function parseDirectory(bytes: Buffer, count: number, archive: string): ZipEntry[] {
  const entries: ZipEntry[] = [];
  for (let at = 0; entries.length < count; ) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== CENTRAL_SIGNATURE)
      throw invalid(archive, `central directory ends after ${entries.length} of ${count} members`);
    const nameLength = bytes.readUInt16LE(at + 28);
    entries.push({
      name: bytes.toString('utf8', at + 46, at + 46 + nameLength),
      method: bytes.readUInt16LE(at + 10),
      compressedSize: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      localOffset: bytes.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return entries;
}

async function readAt(file: FileHandle, position: number, length: number, archive: string): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead !== length) throw invalid(archive, `shorter than its directory says`);
  return buffer;
}

function invalid(archive: string, why: string): CodedError {
  return new CodedError('ZipInvalid', `${archive} is not a readable zip archive: ${why}`);
}
