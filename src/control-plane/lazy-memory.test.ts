import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LazyMemory } from './lazy-memory.ts';

let directory: string;
const warnings: string[] = [];
const warn = (message: string) => void warnings.push(message);
const nobody = () => false;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-lazy-memory-'));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('hosts survive, unknown ones do not', async () => {
  const file = join(directory, 'usage.json');
  const memory = new LazyMemory({ file, warn, writeDelayMs: 60_000 });
  expect(memory.note('a/b/c', { hosts: ['y', 'x'], unknown: ['80/z'] }, nobody)).toEqual(['a/b/c']);
  expect(memory.note('a/b/c', { hosts: ['x'], unknown: [] }, nobody)).toEqual([]);
  expect(memory.usage('a/b/c')).toEqual({ hosts: ['x', 'y'], unknown: ['80/z'], full: false });
  await memory.close();
  expect(new LazyMemory({ file, warn }).usage('a/b/c')).toEqual({
    hosts: ['x', 'y'],
    unknown: [],
    full: false,
  });
  expect(warnings).toEqual([]);
});

test('names that no host can have are not remembered, but count', () => {
  const memory = new LazyMemory({ warn, maxHosts: 2 });
  expect(memory.note('a', { hosts: ['x'], unknown: [], invalid: ['80/_'] }, nobody)).toEqual(['a']);
  expect(memory.note('a', { hosts: [], unknown: [], invalid: ['80/_'] }, nobody)).toEqual([]);
  expect(memory.usage('a')).toEqual({ hosts: ['x'], unknown: [], full: false });
  expect(memory.note('a', { hosts: [], unknown: [], invalid: ['80/__'] }, nobody)).toEqual(['a']);
  expect(memory.usage('a')).toEqual({ hosts: ['x'], unknown: [], full: true });
});

test('who asks for more than the limit has everything, also after a restart', async () => {
  const file = join(directory, 'full.json');
  const memory = new LazyMemory({ file, warn, maxHosts: 2 });
  memory.note('a', { hosts: ['x', 'y'], unknown: [] }, nobody);
  expect(memory.usage('a')?.full).toBe(false);
  expect(memory.note('a', { hosts: ['z'], unknown: [] }, nobody)).toEqual(['a']);
  expect(memory.usage('a')?.full).toBe(true);
  await memory.close();
  expect(new LazyMemory({ file, warn, maxHosts: 2 }).usage('a')?.full).toBe(true);
});

test('of too many identities those without a proxy are forgotten, the oldest first', () => {
  const memory = new LazyMemory({ warn, maxIdentities: 2 });
  memory.note('a', { hosts: ['x'], unknown: [] }, nobody);
  memory.note('b', { hosts: ['x'], unknown: [] }, nobody);
  expect(memory.note('c', { hosts: ['x'], unknown: [] }, (identity) => identity === 'a')).toEqual(['c', 'b']);
  expect(memory.identities()).toEqual(['a', 'c']);
});

test('a file that cannot be read is told of, and replaced', async () => {
  const file = join(directory, 'broken.json');
  writeFileSync(file, '{');
  const memory = new LazyMemory({ file, warn });
  expect(warnings.pop()).toMatch(/broken\.json: what lazy sidecars used is forgotten: /);
  memory.note('a', { hosts: ['x'], unknown: [] }, nobody);
  await memory.close();
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ version: 1, used: { a: ['x'] } });
});
