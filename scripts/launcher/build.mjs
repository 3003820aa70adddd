// @ts-check
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { withFileLock } from './file-lock.mjs';
import { LauncherError } from './launcher-error.mjs';
import { environmentFor, lastLines } from './node-runtime.mjs';

const sources = ['src', 'gen', 'rolldown.config.ts', 'package.json', 'package-lock.json'];

/** Hash of everything that the bundles are made from: names and contents, without tests. @param {string} root */
export function sourceHash(root) {
  const hash = createHash('sha256');
  for (const file of sources.flatMap((source) => filesUnder(join(root, source))))
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

/** @param {string} path @returns {string[]} sorted, so that the hash does not depend on the file system's order */
function filesUnder(path) {
  let entries;
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOTDIR') return [path];
    return [];
  }
  return entries
    .filter((entry) => entry.name !== 'testdata' && !/\.test\.ts$|\.d\.ts$/.test(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory() ? filesUnder(join(path, entry.name)) : [join(path, entry.name)],
    );
}

/**
 * Bundles `dist/` when the sources differ from those that it was made from. The new directory takes the old one's place
 * at once, so a program that starts meanwhile finds one or the other.
 * @param {string} root @param {string} node @param {{ force?: boolean }} [options]
 * @returns {Promise<boolean>} whether it was built
 */
export async function ensureBuilt(root, node, options = {}) {
  const dist = join(root, 'dist');
  const stamp = join(dist, '.sources');
  const isFresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash(root);
  if (!options.force && isFresh()) return false;
  return withFileLock(join(root, '.ostria', 'build.lock'), () => {
    if (!options.force && isFresh()) return false;
    const hash = sourceHash(root);
    const staging = mkdtempSync(join(root, '.ostria', 'dist-'));
    const old = `${staging}-old`;
    try {
      const cli = join(root, 'node_modules', 'rolldown', 'bin', 'cli.mjs');
      const done = spawnSync(node, [cli, '--config', 'rolldown.config.ts', '--logLevel', 'warn'], {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...environmentFor(node), OSTRIA_DIST: staging },
      });
      if (done.status !== 0)
        throw new LauncherError(
          `the build failed:\n${lastLines((done.stderr || done.stdout || String(done.error)).trim(), 40)}`,
          'mend the sources that it names (npm run check says more)',
        );
      writeFileSync(join(staging, '.sources'), hash);
      // mkdtemp makes it private; a program that others run too is not.
      chmodSync(staging, 0o755);
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(staging, dist);
    } finally {
      rmSync(staging, { recursive: true, force: true });
      rmSync(old, { recursive: true, force: true });
    }
    return true;
  });
}
