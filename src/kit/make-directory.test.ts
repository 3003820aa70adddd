import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeDirectory } from './make-directory.ts';

const scratch = mkdtempSync(join(tmpdir(), 'ostria-directory-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('it is made with its parents, each with the mode, and made again without harm', () => {
  const path = join(scratch, 'a', 'b', 'c');
  for (let i = 0; i < 2; i++) makeDirectory(path, 0o700);
  expect([path, join(scratch, 'a')].map(modeOf)).toEqual([0o700, 0o700]);
});

test('one that is there keeps its mode, also behind a link', () => {
  const own = join(scratch, 'own');
  mkdirSync(own, { mode: 0o750 });
  symlinkSync(own, join(scratch, 'link'));
  makeDirectory(join(scratch, 'link'), 0o700);
  expect(modeOf(own)).toBe(0o750);
  makeDirectory('/');
});

test('what cannot be made ends with what the system says', () => {
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  expect(() => makeDirectory(file)).toThrow('EEXIST');
  expect(() => makeDirectory(join(file, 'below', 'it'))).toThrow('ENOTDIR');
});

test.runIf(process.platform === 'linux')('a file system that makes no directories does not hang it', () => {
  expect(() => makeDirectory('/proc/x/y')).toThrow('ENOENT');
});
