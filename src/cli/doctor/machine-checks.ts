import { existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { cpus, totalmem, userInfo } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { findEnvoy } from '../../agent/envoy-binary.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { stateHome } from '../state/state-directory.ts';
import { type Check, ok, skipped, trouble } from './check.ts';

const area = 'machine';
const gib = 1024 ** 3;

/** The oldest Node that Ostria runs on. */
const oldestNode = 24;
/** A mesh of a hundred workloads has some ten thousand connections; each takes a descriptor on either side. */
const fewFiles = 4_096;
/** Files that one user may watch: `ostria up` and `--config` watch directories. */
const fewWatches = 8_192;
const fewInstances = 64;
/** State, logs and certificates of a mesh. */
const littleSpace = 0.5 * gib;

/** What a machine must have for a mesh to run well on it. Changes nothing and installs nothing. */
export async function machineChecks(): Promise<Check[]> {
  return [
    nodeCheck(process.versions.node),
    await envoyCheck(),
    stateCheck(stateHome()),
    spaceCheck(stateHome()),
    filesCheck(readText('/proc/self/limits')),
    inotifyCheck(
      number('/proc/sys/fs/inotify/max_user_watches'),
      number('/proc/sys/fs/inotify/max_user_instances'),
    ),
    clockCheck(Date.now(), newestKnown()),
    captureCheck(),
    ok(area, 'size', `${cpus().length} CPUs, ${(totalmem() / gib).toFixed(1)} GiB of memory`),
  ];
}

export function nodeCheck(version: string): Check {
  const major = Number(version.split('.')[0]);
  return major >= oldestNode
    ? ok(area, 'node', `Node ${version}`)
    : trouble('error', area, 'node', `Node ${version}`, `install Node ${oldestNode} or newer`);
}

async function envoyCheck(): Promise<Check> {
  try {
    const { path, version, warning } = await findEnvoy({ install: false });
    return warning
      ? trouble('warning', area, 'envoy', `Envoy ${version} at ${path}`, warning)
      : ok(area, 'envoy', `Envoy ${version} at ${path}`);
  } catch (error) {
    const [first = '', ...ways] = messageOf(error).split('\n');
    return trouble('warning', area, 'envoy', first, ways.join('\n') || 'ostria up installs it');
  }
}

export function stateCheck(home: string): Check {
  const name = 'state directory';
  if (!existsSync(home)) {
    let parent = dirname(home);
    while (!existsSync(parent)) parent = dirname(parent);
    return ok(area, name, `${home} will be made in ${parent}`);
  }
  const { uid, mode } = statSync(home);
  const own = userInfo().uid;
  if (own >= 0 && uid !== own)
    return trouble(
      'error',
      area,
      name,
      `${home} belongs to user ${uid}, not to ${own}`,
      `chown it, or set OSTRIA_HOME to a directory of your own`,
    );
  if ((mode & 0o077) !== 0)
    return trouble(
      'warning',
      area,
      name,
      `${home} can be read by others (mode ${(mode & 0o777).toString(8)}); the meshes’ own directories in it are private`,
      `chmod 700 ${home}`,
    );
  return ok(area, name, `${home} is private`);
}

function spaceCheck(home: string): Check {
  let directory = home;
  while (!existsSync(directory)) directory = dirname(directory);
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const found = `${(free / gib).toFixed(1)} GiB free where state and logs are kept`;
  return free < littleSpace
    ? trouble('error', area, 'disk', found, `make room there, or set OSTRIA_HOME to another disk`)
    : ok(area, 'disk', found);
}

/** `/proc/self/limits` of proc_pid_limits(5). */
export function filesCheck(limits: string | undefined): Check {
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits ?? '') ?? [];
  if (soft === undefined) return skipped(area, 'open files', 'the limit cannot be read on this system');
  const found = `${soft} files may be open at once (at most ${hard})`;
  return soft !== 'unlimited' && Number(soft) < fewFiles
    ? trouble(
        'warning',
        area,
        'open files',
        found,
        `ulimit -n ${fewFiles * 4} before ostria up: each connection takes a file`,
      )
    : ok(area, 'open files', found);
}

export function inotifyCheck(watches: number | undefined, instances: number | undefined): Check {
  if (watches === undefined || instances === undefined)
    return skipped(area, 'inotify', 'no limits of inotify on this system');
  const found = `${watches} watches, ${instances} instances`;
  if (watches >= fewWatches && instances >= fewInstances) return ok(area, 'inotify', found);
  return trouble(
    'warning',
    area,
    'inotify',
    `${found}: changes of files may go unnoticed`,
    `sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=256`,
  );
}

/** A clock that is before something that was already made is wrong; certificates would not be valid yet. */
export function clockCheck(now: number, newest: number): Check {
  const found = new Date(now).toISOString().slice(0, 19);
  return now + 60_000 < newest
    ? trouble(
        'error',
        area,
        'clock',
        `${found} is before ${new Date(newest).toISOString().slice(0, 19)}, when files here were written`,
        'set the clock (timedatectl set-ntp true): certificates are valid by time',
      )
    : ok(area, 'clock', found);
}

/** When this program was installed, and the state was written last. */
function newestKnown(): number {
  return Math.max(
    ...[import.meta.filename, stateHome()].map((path) => (existsSync(path) ? statSync(path).mtimeMs : 0)),
  );
}

/** Transparent capture needs rights over network namespaces; explicit capture needs none. */
function captureCheck(): Check {
  const name = 'transparent capture';
  if (process.platform !== 'linux')
    return skipped(area, name, 'for Linux alone; explicit capture, the default, works here');
  const capabilities = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readText('/proc/self/status') ?? '')?.[1] ?? '0'}`,
  );
  const has = (bit: bigint) => (capabilities & (1n << bit)) !== 0n;
  const lacking = [
    ...(has(12n) ? [] : ['CAP_NET_ADMIN']),
    ...(has(21n) ? [] : ['CAP_SYS_ADMIN']),
    ...(onPath('nft') || onPath('iptables') ? [] : ['nft or iptables']),
    ...(onPath('ip') ? [] : ['ip (iproute2)']),
  ];
  return lacking.length > 0
    ? skipped(
        area,
        name,
        `not possible here without ${lacking.join(', ')}; explicit capture, the default, needs none of it`,
      )
    : ok(area, name, 'possible: network namespaces and packet filters can be made');
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => existsSync(join(directory, program)));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function number(path: string): number | undefined {
  const text = readText(path)?.trim();
  return text === undefined || text === '' ? undefined : Number(text);
}
