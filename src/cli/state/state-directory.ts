import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { makePrivateDirectory, writeFileAtomicSync } from '../../kit/atomic-file.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { reasonOf } from '../../kit/system-reason.ts';

/** Version of the state directory's layout and of the JSON files in it. */
export const stateSchemaVersion = 1;

/** Turns a state directory of version `n` into one of version `n + 1`; `migrations[n]`. */
const migrations: Readonly<Record<number, (directory: string) => void>> = {};

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the state of all meshes of this user is: `OSTRIA_HOME`, else `$XDG_STATE_HOME/ostria`, else `~/.local/state/ostria`. */
export function stateHome(env: Environment = process.env): string {
  if (env.OSTRIA_HOME) return resolve(env.OSTRIA_HOME);
  const xdg = env.XDG_STATE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(env.HOME ?? homedir(), '.local', 'state'), 'ostria');
}

/** Absolute path of a mesh's state. */
export function stateDirectory(mesh: string, env: Environment = process.env): string {
  return join(stateHome(env), mesh);
}

/** Names of the meshes that have state here, running or not. */
export function knownMeshes(env: Environment = process.env): string[] {
  try {
    return readdirSync(stateHome(env), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(stateHome(env), entry.name, 'state.json')))
      .map(({ name }) => name)
      .sort();
  } catch {
    return [];
  }
}

/** The files of a mesh's state. */
export function statePaths(directory: string) {
  const at = (...parts: string[]) => join(directory, ...parts);
  return {
    directory,
    state: at('state.json'),
    ports: at('ports.json'),
    processes: at('processes.json'),
    startedGateways: at('started-gateways.json'),
    supervisor: at('supervisor.json'),
    supervisorLog: at('logs', 'supervisor.log'),
    controlSocket: socketPath(directory, 'supervisor.sock'),
    kubeconfig: at('kubeconfig'),
    controlPlane: at('control-plane'),
    controlPlaneConfig: at('control-plane.json'),
    logs: at('logs'),
    /** Of a report that was opened: where objects stood in files, and what was found wrong, when it was made. */
    reportedPlaces: at('reported-places.json'),
    reportedChecks: at('reported-checks.json'),
    workloads: at('workloads'),
    workload: (instance: string) => at('workloads', instance),
  };
}

export type StatePaths = ReturnType<typeof statePaths>;

/** Longest path of a unix socket, the final zero not counted (unix(7)). */
const longestSocketPath = 107;

/** Path of a unix socket that belongs to a directory: in it, or where that would be too long, in a short private directory. */
export function socketPath(directory: string, name: string): string {
  const path = join(directory, name);
  if (Buffer.byteLength(path) <= longestSocketPath) return path;
  const short = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  return join(tmpdir(), `ostria-${userInfo().uid}`, `${short}-${name}`);
}

/**
 * Makes the directory (0700) or brings an older layout up to date, after a backup of its JSON files. A newer one is refused with
 * `StateTooNew`: this program would damage it. Throws `StateUnwritable` where nothing can be made.
 */
export function openState(directory: string): StatePaths {
  const paths = statePaths(directory);
  makeDirectories(paths);
  const found = readVersion(paths.state);
  if (found === undefined) {
    writeVersion(paths.state);
    return paths;
  }
  if (found > stateSchemaVersion)
    throw new CodedError(
      'StateTooNew',
      `${directory} was written by a newer Ostria (layout ${found}, this one knows ${stateSchemaVersion}); use that Ostria, or give another mesh name`,
    );
  if (found < stateSchemaVersion) migrate(paths, found);
  return paths;
}

function makeDirectories(paths: StatePaths): void {
  try {
    makePrivateDirectory(paths.directory);
    makePrivateDirectory(paths.logs);
    makePrivateDirectory(paths.workloads);
  } catch (error) {
    throw new CodedError(
      'StateUnwritable',
      `the state of the mesh cannot be kept in ${paths.directory}: ${reasonOf(error)}; mend that, or set OSTRIA_HOME to a directory that can be written`,
      { cause: error },
    );
  }
  makeSocketDirectory(dirname(paths.controlSocket));
}

/** Others may write to the temporary directory too, and could have made ours first, to listen in our place. */
function makeSocketDirectory(directory: string): void {
  makePrivateDirectory(directory);
  const info = lstatSync(directory);
  if (info.isDirectory() && info.uid === userInfo().uid && (info.mode & 0o077) === 0) return;
  throw new CodedError(
    'SocketDirectoryUnsafe',
    `${directory} is not a private directory of this user; remove it, or set OSTRIA_HOME to a shorter path`,
  );
}

function migrate(paths: StatePaths, from: number): void {
  const backup = join(paths.directory, `backup-of-layout-${from}`);
  makePrivateDirectory(backup);
  for (const name of readdirSync(paths.directory))
    if (name.endsWith('.json')) copyFileSync(join(paths.directory, name), join(backup, name));
  for (let version = from; version < stateSchemaVersion; version++) migrations[version]?.(paths.directory);
  writeVersion(paths.state);
}

function readVersion(path: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  try {
    const version = (JSON.parse(text) as { schemaVersion?: unknown }).schemaVersion;
    if (typeof version === 'number') return version;
  } catch {
    // Told below: both are the same to the user.
  }
  throw new CodedError(
    'StateUnreadable',
    `${path} is not a state file; move its directory away to begin anew`,
  );
}

function writeVersion(path: string): void {
  writeFileAtomicSync(path, `${JSON.stringify({ schemaVersion: stateSchemaVersion })}\n`);
}
