import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesAt } from './files-at.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-files-'));
  mkdirSync(join(directory, 'b', 'node_modules'), { recursive: true });
  for (const name of ['c.yaml', 'a.yaml', 'a.txt', 'b/d.yaml', 'b/node_modules/e.yaml'])
    writeFileSync(join(directory, name), '');
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function namesAt(recursive: boolean): string[] {
  return filesAt(directory, (name) => name.endsWith('.yaml'), recursive).map((file) =>
    relative(directory, file),
  );
}

test('a directory stands for its files, sorted; below it those of packages are passed over', () => {
  expect(namesAt(false)).toEqual(['a.yaml', 'c.yaml']);
  expect(namesAt(true)).toEqual(['a.yaml', 'b/d.yaml', 'c.yaml']);
});

test('a file that is named is meant, whatever it is called', () => {
  const file = join(directory, 'a.txt');
  expect(filesAt(file, () => false, false)).toEqual([file]);
});

test('what is not there is named with the reason in words', () => {
  expect(() => filesAt('nowhere.yaml', () => true, false)).toThrow(
    'nowhere.yaml cannot be read: no such file or directory',
  );
});

test('more files than anybody means are refused', () => {
  const many = join(directory, 'many');
  mkdirSync(many);
  for (let index = 0; index <= 5000; index++) writeFileSync(join(many, `${index}.yaml`), '');
  expect(() => filesAt(many, () => true, false)).toThrow('holds more than 5000 files');
});
