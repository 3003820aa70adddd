import { join } from 'node:path';
import type { ProxySettings } from '../../agent/proxy-settings.ts';
import type { MeshHistory } from '../mesh-file/mesh-file.ts';
import { buildId, type Program, programCommand, programEnvironment } from '../programs.ts';
import type { StatePaths } from '../state/state-directory.ts';
import type { ProcessSpec } from './managed-process.ts';
import { podLabels } from './mesh-objects.ts';
import { type InstancePlan, loopbacks, type MeshPlan } from './mesh-plan.ts';
import { markerVariable } from './ours.ts';
import type { SupervisorConfig } from './supervisor-config.ts';

/** Variables that programs of ours read; applications get everything that `up` had. */
const passedOn = /^(PATH|HOME|USER|LOGNAME|TMPDIR|LANG|LC_.*|TZ|XDG_.*|NODE_EXTRA_CA_CERTS|OSTRIA_.*)$/;
/** Of the terminal or of npm, and no business of a background process. */
const notPassedOn =
  /^(npm_.*|INIT_CWD|TERM|COLUMNS|LINES|SHLVL|PWD|OLDPWD|_|SSH_.*|PORT|HTTP_PROXY|http_proxy|HTTPS_PROXY|https_proxy|NO_PROXY|no_proxy|HOSTNAME)$/;

function inheritedBy(test: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && test(entry[0]),
    ),
  );
}

function marker(paths: StatePaths): Record<string, string> {
  return { [markerVariable]: paths.directory };
}

/** Environment and start of a program of ours. */
function ownProgram(
  program: Program,
  paths: StatePaths,
): Pick<ProcessSpec, 'environment' | 'inherited' | 'workingDirectory'> {
  const inherited = inheritedBy((name) => passedOn.test(name));
  return {
    environment: {
      ...inherited,
      ...marker(paths),
      OSTRIA_BUILD: buildId(),
      ...programEnvironment(program),
    },
    inherited: Object.keys(inherited),
    workingDirectory: paths.directory,
  };
}

export function supervisorEnvironment(paths: StatePaths): Record<string, string> {
  return { ...inheritedBy(() => true), ...marker(paths) };
}

export function controlPlaneSpec(plan: MeshPlan, paths: StatePaths, config: SupervisorConfig): ProcessSpec {
  const local = (port: number) => `127.0.0.1:${port}`;
  return {
    name: 'control-plane',
    command: [
      ...programCommand('control-plane'),
      ...['--state', paths.controlPlane],
      ...['--api', local(plan.ports.api)],
      ...['--xds', local(plan.ports.xds)],
      ...['--monitoring', local(plan.ports.monitoring)],
      ...['--kubeconfig', paths.kubeconfig],
      ...['--workloads', paths.workloads],
      ...(plan.mesh.allowFetch.length > 0 ? ['--allow-fetch', plan.mesh.allowFetch.join()] : []),
      ...['--trust-domain', plan.mesh.trustDomain],
      ...(plan.mesh.lazy ? ['--lazy'] : []),
      ...(plan.mesh.explainRefusals ? ['--explain-refusals'] : []),
      ...historyFlag(plan.mesh.history),
      ...config.controlPlaneFlags,
    ],
    ...ownProgram('control-plane', paths),
    log: join(paths.logs, 'control-plane.log'),
    restart: { when: 'always' },
    stopGraceMs: 10_000,
  };
}

/** Of `--history`, whose parts stand in an order. */
function historyFlag(history: MeshHistory): string[] {
  if (Object.keys(history).length === 0) return [];
  const { maxMiB = 64, maxDays = 7, maxChanges = 100_000 } = history;
  return ['--history', [maxMiB, maxDays, maxChanges].join()];
}

const defaultDrainSeconds = 10;

function terminationSeconds({ terminationDrainSeconds = defaultDrainSeconds }: ProxySettings): number {
  return terminationDrainSeconds;
}

/** Where an agent's configuration is. */
export function agentConfigPath(paths: StatePaths, instance: string): string {
  return join(paths.workload(instance), 'agent.json');
}

export function joinTokenPath(paths: StatePaths, instance: string): string {
  return join(paths.workload(instance), 'join-token');
}

/** The agent's configuration file (src/agent/agent-config.ts). */
export function agentConfig(
  instance: InstancePlan,
  plan: Pick<MeshPlan, 'ports' | 'mesh'>,
  paths: StatePaths,
  config: SupervisorConfig,
  settings: ProxySettings,
): Record<string, unknown> {
  const { concurrency, stats, drainSeconds, environment, certificate, bootstrapPatches, maxConnections } =
    settings;
  const applicationMetrics = instance.labels['prometheus.io/port'];
  return {
    workload: instance.name,
    namespace: instance.namespace,
    serviceAccount: instance.serviceAccount,
    trustDomain: plan.mesh.trustDomain,
    labels: podLabels(instance),
    proxySettings: 'file',
    proxyType: instance.gateway ? 'router' : 'sidecar',
    metadata: { ...settings.metadata, WORKLOAD_NAME: instance.workload?.name ?? instance.name },
    environment,
    ...(instance.workload?.group === undefined ? {} : { group: instance.workload.group }),
    capture: instance.capture,
    addresses: loopbacks(instance.capture),
    stateDirectory: paths.workload(instance.name),
    controlPlane: { address: `127.0.0.1:${plan.ports.xds}`, rootFile: meshRootPath(paths) },
    ...(certificate ? { certificate } : {}),
    credential: { joinTokenFile: joinTokenPath(paths, instance.name) },
    ports: { readiness: instance.readinessPort, metrics: instance.metricsPort },
    envoy: {
      path: config.envoyPath,
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(maxConnections === undefined ? {} : { maxConnections }),
      ...(stats ? { stats } : {}),
      ...(bootstrapPatches ? { bootstrapPatches } : {}),
      ...(drainSeconds === undefined ? {} : { drainSeconds }),
    },
    drain: { seconds: terminationSeconds(settings), minimumSeconds: 1 },
    ...(applicationMetrics === undefined ? {} : { applicationMetrics: { port: Number(applicationMetrics) } }),
  };
}

/** What the control plane's certificate comes from, as the control plane writes it (identity-service.ts). */
export function meshRootPath(paths: StatePaths): string {
  return join(paths.controlPlane, 'control-plane-roots.pem');
}

export function agentSpec(instance: InstancePlan, paths: StatePaths, settings: ProxySettings): ProcessSpec {
  return {
    name: `${instance.name}/agent`,
    command: [...programCommand('agent'), '--config', agentConfigPath(paths, instance.name)],
    ...ownProgram('agent', paths),
    log: join(paths.logs, `${instance.name}.agent.log`),
    restart: { when: 'always' },
    stopGraceMs: (terminationSeconds(settings) + 5) * 1_000,
    replaceSignal: 'SIGHUP',
  };
}

/** What an application finds in its environment: what `up` had, then what the mesh and the user set. */
export function appEnvironment(
  instance: InstancePlan,
  paths: StatePaths,
): { environment: Record<string, string>; inherited: string[] } {
  const inherited = inheritedBy((name) => !notPassedOn.test(name));
  const own = { ...marker(paths), ...instance.environment };
  return {
    environment: { ...inherited, ...own },
    inherited: Object.keys(inherited).filter((name) => !Object.hasOwn(own, name)),
  };
}

export function appSpec(instance: InstancePlan, paths: StatePaths): ProcessSpec | undefined {
  const { workload } = instance;
  if (!workload) return undefined;
  return {
    name: `${instance.name}/app`,
    command: workload.command,
    workingDirectory: workload.workingDirectory,
    ...appEnvironment(instance, paths),
    log: join(paths.logs, `${instance.name}.app.log`),
    restart: workload.restart,
    stopGraceMs: 5_000,
  };
}
