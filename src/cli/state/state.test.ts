import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../test/support/ports.ts';
import { portOwner } from './listening-ports.ts';
import { PortBook, portConflictError } from './port-book.ts';
import { knownMeshes, openState, socketPath, stateDirectory, stateHome } from './state-directory.ts';

let scratch: string;
const servers: Server[] = [];
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-state-'));
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(scratch, { recursive: true, force: true });
});

function listen(port = 0): Promise<number> {
  const server = createServer();
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

test.runIf(process.platform === 'linux')('a home that makes no directories is told at once', () => {
  expect(() => openState('/proc/x/mesh')).toThrow(
    'the state of the mesh cannot be kept in /proc/x/mesh: no such file or directory; mend that, or set OSTRIA_HOME',
  );
});

test('where no state can be kept, it says why and what helps', () => {
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  expect(() => openState(join(file, 'mesh'))).toThrow(
    /^the state of the mesh cannot be kept in .*file\/mesh: not a directory; mend that, or set OSTRIA_HOME/,
  );
});

describe('state directory', () => {
  test('is where the XDG specification or OSTRIA_HOME says', () => {
    expect(stateHome({ HOME: '/h' })).toBe('/h/.local/state/ostria');
    expect(stateHome({ HOME: '/h', XDG_STATE_HOME: '/x' })).toBe('/x/ostria');
    expect(stateHome({ HOME: '/h', XDG_STATE_HOME: 'relative' })).toBe('/h/.local/state/ostria');
    expect(stateDirectory('demo', { OSTRIA_HOME: '/o', XDG_STATE_HOME: '/x' })).toBe('/o/demo');
  });

  test('is private, and has a version', () => {
    const { state } = openState(join(scratch, 'demo'));
    expect(statSync(join(scratch, 'demo')).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(state, 'utf8'))).toEqual({ schemaVersion: 1 });
    expect(knownMeshes({ OSTRIA_HOME: scratch })).toEqual(['demo']);
    openState(join(scratch, 'demo'));
  });

  test('an older layout is backed up and taken forward; a newer one is refused', () => {
    const directory = join(scratch, 'demo');
    const { state } = openState(directory);
    writeFileSync(state, '{"schemaVersion": 0}');
    openState(directory);
    expect(existsSync(join(directory, 'backup-of-layout-0', 'state.json'))).toBe(true);
    expect(JSON.parse(readFileSync(state, 'utf8'))).toEqual({ schemaVersion: 1 });
    writeFileSync(state, '{"schemaVersion": 99}');
    expect(() => openState(directory)).toThrow(/newer Ostria \(layout 99/);
    writeFileSync(state, 'rubbish');
    expect(() => openState(directory)).toThrow(/is not a state file/);
  });

  test('sockets of a deep directory have a short path', () => {
    expect(socketPath('/a', 'b.sock')).toBe('/a/b.sock');
    const long = `/home/${'x'.repeat(120)}`;
    expect(socketPath(long, 'b.sock').length).toBeLessThan(100);
    expect(socketPath(long, 'b.sock')).not.toBe(socketPath(`${long}y`, 'b.sock'));
  });
});

describe('ports', () => {
  const base = 41_000;
  const book = (portBase?: number) => new PortBook(join(scratch, 'ports.json'), portBase);

  test('persist, whatever the order in which they are asked for again', async () => {
    const free = await freePort();
    const first = book(free - 5);
    await first.assign([{ key: 'a' }, { key: 'b' }, { key: 'api', offset: 5 }]);
    expect(first.port('api')).toBe(free);
    const second = book();
    expect(second.portBase).toBe(free - 5);
    await second.assign([{ key: 'c' }, { key: 'b' }, { key: 'a' }]);
    expect([second.port('a'), second.port('b')]).toEqual([first.port('a'), first.port('b')]);
    expect(new Set([second.port('a'), second.port('b'), second.port('c')]).size).toBe(3);
    second.keepOnly((key) => key !== 'b');
    expect(() => book().port('b')).toThrow();
  });

  test('another base moves all of them', async () => {
    const first = book(base);
    await first.assign([{ key: 'a' }, { key: 'fixed', exact: 18_080 }]);
    const moved = book(base + 2_000);
    await moved.assign([{ key: 'a' }, { key: 'fixed', exact: 18_080 }]);
    expect(first.port('a')).toBeLessThan(base + 2_000);
    expect(moved.port('a')).toBeGreaterThan(base + 2_000);
    expect(moved.port('fixed')).toBe(18_080);
    expect(() => book(60_000)).toThrow(/port base must be/);
  });

  test('a port that is taken is not given out', async () => {
    const taken = await listen(base + 5).catch(() => base + 5);
    const ports = book(base);
    await ports.assign([{ key: 'api', offset: 5 }]);
    expect(ports.port('api')).not.toBe(taken);
  });

  test('a port that is taken later is named with its owner', async () => {
    const script =
      "/*squatter*/require('net').createServer().listen(0,'127.0.0.1',function(){console.log(this.address().port)})";
    const child = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const port = await new Promise<number>((resolve) =>
        child.stdout.once('data', (text) => resolve(Number(String(text)))),
      );
      expect(portOwner(port)).toMatchObject({ pid: child.pid, command: expect.stringContaining('squatter') });
      const ports = book(base);
      await ports.assign([{ key: 'reviews-v1-0/inbound/9080', exact: port }]);
      const conflicts = await ports.conflicts(['reviews-v1-0/inbound/9080'], () => false);
      expect(portConflictError(conflicts).message).toMatch(
        new RegExp(
          `port ${port} \\(reviews-v1-0/inbound/9080\\) is in use by process ${child.pid} .*squatter`,
          's',
        ),
      );
      expect(await ports.conflicts(['reviews-v1-0/inbound/9080'], (pid) => pid === child.pid)).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('a port that browsers refuse is not given out', async () => {
    const ports = book(10_000);
    await ports.assign([{ key: 'gateway', offset: 80 }]);
    expect(ports.port('gateway')).not.toBe(10_080);
  });

  test('a free port has no owner', () => {
    expect(portOwner(1)).toEqual({});
  });
});
