import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitFor } from '../../../test/support/wait-for.ts';
import { processId } from '../../kit/process-id.ts';
import { findOurs, isOurs, markerVariable } from './ours.ts';
import { ProcessTable } from './process-table.ts';

let directory: string;
const started: ReturnType<typeof spawn>[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-ours-'));
});
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A process with this environment; an empty one is what is left where a server wrote its title over it. */
async function start(env: Record<string, string>) {
  const child = spawn('/bin/sleep', ['600'], { env, stdio: 'ignore' });
  started.push(child);
  await new Promise((resolve, reject) => child.once('spawn', () => resolve(undefined)).once('error', reject));
  // Between fork and exec it is still a copy of ourselves.
  return waitFor('it to run', () => {
    const id = processId(child.pid ?? 0);
    return id && isOurs(id.pid, directory, [id]) ? id : undefined;
  });
}

test('a process is known by its marker, and by its record where it has no environment any more', async () => {
  const marked = await start({ [markerVariable]: directory });
  const wiped = await start({});
  expect(isOurs(marked.pid, directory)).toBe(true);
  expect(isOurs(wiped.pid, directory)).toBe(false);
  const table = new ProcessTable(join(directory, 'processes.json'), directory);
  table.set('redis-0/app', { ...wiped, specHash: 'a' });
  expect(isOurs(wiped.pid, directory)).toBe(true);
  expect(table.alive('redis-0/app')?.pid).toBe(wiped.pid);
  expect(findOurs(directory).map(({ pid }) => pid)).toEqual(expect.arrayContaining([marked.pid, wiped.pid]));
  // Another process with the pid of one that was recorded.
  table.set('redis-0/app', { ...wiped, startTime: wiped.startTime + 1, specHash: 'a' });
  expect(isOurs(wiped.pid, directory)).toBe(false);
  expect(table.alive('redis-0/app')).toBeUndefined();
});

test('an environment of somebody else is somebody else’s, whatever was recorded', async () => {
  const foreign = spawn('/bin/sleep', ['600'], { env: { HOME: '/' }, stdio: 'ignore' });
  started.push(foreign);
  const id = await waitFor('it to run', () => processId(foreign.pid ?? 0));
  expect(isOurs(id.pid, directory, [id])).toBe(false);
});
