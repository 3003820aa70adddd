import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import type { LoggedMesh } from '../calls/show-failures.ts';
import { addAccessFlags, type ConnectionFlags, chooseAccess } from '../connection.ts';
import { parseDuration } from '../mesh-file/duration.ts';
import { chooseMesh } from '../meshes.ts';
import { parseOutput } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { knownMeshes, type StatePaths, stateDirectory, statePaths } from '../state/state-directory.ts';

interface LogsFlags extends Pick<ConnectionFlags, 'kubeconfig' | 'context' | 'mesh'> {
  readonly follow?: boolean;
  readonly tail?: number;
  readonly container?: string;
  readonly failed?: boolean;
  readonly since?: string;
  readonly output?: string;
}

const parts = ['app', 'agent', 'envoy', 'all'] as const;
type Part = (typeof parts)[number];

export function registerLogs(program: Command): void {
  const command = program
    .command('logs')
    .summary('show the logs of workloads, sidecars and the control plane')
    .description(
      'Shows what workloads, their agents and Envoys, the control plane and the supervisor wrote, a line each with who wrote it; with --failed, the calls that failed instead, grouped by cause in plain words.',
    )
    .argument(
      '[names...]',
      'workloads (reviews-v1), replicas (reviews-v1-0), control-plane or supervisor; default: all',
    )
    .option('-f, --follow', 'go on with what is written from now on')
    .option('--tail <lines>', 'at most so many last lines of each', lines)
    .option('-c, --container <part>', 'app, agent, envoy or all (default: app, for those that have one)')
    .option('--failed', 'calls that failed, by cause: why, which object decided and how to mend it')
    .option('--since <duration>', 'with --failed: no older calls than 10m, 1h …')
    .option('-o, --output <format>', 'with --failed: json or yaml');
  addAccessFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  ostria logs
  ostria logs -f productpage
  ostria logs reviews-v1-0 -c envoy --tail 20
  ostria logs control-plane
  ostria logs --failed
  ostria logs --failed -f --since 5m reviews

--failed reads the logs of all proxies of the mesh (of one elsewhere through its API server), of the callers and of those whom they call. It also tells of calls that a policy in
dry run would have refused. Paths are told without their queries.`,
    )
    .action(async (names: string[], flags: LogsFlags) => {
      if (flags.failed) {
        await failures(loggedMesh(flags), names, flags);
        return;
      }
      for (const [flag, value] of [
        ['--since', flags.since],
        ['-o', flags.output],
        ['--kubeconfig', flags.kubeconfig],
        ['--context', flags.context],
      ])
        if (value !== undefined) throw new CodedError('UsageInvalid', `${flag} goes with --failed`);
      const paths = statePaths(stateDirectory(chooseMesh(flags.mesh)));
      const part = parsePart(flags.container);
      const logs = findLogs(paths, names, part);
      const followers = logs.map((log) => new LogReader(log, logs));
      for (const follower of followers) follower.printTail(flags.tail ?? (flags.follow ? 10 : undefined));
      if (flags.follow) await follow(followers);
    });
}

/** A mesh of this machine, running or not, else the one whose API server is named. */
function loggedMesh(flags: LogsFlags): LoggedMesh {
  const isElsewhere =
    flags.kubeconfig !== undefined || flags.context !== undefined || knownMeshes().length === 0;
  if (isElsewhere) return { access: chooseAccess(flags) };
  return { paths: statePaths(stateDirectory(chooseMesh(flags.mesh))) };
}

async function failures(mesh: LoggedMesh, names: readonly string[], flags: LogsFlags): Promise<void> {
  const sinceMs = flags.since === undefined ? undefined : parseDuration(flags.since);
  if (flags.since !== undefined && sinceMs === undefined)
    throw new CodedError('UsageInvalid', `--since ${flags.since} is no duration such as 10m or 1h`);
  const output = parseOutput(flags.output, ['json', 'yaml']);
  // Loaded where it is needed only: policies are judged with the matchers of the compile.
  const { showFailures } = await import('../calls/show-failures.ts');
  await showFailures(mesh, {
    names,
    follow: flags.follow ?? false,
    since: sinceMs === undefined ? 0 : Date.now() - sinceMs,
    output,
  });
}

function lines(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be a whole number.');
  return Number(text);
}

function parsePart(text: string | undefined): Part | undefined {
  if (text === undefined) return undefined;
  const found = parts.find((part) => part === text || (text === 'istio-proxy' && part === 'envoy'));
  if (found) return found;
  throw new CodedError('UsageInvalid', `-c ${text} is not known; it can be ${parts.join(', ')}`);
}

interface Log {
  readonly label: string;
  readonly path: string;
}

/** The log files that are meant. Throws `WorkloadUnknown` for a name without any. */
export function findLogs(paths: StatePaths, names: readonly string[], part: Part | undefined): Log[] {
  const all = allLogs(paths);
  const chosen = names.length === 0 ? all : names.flatMap((name) => logsOf(all, name));
  const wanted = chosen.filter((log) => {
    if (part === 'all') return true;
    if (log.part !== undefined && part !== undefined) return log.part === part;
    if (log.part === undefined) return part === undefined;
    // By default what the application writes; of a gateway, which has none, what its agent writes.
    return (
      log.part === 'app' ||
      (log.part === 'agent' &&
        !all.some(({ instance, part: other }) => instance === log.instance && other === 'app'))
    );
  });
  return [...new Map(wanted.map((log) => [log.path, log])).values()];
}

interface KnownLog extends Log {
  readonly instance: string;
  readonly part: Exclude<Part, 'all'> | undefined;
}

function allLogs(paths: StatePaths): KnownLog[] {
  const found: KnownLog[] = [];
  const list = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory).sort() : []);
  for (const file of list(paths.logs)) {
    const match = /^(?<instance>.+?)(?:\.(?<part>app|agent))?\.log$/.exec(file);
    if (!match?.groups) continue;
    const { instance = '', part } = match.groups;
    found.push({
      instance,
      part: part as KnownLog['part'],
      label: part === 'agent' ? `${instance}/agent` : instance,
      path: join(paths.logs, file),
    });
  }
  for (const instance of list(paths.workloads)) {
    const path = join(paths.workload(instance), 'envoy.log');
    if (existsSync(path)) found.push({ instance, part: 'envoy', label: `${instance}/envoy`, path });
  }
  return found;
}

function logsOf(all: readonly KnownLog[], name: string): KnownLog[] {
  const exact = all.filter(({ instance }) => instance === name);
  const found =
    exact.length > 0
      ? exact
      : all.filter(({ instance }) => new RegExp(`^${escapeText(name)}(-.+)?-\\d+$`).test(instance));
  if (found.length > 0) return found;
  const known = [...new Set(all.map(({ instance }) => instance))];
  throw new CodedError(
    'WorkloadUnknown',
    `there are no logs of ${name}; there are some of ${known.join(', ') || 'nothing yet'}`,
  );
}

function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Prints a file's lines with its label before each, also after the file was cut. */
class LogReader {
  readonly path: string;
  readonly #prefix: string;
  #position = 0;
  #rest = '';

  constructor({ label, path }: Log, all: readonly Log[]) {
    this.path = path;
    const width = Math.max(...all.map((log) => log.label.length));
    this.#prefix = all.length > 1 ? `${out.dim(label.padEnd(width))} ${out.dim('|')} ` : '';
  }

  printTail(count: number | undefined): void {
    const text = this.#read();
    const all = text.split('\n');
    this.#rest = all.pop() ?? '';
    for (const line of count === undefined ? all : all.slice(Math.max(0, all.length - count)))
      this.#print(line);
  }

  printNew(): void {
    const all = (this.#rest + this.#read()).split('\n');
    this.#rest = all.pop() ?? '';
    for (const line of all) this.#print(line);
  }

  #print(line: string): void {
    process.stdout.write(`${this.#prefix}${line}\n`);
  }

  #read(): string {
    let descriptor: number;
    try {
      descriptor = openSync(this.path, 'r');
    } catch {
      return '';
    }
    try {
      const { size } = fstatSync(descriptor);
      if (size < this.#position) this.#position = 0;
      const buffer = Buffer.alloc(size - this.#position);
      const length = readSync(descriptor, buffer, 0, buffer.length, this.#position);
      this.#position += length;
      return buffer.toString('utf8', 0, length);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** Until Ctrl-C. Watches directories where the system can, and looks every half second in any case. */
function follow(readers: readonly LogReader[]): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      for (const reader of readers) reader.printNew();
    };
    const timer = setInterval(look, 500);
    const watchers = [...new Set(readers.map(({ path }) => join(path, '..')))]
      .filter((directory) => existsSync(directory) && statSync(directory).isDirectory())
      .map((directory) => watch(directory, look));
    const end = (): void => {
      clearInterval(timer);
      for (const watcher of watchers) watcher.close();
      resolve();
    };
    process.once('SIGINT', end).once('SIGTERM', end);
  });
}
