// @ts-check
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withFileLock } from './file-lock.mjs';
import { LauncherError } from './launcher-error.mjs';
import { environmentFor, firstLines, npmCommand, withoutNpmSettings } from './node-runtime.mjs';

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, link?: boolean,
 *   inBundle?: boolean }} LockedPackage
 * @typedef {{ packages: Record<string, LockedPackage> }} Lockfile
 */

/**
 * What of `package-lock.json` is not installed as locked; empty when `node_modules` matches.
 * Reads npm's own record of what it installed (`node_modules/.package-lock.json`), so it costs milliseconds.
 * @param {Lockfile} wanted @param {Lockfile | undefined} installed @returns {string[]}
 */
export function staleDependencies(wanted, installed) {
  if (!installed) return Object.keys(wanted.packages).filter((path) => path !== '');
  const stale = [];
  for (const [path, locked] of Object.entries(wanted.packages)) {
    if (!path.startsWith('node_modules/') || locked.link) continue;
    const present = installed.packages[path];
    // Optional packages of other platforms are rightly absent.
    if (!present && (locked.optional || locked.devOptional)) continue;
    if (present?.version !== locked.version || present?.integrity !== locked.integrity) stale.push(path);
  }
  return stale;
}

/** @param {string} file @returns {Lockfile | undefined} */
function readLockfile(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Makes `node_modules` match `package-lock.json`. Two launchers at once do it once.
 * @param {string} root @param {string} node the Node that npm runs under: npm skips optional packages that its Node is too old for
 */
export async function ensureDependencies(root, node) {
  const wanted = readLockfile(join(root, 'package-lock.json'));
  if (!wanted)
    throw new LauncherError(
      `${join(root, 'package-lock.json')} is missing or not JSON`,
      'restore it: git checkout package-lock.json',
    );
  const stale = () =>
    staleDependencies(wanted, readLockfile(join(root, 'node_modules', '.package-lock.json')));
  if (stale().length === 0) return;
  await withFileLock(join(root, '.ostria', 'install.lock'), () => {
    const missing = stale();
    if (missing.length === 0) return;
    const fresh = !existsSync(join(root, 'node_modules'));
    process.stderr.write(
      `Installing dependencies (${fresh ? 'first run' : `${missing.length} of them differ from package-lock.json`})\n`,
    );
    let done = installOnce(root, node);
    // A program that still writes into node_modules (a test's cache) can keep npm from emptying it, and leaves it half done.
    for (let again = 0; again < 3 && done.status !== 0 && /ENOTEMPTY|EBUSY/.test(done.stderr ?? ''); again++)
      done = installOnce(root, node);
    if (done.status !== 0)
      throw new LauncherError(
        `npm ci failed: ${firstLines((done.stderr || done.error?.message || `exit code ${done.status}`).trim(), 6)}`,
        'check the network and npm’s registry settings, then run the command again',
      );
    const left = stale();
    if (left.length > 0)
      throw new LauncherError(
        `after npm ci these still differ from package-lock.json: ${left.slice(0, 5).join(', ')}`,
        'delete node_modules and run the command again',
      );
  });
}

/** @param {string} root @param {string} node */
function installOnce(root, node) {
  const npm = npmCommand(node);
  return spawnSync(
    npm.command,
    [...npm.args, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      env: withoutNpmSettings(environmentFor(node)),
    },
  );
}
