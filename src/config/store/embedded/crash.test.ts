import { type StdioOptions, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { StoreEvent } from '../store.ts';
import { openEmbeddedStore } from './embedded-store.ts';

const writerProgram = fileURLToPath(new URL('../../../../test/support/store-writer.ts', import.meta.url));
const rounds = 6;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ostria-crash-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Lets a process write until it is killed; returns the lines it acknowledged. */
async function writeUntilKilled(path: string, round: number, afterBytes: number): Promise<string[]> {
  // A file, not a pipe: the child never waits for this process to read.
  const said = join(directory, `round-${round}`);
  const file = openSync(said, 'w');
  const stdio: StdioOptions = ['ignore', file, 'pipe'];
  const child = spawn(process.execPath, [writerProgram, path, '16', String(round)], { stdio });
  closeSync(file);
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const closed = new Promise((resolve) => child.once('close', (_code, signal) => resolve(signal)));
  await vi.waitUntil(() => statSync(said).size >= afterBytes || complaint !== '', {
    timeout: 60_000,
    interval: 2,
  });
  child.kill('SIGKILL');
  expect(await closed).toBe('SIGKILL');
  expect(complaint).toBe('');
  // The last line may be cut, and then nobody can have read it.
  const text = readFileSync(said, 'utf8');
  return text.slice(0, text.lastIndexOf('\n')).split('\n');
}

async function eventsAfter(store: ReturnType<typeof openEmbeddedStore>, from: number): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  const abort = new AbortController();
  for await (const item of store.watch({ from, signal: abort.signal })) {
    if (item.type === 'progress') break;
    events.push(...item.events);
  }
  return events;
}

test('kill -9 under load loses no acknowledged write and repeats no revision; a watch resumes without a gap', async () => {
  const path = join(directory, 'store.db');
  const mirror = new Map<string, string>();
  let position = 1;
  let acknowledgedInAll = 0;
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await writeUntilKilled(path, round, Math.floor(500 + Math.random() * 10_000));
    acknowledgedInAll += acknowledged.length;
    const store = openEmbeddedStore({ path });
    const events = await eventsAfter(store, position);
    // Each commit changes one object, so revisions without a gap mean commits without a gap.
    expect(events.map((event) => event.revision)).toEqual(events.map((_, i) => position + 1 + i));
    const written = new Map(
      events.map((event) => {
        const value = event.type === 'deleted' ? '-' : (event.object.spec as { value: string }).value;
        return [event.revision, `${event.revision} ${event.ref.name} ${value}`];
      }),
    );
    for (const line of acknowledged) expect(written.get(Number.parseInt(line, 10))).toBe(line);
    for (const event of events) {
      if (event.type === 'deleted') mirror.delete(event.ref.name);
      else mirror.set(event.ref.name, String(event.revision));
    }
    position = await store.revision();
    const { items } = await store.list({ resource: 'services' });
    expect(new Map(items.map((item) => [item.ref.name, String(item.revision)]))).toEqual(mirror);
    await store.close();
  }
  expect(acknowledgedInAll).toBeGreaterThan(rounds * 10);
});
