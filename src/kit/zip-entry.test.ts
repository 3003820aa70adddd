import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findZipEntry, openZipEntry } from './zip-entry.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-zip-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A zip archive by the letter of the format, checksums left zero. */
function zip(members: Record<string, string>, deflate: boolean): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(members)) {
    const data = deflate ? deflateRawSync(content) : Buffer.from(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const header = Buffer.alloc(46);
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(deflate ? 8 : 0, 10);
    header.writeUInt32LE(data.length, 20);
    header.writeUInt32LE(content.length, 24);
    header.writeUInt16LE(name.length, 28);
    header.writeUInt32LE(offset, 42);
    const entry = Buffer.concat([local, Buffer.from(name), data]);
    locals.push(entry);
    central.push(header, Buffer.from(name));
    offset += entry.length;
  }
  const directoryBytes = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(members).length, 10);
  end.writeUInt32LE(directoryBytes.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directoryBytes, end]);
}

test.each([true, false])('reads a member, deflated: %s', async (deflate) => {
  const path = join(directory, `a-${deflate}.zip`);
  writeFileSync(path, zip({ first: 'one', 'deep/second': 'two '.repeat(10_000) }, deflate));
  const entry = await findZipEntry(path, 'deep/second');
  if (!entry) throw new Error('not found');
  expect(await text(await openZipEntry(path, entry))).toBe('two '.repeat(10_000));
  expect(await findZipEntry(path, 'third')).toBeUndefined();
});

test('what is no archive, or cut short, is said to be so', async () => {
  const path = join(directory, 'bad.zip');
  writeFileSync(path, 'not a zip');
  await expect(findZipEntry(path, 'x')).rejects.toMatchObject({ code: 'ZipInvalid' });
  const whole = zip({ first: 'one' }, true);
  writeFileSync(path, whole.subarray(20));
  await expect(findZipEntry(path, 'first')).rejects.toMatchObject({ code: 'ZipInvalid' });
});
