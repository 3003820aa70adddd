import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { CodedError } from '../../kit/coded-error.ts';
import { processId } from '../../kit/process-id.ts';
import type { MeshWorkload } from '../mesh-file/mesh-file.ts';
import { type PortProtocol, portProtocols, unknownProtocol } from '../mesh-file/port-protocols.ts';
import { requireRunning } from '../meshes.ts';
import { err } from '../output/style.ts';
import { callControl } from '../supervisor/control-socket.ts';
import type { JoinAnswer, JoinRequest, MeshStatus } from '../supervisor/mesh-status.ts';

interface RunFlags {
  readonly service: string;
  readonly version: string;
  readonly port?: number;
  readonly target?: number;
  readonly protocol: string;
  readonly namespace: string;
  readonly serviceAccount?: string;
  readonly group?: string;
  readonly name?: string;
  readonly label?: string[];
  readonly mesh?: string;
}

export function registerRun(program: Command): void {
  program
    .command('run')
    .summary('run a command as a workload of the mesh')
    .description(
      'Runs a command in the foreground and joins it to the running mesh while it lasts: it gets a sidecar and an identity, and finds the others by <SERVICE>_URL. When it listens, it becomes an endpoint of the service; its port is given as PORT.',
    )
    .requiredOption('-s, --service <name>', 'service that it is part of')
    .option('--version <version>', 'label version', 'v1')
    .option('-p, --port <number>', 'service port; without one it only calls others', port)
    .option('--target <number>', 'port on which the program insists (default: it takes PORT)', port)
    .option('--protocol <name>', `one of ${portProtocols.join(', ')}`, spoken, 'http')
    .option('-n, --namespace <name>', 'namespace', 'default')
    .option('--service-account <name>', 'identity (default: the service’s name)')
    .option(
      '--group <name>',
      'WorkloadGroup to register with: its template and probe make the workload’s entry',
    )
    .option('--name <name>', 'name of the workload (default: service, version and process id)')
    .option('-l, --label <key=value...>', 'further labels')
    .option('--mesh <name>', 'mesh of this machine (default: the one that runs)')
    .argument('<command...>', 'program and arguments, after --')
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  ostria run --service reviews --version v4 --port 9080 -- node reviews.js
  ostria run --service shell -- sh -c 'curl -s $PRODUCTPAGE_URL/productpage'`,
    )
    .action(runJoined);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 65_535)
    throw new InvalidArgumentError('it must be a port from 1 to 65535.');
  return value;
}

function spoken(word: string): PortProtocol {
  const known = portProtocols.find((one) => one === word);
  if (known === undefined) throw new InvalidArgumentError(`${unknownProtocol(word)}.`);
  return known;
}

async function runJoined(command: string[], flags: RunFlags): Promise<void> {
  const { paths } = requireRunning(flags.mesh);
  const owner = processId(process.pid);
  if (!owner) throw new CodedError('Internal', 'our own process cannot be found');
  const workload = workloadOf(command, flags);
  const request: JoinRequest = { workload, owner };
  const { name, environment } = await callControl<JoinAnswer>(paths.controlSocket, 'join', request);
  const say = (line: string): void => {
    process.stderr.write(`${err.dim(`ostria: ${line}`)}\n`);
  };
  try {
    if (flags.port === undefined) await waitForSidecar(paths.controlSocket, name, say);
    else say(`${name} joins ${flags.service}:${flags.port}; PORT is ${environment.PORT}`);
    process.exitCode = await runCommand(command, environment);
  } finally {
    await callControl(paths.controlSocket, 'leave', { name }, 30_000).catch(() => undefined);
  }
}

function workloadOf(command: readonly string[], flags: RunFlags): MeshWorkload {
  const nameOf = (text: string): string => text.toLowerCase().replace(/[^a-z0-9-]/g, '-');
  const labels = Object.fromEntries(
    (flags.label ?? []).map((label) => {
      const equals = label.indexOf('=');
      if (equals < 1) throw new CodedError('UsageInvalid', `--label ${label} must be key=value`);
      return [label.slice(0, equals), label.slice(equals + 1)];
    }),
  );
  if (flags.target !== undefined && flags.port === undefined)
    throw new CodedError('UsageInvalid', '--target needs --port, the port that callers use');
  for (const [flag, value] of [
    ['--service', flags.service],
    ['--namespace', flags.namespace],
    ['--group', flags.group],
    ['--name', flags.name],
  ] as const)
    if (value !== undefined && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value))
      throw new CodedError(
        'UsageInvalid',
        `${flag} ${value} is not a DNS label: use lower-case letters, digits and dashes, at most 63`,
      );
  return {
    name: flags.name ?? nameOf(`${flags.service}-${flags.version}-run-${process.pid}`),
    service: flags.service,
    version: flags.version,
    namespace: flags.namespace,
    labels: {
      app: flags.service,
      version: flags.version,
      'service.istio.io/workload-name': `${flags.service}-${flags.version}`,
      ...labels,
    },
    serviceAccount: flags.serviceAccount ?? flags.service,
    ...(flags.group === undefined ? {} : { group: flags.group }),
    command,
    environment: {},
    workingDirectory: process.cwd(),
    ports:
      flags.port === undefined
        ? []
        : [
            {
              name: flags.protocol,
              port: flags.port,
              protocol: flags.protocol,
              ...(flags.target === undefined ? {} : { target: flags.target }),
            },
          ],
    replicas: 1,
    dependsOn: [],
    restart: { when: 'never' },
    profiles: [],
  };
}

/** A command that only calls others must not start before its sidecar can take its calls. */
async function waitForSidecar(socket: string, name: string, say: (line: string) => void): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (let told = false; Date.now() < deadline; ) {
    const status = await callControl<MeshStatus>(socket, 'status');
    const instance = status.instances.find((candidate) => candidate.name === name);
    if (instance?.ready) return;
    if (!told && Date.now() > deadline - 27_000) say(`waiting for the sidecar: ${instance?.why ?? ''}`);
    told ||= Date.now() > deadline - 27_000;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new CodedError(
    'NotReadyInTime',
    `the sidecar of ${name} is not ready after 30 s; ostria logs ${name} -c all says more`,
  );
}

function runCommand(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
    const forward = (signal: NodeJS.Signals): void => {
      // A terminal's Ctrl-C has reached the child already.
      if (signal !== 'SIGINT' || !(process.stdin.isTTY || process.stderr.isTTY)) child.kill(signal);
    };
    process.on('SIGINT', forward).on('SIGTERM', forward).on('SIGHUP', forward);
    child.once('error', (error) =>
      reject(new CodedError('FileNotFound', `${program} cannot be started: ${error.message}`)),
    );
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}
