import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeFileAtomic, writeFileAtomicSync } from './atomic-file.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-atomic-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ['writeFileAtomic', writeFileAtomic],
  ['writeFileAtomicSync', async (path: string, data: string) => writeFileAtomicSync(path, data)],
])('%s replaces content and mode, leaves nothing else', async (name, write) => {
  const path = join(directory, name);
  writeFileSync(path, 'old, and longer', { mode: 0o644 });
  await write(path, 'new');
  expect(readFileSync(path, 'utf8')).toBe('new');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(write(join(directory, 'no', 'where'), 'x')).rejects.toThrow(/ENOENT/);
  expect(readdirSync(directory).filter((file) => file.endsWith('.tmp'))).toEqual([]);
});

test('writers at one time: the file is always one of theirs', async () => {
  const path = join(directory, 'contended');
  const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000));
  await Promise.all(texts.map((text) => writeFileAtomic(path, text)));
  expect(texts).toContain(readFileSync(path, 'utf8'));
});
