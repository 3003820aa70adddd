import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { processId } from '../../kit/process-id.ts';
import { checkHealth } from './healthcheck.ts';
import { boundLog, olderLog } from './log-file.ts';
import { ManagedProcess, type ProcessSpec, type ProcessState, specHash } from './managed-process.ts';
import { findOurs, markerVariable, sweep } from './ours.ts';
import { ProcessTable } from './process-table.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-supervisor-'));
});
afterEach(async () => {
  await sweep(scratch, { graceMs: 100 });
  rmSync(scratch, { recursive: true, force: true });
});

const node = process.execPath;
const environment = () => ({ PATH: process.env.PATH ?? '', [markerVariable]: scratch });

function spec(script: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    name: 'a/app',
    command: [node, '-e', script],
    workingDirectory: scratch,
    environment: environment(),
    log: join(scratch, 'a.log'),
    restart: { when: 'always' },
    stopGraceMs: 1_000,
    ...more,
  };
}

const table = () => new ProcessTable(join(scratch, 'processes.json'), scratch);
const forever = 'setInterval(() => {}, 1000); console.log("up")';

function managed(what: ProcessSpec, from = table()) {
  const states: ProcessState[] = [];
  const process = new ManagedProcess(what, from, { onChange: (state) => states.push(state) });
  return { process, states };
}

function pidOf(state: ProcessState): number {
  if (state.state !== 'running') throw new Error(`not running but ${state.state}`);
  return state.pid;
}

async function running(process: ManagedProcess): Promise<number> {
  await vi.waitFor(() => expect(process.state.state).toBe('running'), { timeout: 30_000 });
  return pidOf(process.state);
}

describe('a managed process', () => {
  test('is started, restarted when it is killed, and stopped', async () => {
    const { process: app } = managed(spec(forever));
    app.start();
    const first = await running(app);
    process.kill(first, 'SIGKILL');
    await vi.waitFor(() => expect(pidOf(app.state)).not.toBe(first), { timeout: 30_000 });
    expect(app.state).toMatchObject({ restarts: 1 });
    const second = pidOf(app.state);
    await vi.waitFor(() => expect(readFileSync(join(scratch, 'a.log'), 'utf8')).toContain('up'), {
      timeout: 30_000,
    });
    await app.stop();
    expect(processId(second)).toBeUndefined();
    expect(app.state).toEqual({ state: 'stopped' });
    expect(table().names()).toEqual([]);
  });

  test('is adopted by the next supervisor, not started twice', async () => {
    const what = spec(forever);
    // What a supervisor that is gone has left behind.
    const orphan = spawn(node, what.command.slice(1), {
      env: environment(),
      detached: true,
      stdio: 'ignore',
    });
    const id = await vi.waitFor(() => findOurs(scratch)[0] ?? expect.unreachable(), { timeout: 30_000 });
    table().set(what.name, { ...id, specHash: specHash(what) });
    const { process: next } = managed(what);
    next.start();
    expect(await running(next)).toBe(orphan.pid);
    process.kill(id.pid, 'SIGKILL');
    await vi.waitFor(() => expect(pidOf(next.state)).not.toBe(id.pid), { timeout: 30_000 });
    await next.stop();
    expect(findOurs(scratch)).toEqual([]);
  });

  test('that runs with other settings is replaced', async () => {
    const { process: first } = managed(spec(forever, { restart: { when: 'never' } }));
    first.start();
    const pid = await running(first);
    const { process: second } = managed(spec(`${forever}; 1`, { restart: { when: 'never' } }));
    second.start();
    const other = await running(second);
    expect(other).not.toBe(pid);
    expect(processId(pid)).toBeUndefined();
    await second.stop();
  });

  test('ends for good as its policy says', async () => {
    const { process: once } = managed(spec('process.exit(0)', { restart: { when: 'on-failure' } }));
    once.start();
    await vi.waitFor(() => expect(once.state).toMatchObject({ state: 'ended', code: 0 }), {
      timeout: 30_000,
    });
    const { process: twice, states } = managed(
      spec('process.exit(3)', { name: 'b/app', restart: { when: 'on-failure', max: 1 } }),
    );
    twice.start();
    await vi.waitFor(() => expect(twice.state).toMatchObject({ state: 'ended', code: 3 }), {
      timeout: 30_000,
    });
    expect(states.filter(({ state }) => state === 'running')).toHaveLength(2);
  });

  test('that cannot be started says why', async () => {
    const { process: app } = managed(spec('', { command: ['/no/such/program'], restart: { when: 'never' } }));
    app.start();
    await vi.waitFor(() => expect(app.state).toMatchObject({ state: 'ended' }), 30_000);
    expect(app.state).toMatchObject({ why: expect.stringContaining('/no/such/program cannot be started') });
  });

  test('is stopped with its children, and with SIGKILL when it does not listen', async () => {
    const script = `process.on('SIGTERM', () => {});
      require('child_process').spawn(process.execPath, ['-e', 'process.on("SIGTERM",()=>{});setInterval(()=>{},1000)']);
      setInterval(() => {}, 1000);`;
    const { process: app } = managed(spec(script, { stopGraceMs: 200 }));
    app.start();
    await vi.waitFor(() => expect(findOurs(scratch)).toHaveLength(2), { timeout: 30_000 });
    await app.stop();
    await vi.waitFor(() => expect(findOurs(scratch)).toEqual([]), 30_000);
  });
});

describe('sweep', () => {
  test('ends what carries the marker, also grandchildren, and nobody else', async () => {
    const script = `require('child_process').spawn(process.execPath, ['-e', 'setInterval(()=>{},1000)'], { detached: true }).unref();
      setInterval(() => {}, 1000)`;
    const ours = spawn(node, ['-e', script], { env: environment(), detached: true, stdio: 'ignore' });
    const other = spawn(node, ['-e', 'setInterval(()=>{},1000)'], { stdio: 'ignore' });
    const foreign = spawn(node, ['-e', 'setInterval(()=>{},1000)'], {
      env: { ...environment(), [markerVariable]: `${scratch}-other` },
      stdio: 'ignore',
    });
    try {
      await vi.waitFor(() => expect(findOurs(scratch)).toHaveLength(2), { timeout: 30_000 });
      const ended = await sweep(scratch);
      expect(ended.map(({ pid }) => pid)).toContain(ours.pid);
      expect(findOurs(scratch)).toEqual([]);
      expect(processId(other.pid ?? 0)).toBeDefined();
      expect(processId(foreign.pid ?? 0)).toBeDefined();
    } finally {
      other.kill('SIGKILL');
      foreign.kill('SIGKILL');
    }
  });
});

describe('health checks', () => {
  let server: Server;
  afterEach(() => server?.close());

  const target = (test: Parameters<typeof checkHealth>[0]['test'], port: number, timeoutMs = 300) => ({
    test,
    port,
    hosts: ['::1', '127.0.0.1'],
    timeoutMs,
    workingDirectory: scratch,
    environment: environment(),
  });

  test('over HTTP, TCP and by a program', async () => {
    server = createServer((request, response) => {
      if (request.url === '/slow') return;
      response.statusCode = request.url === '/health' ? 200 : 503;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { signal } = new AbortController();
    expect(await checkHealth(target({ type: 'http', path: '/health' }, port), signal)).toBeUndefined();
    expect(await checkHealth(target({ type: 'http', path: '/bad' }, port), signal)).toBe('/bad answers 503');
    expect(await checkHealth(target({ type: 'http', path: '/slow' }, port), signal)).toContain(
      'within 300 ms',
    );
    expect(await checkHealth(target({ type: 'tcp' }, port), signal)).toBeUndefined();
    expect(await checkHealth(target({ type: 'tcp' }, 1), signal)).toBe('nothing listens on port 1 yet');
    expect(await checkHealth(target({ type: 'tcp' }, 0), signal)).toBeUndefined();
    const exec = (command: string[]) => checkHealth(target({ type: 'exec', command }, port), signal);
    expect(await exec(['/bin/sh', '-c', 'exit 0'])).toBeUndefined();
    expect(await exec(['/bin/sh', '-c', 'exit 4'])).toBe('the check ended with 4');
    expect(await exec(['/bin/sh', '-c', 'sleep 5'])).toContain('did not end within 300 ms');
    expect(await exec(['/no/such'])).toContain('cannot be started');
    server.closeAllConnections();
  });
});

test('a log is cut while its writer goes on', async () => {
  const log = join(scratch, 'a.log');
  const script =
    "let n = 0; const t = setInterval(() => { console.log('line ' + n++ + 'x'.repeat(90)); if (n === 300) clearInterval(t) }, 1)";
  const { process: app } = managed(spec(script, { restart: { when: 'never' } }));
  app.start();
  let cuts = 0;
  await vi.waitFor(
    () => {
      if (existsSync(log) && boundLog(log, 5_000)) cuts++;
      expect(app.state.state).toBe('ended');
    },
    { timeout: 30_000, interval: 5 },
  );
  expect(cuts).toBeGreaterThan(2);
  const text = readFileSync(log, 'utf8');
  expect(text.includes('\0')).toBe(false);
  expect(text.length).toBeLessThan(10_000);
  expect(readFileSync(olderLog(log), 'utf8')).toContain('line');
});

test('the table survives, knows its own processes only, and a broken one says so', async () => {
  const path = join(scratch, 'processes.json');
  const child = spawn(node, ['-e', forever], { env: environment(), stdio: 'ignore' });
  const id = await vi.waitFor(() => findOurs(scratch)[0] ?? expect.unreachable(), { timeout: 30_000 });
  const first = table();
  first.set('a', { ...id, specHash: 'x' });
  expect(table().alive('a')).toMatchObject(id);
  first.set('b', { ...id, startTime: 1, specHash: 'x' });
  expect(table().alive('b')).toBeUndefined();
  const self = processId(process.pid);
  first.set('c', { pid: process.pid, startTime: self?.startTime ?? 0, specHash: 'x' });
  expect(table().alive('c')).toBeUndefined();
  child.kill('SIGKILL');
  writeFileSync(path, '{');
  expect(() => table()).toThrow(/is not JSON/);
});
