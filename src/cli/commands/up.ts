import { spawn } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { findEnvoy } from '../../agent/envoy-binary.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { isAlive, processId, signalProcess } from '../../kit/process-id.ts';
import { durationOf } from '../apply/wait/wait-for-writes.ts';
import { exitCodes } from '../exit-codes.ts';
import { runningSupervisor } from '../meshes.ts';
import { err, out } from '../output/style.ts';
import { buildId, ostriaVersion, programCommand } from '../programs.ts';
import { PortBook, portConflictError } from '../state/port-book.ts';
import { openState, type StatePaths, stateDirectory } from '../state/state-directory.ts';
import { callControl } from '../supervisor/control-socket.ts';
import { loadMesh } from '../supervisor/load-mesh.ts';
import { openLog } from '../supervisor/log-file.ts';
import { planMesh } from '../supervisor/mesh-plan.ts';
import type { MeshStatus } from '../supervisor/mesh-status.ts';
import { isOurs, waitForEnd } from '../supervisor/ours.ts';
import { supervisorEnvironment } from '../supervisor/process-specs.ts';
import { type SupervisorConfig, writeSupervisorConfig } from '../supervisor/supervisor-config.ts';
import { endMesh } from './down.ts';
import { commandName, followProgress, meshFlag, printReady } from './up-progress.ts';

interface UpFlags {
  readonly file: string;
  readonly detach?: boolean;
  readonly portBase?: number;
  readonly envoy?: string;
  readonly profile?: string[];
  readonly mtls?: string;
  readonly config?: string;
  readonly ca?: string;
  readonly identity?: string;
  readonly trustSync?: string;
  readonly watch?: boolean;
  readonly waitTimeout: string;
}

export function registerUp(program: Command): void {
  program
    .command('up')
    .summary('start the mesh of a mesh file and wait until it is ready')
    .description(
      'Starts the control plane and, for each workload of a mesh file, the program with an Envoy sidecar beside it. Run again, it takes over what changed in the file.\n\nThis mode isolates no local process from another: anyone on this machine can call an application’s own port, or use a sidecar’s outbound listener as its identity. Mutual TLS is enforced at the sidecars’ ports.',
    )
    .option('-f, --file <file>', 'mesh file', 'mesh.yaml')
    .option('-d, --detach', 'return once the mesh is ready; ostria down ends it')
    .option('--port-base <number>', 'first port of the mesh; moves all of them', wholeNumber)
    .option(
      '--envoy <path>',
      'Envoy to use (default: OSTRIA_ENVOY, PATH, else the pinned one, installed once)',
    )
    .option('--profile <name...>', 'start workloads of this profile too')
    .option(
      '--mtls <mode>',
      'strict, permissive or disable, where no PeerAuthentication says otherwise (default strict)',
    )
    .option('--config <directory>', 'also read, and follow, the YAML of a directory')
    .option('--ca <directory>', 'your own authority: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem')
    .option(
      '--identity <file>',
      'whose tokens count, an external authority, limits of connects (see the guide of certificates)',
    )
    .option(
      '--trust-sync <seconds>',
      'how often workloads ask for new roots (default 300, 5 while roots change)',
    )
    .option('--watch', 'restart workloads and the control plane when their files change')
    .option('--wait-timeout <duration>', 'longest wait for readiness, such as 90s or 5m', '120s')
    .addHelpText(
      'after',
      `
Examples:
  ostria up
  ostria up -f samples/bookinfo/mesh.yaml --detach
  ostria up --port-base 30000`,
    )
    .action(runUp);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('it must be a whole number.');
  return value;
}

/** Milliseconds; a number alone is of seconds. */
function waitTimeoutMs(text: string): number {
  return durationOf('--wait-timeout', /^\d+$/.test(text) ? `${text}s` : text);
}

async function runUp(flags: UpFlags): Promise<void> {
  const timeoutMs = waitTimeoutMs(flags.waitTimeout);
  const config = {
    schemaVersion: 1 as const,
    meshFile: resolve(flags.file),
    profiles: flags.profile ?? [],
  };
  const mesh = loadMesh(config);
  const envoy = await findEnvoy({
    ...(flags.envoy === undefined ? {} : { envoy: flags.envoy }),
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const paths = openState(stateDirectory(mesh.name));
  const running = runningSupervisor(paths);
  await checkPorts(paths, config, flags.portBase);
  const full: SupervisorConfig = {
    ...config,
    envoyPath: envoy.path,
    watch: flags.watch ?? false,
    ...(flags.portBase === undefined ? {} : { portBase: flags.portBase }),
    controlPlaneFlags: [
      ...(flags.mtls === undefined ? [] : ['--mtls', flags.mtls]),
      ...(flags.config === undefined ? [] : ['--config', resolve(flags.config)]),
      ...(flags.ca === undefined ? [] : ['--ca', resolve(flags.ca)]),
      ...(flags.identity === undefined ? [] : ['--identity', resolve(flags.identity)]),
      ...(flags.trustSync === undefined ? [] : ['--trust-sync', flags.trustSync]),
    ],
  };
  writeSupervisorConfig(paths.directory, full);
  if (running && (await isOtherBuild(paths))) {
    process.stdout.write(`The mesh ${mesh.name} runs already; a supervisor of this Ostria takes it over.\n`);
    await callControl(paths.controlSocket, 'retire').catch(() => undefined);
    // Nothing hangs on it: what it runs is adopted.
    if ((await waitForEnd([running], 5_000)).length > 0) signalProcess(running, 'SIGKILL');
    await startSupervisor(paths);
  } else if (running) {
    process.stdout.write(
      `The mesh ${mesh.name} runs already (process ${running.pid}); taking over what changed.\n`,
    );
    await callControl(paths.controlSocket, 'reload', undefined, 120_000);
  } else {
    process.stdout.write(`Starting the mesh ${out.bold(mesh.name)}\n`);
    await startSupervisor(paths);
  }
  await awaitReady(paths, { ...flags, timeoutMs }, mesh.name);
}

/** The supervisor that runs is of other code than ours (a new version, or a new build in a checkout). */
async function isOtherBuild(paths: StatePaths): Promise<boolean> {
  const status = await callControl<MeshStatus>(paths.controlSocket, 'status').catch(() => undefined);
  return status !== undefined && (status.build !== buildId() || status.version !== ostriaVersion());
}

async function awaitReady(
  paths: StatePaths,
  flags: { readonly detach?: boolean; readonly timeoutMs: number },
  mesh: string,
): Promise<void> {
  const interrupted = new AbortController();
  const onSignal = (): void => interrupted.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const status = await followProgress(paths, {
    timeoutMs: flags.timeoutMs,
    signal: interrupted.signal,
  });
  if (status) {
    // An Envoy that refuses something, or a supervisor of another version, must not spoil it: the mesh is ready all the same.
    await callControl(paths.controlSocket, 'settle', undefined, 15_000).catch(() => undefined);
    await printReady(status);
    if (flags.detach) {
      process.stdout.write(
        `\nThe mesh runs in the background. To end it: ${out.bold(`${commandName()} down${meshFlag(mesh)}`)}\n`,
      );
      return;
    }
    process.stdout.write('\nPress Ctrl-C to end the mesh.\n');
    await untilOver(paths, interrupted.signal);
  }
  if (interrupted.signal.aborted) {
    process.stdout.write('\nEnding the mesh\n');
    await endMesh(paths, mesh);
    // Once it was ready, Ctrl-C is how one ends it; before, it is giving up.
    if (!status) process.exitCode = exitCodes.interrupted;
  }
}

/** Prints what the supervisor reports until the mesh ends or we are interrupted. */
async function untilOver(paths: StatePaths, signal: AbortSignal): Promise<void> {
  const known = new Map<string, string>();
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const supervisor = runningSupervisor(paths);
    if (!supervisor) {
      // One that ends a mesh removes its note; one that was killed leaves it, and everything running.
      if (!existsSync(paths.supervisor)) {
        process.stdout.write('The mesh was ended from elsewhere.\n');
        return;
      }
      process.stdout.write('The supervisor is gone; another one takes over what runs.\n');
      await startSupervisor(paths);
      continue;
    }
    const status = await callControl<MeshStatus>(paths.controlSocket, 'status').catch(() => undefined);
    for (const { name, ready, why } of status?.instances ?? []) {
      const line = ready ? `${name} is ready` : `${name} is not ready: ${why}`;
      if (known.has(name) && known.get(name) !== line) process.stdout.write(`${line}\n`);
      known.set(name, line);
    }
  }
}

/** Starts the supervisor as a background process of its own session, so that no terminal takes it along. */
async function startSupervisor(paths: StatePaths): Promise<void> {
  const [command = '', ...args] = programCommand('cli');
  const log = openLog(paths.supervisorLog);
  const child = spawn(command, [...args, 'supervisor', '--state', paths.directory], {
    cwd: dirname(paths.directory),
    detached: true,
    stdio: ['ignore', log, log],
    env: supervisorEnvironment(paths),
  });
  closeSync(log);
  child.unref();
  const id = child.pid === undefined ? undefined : processId(child.pid);
  for (let waited = 0; waited < 15_000; waited += 50) {
    if (runningSupervisor(paths)?.pid === child.pid && existsSync(paths.controlSocket)) return;
    if (id && !isAlive(id)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new CodedError(
    'SupervisorFailed',
    `the supervisor did not start; its log says why: ${paths.supervisorLog}`,
  );
}

/** Fails with `PortInUse` when another program has a port that the mesh remembers as its own. */
async function checkPorts(
  paths: StatePaths,
  config: Pick<SupervisorConfig, 'meshFile' | 'profiles'>,
  portBase: number | undefined,
): Promise<void> {
  const book = new PortBook(paths.ports, portBase);
  if (book.warning !== undefined) process.stderr.write(`${err.yellow('warning')}: ${book.warning}\n`);
  const plan = await planMesh(loadMesh(config), book);
  const keys = [
    'control-plane/api',
    'control-plane/xds',
    'control-plane/monitoring',
    ...plan.instances.flatMap(({ name, gateway, workload, capture }) => [
      `${name}/readiness`,
      `${name}/metrics`,
      ...(gateway?.ports.map(({ port }) => `${name}/gateway/${port}`) ?? []),
      ...(workload?.ports.flatMap(({ port }) => [`${name}/inbound/${port}`, `${name}/app/${port}`]) ?? []),
      ...(workload ? [`${name}/http-proxy`] : []),
      ...Object.keys(capture.outbound).map((host) => `${name}/outbound/${host}`),
    ]),
  ];
  const conflicts = await book.conflicts(keys, (pid) => isOurs(pid, paths.directory));
  if (conflicts.length > 0) throw portConflictError(conflicts);
}
