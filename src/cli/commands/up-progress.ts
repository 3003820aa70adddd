import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { CodedError } from '../../kit/coded-error.ts';
import { runningMeshes } from '../meshes.ts';
import { out } from '../output/style.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { callControl } from '../supervisor/control-socket.ts';
import type { MeshStatus } from '../supervisor/mesh-status.ts';

export interface ProgressOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Prints a line whenever a part becomes ready, until all are. Undefined: interrupted. Throws `NotReadyInTime` with what is
 * missing and the end of its logs.
 */
export async function followProgress(
  paths: StatePaths,
  options: ProgressOptions,
): Promise<MeshStatus | undefined> {
  const started = Date.now();
  const told = new Set<string>();
  const tell = (key: string, line: string): void => {
    if (told.has(key)) return;
    told.add(key);
    const seconds = ((Date.now() - started) / 1000).toFixed(1).padStart(5);
    process.stdout.write(`  ${out.dim(`${seconds} s`)}  ${line}\n`);
  };
  let status: MeshStatus | undefined;
  while (!options.signal.aborted) {
    status = await callControl<MeshStatus>(paths.controlSocket, 'status').catch(() => status);
    if (status) {
      if (status.phase === 'stopping')
        throw new CodedError(
          'MeshNotRunning',
          'the mesh is being ended from elsewhere; start it again when it is gone',
        );
      if (status.controlPlane.ready)
        tell('control-plane', `${out.green('ready')}  control plane (API on port ${status.ports.api})`);
      for (const instance of status.instances)
        if (instance.ready) tell(instance.name, `${out.green('ready')}  ${describe(instance)}`);
        else if (isHopeless(instance))
          tell(`${instance.name}!`, `${out.red('ended')}  ${instance.name}: ${reasonOf(instance)}`);
      if (isReady(status)) return status;
      const stuck = status.instances.filter((instance) => !instance.ready && isHopeless(instance));
      if (stuck.length > 0 && status.instances.every((instance) => instance.ready || isHopeless(instance)))
        throw notReady(paths, status, 'some workloads ended');
    }
    if (Date.now() - started > options.timeoutMs)
      throw notReady(paths, status, `not everything is ready after ${options.timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  return undefined;
}

type InstanceStatus = MeshStatus['instances'][number];

function isReady(status: MeshStatus): boolean {
  return (
    status.phase === 'running' &&
    status.controlPlane.ready &&
    status.instances.every((instance) => instance.ready || hasCompleted(instance))
  );
}

/** A program that was meant to end, and did so well. */
function hasCompleted({ app }: InstanceStatus): boolean {
  return app?.state === 'ended' && app.code === 0;
}

function isHopeless(instance: InstanceStatus): boolean {
  return instance.app?.state === 'ended' && !hasCompleted(instance);
}

function reasonOf({ app, why }: InstanceStatus): string {
  return app?.state === 'ended' ? `the application ${app.why}` : why;
}

function describe({ name, kind, service, version }: InstanceStatus): string {
  return kind === 'gateway' ? `${name} (gateway)` : service === '' ? name : `${name} (${service} ${version})`;
}

function notReady(paths: StatePaths, status: MeshStatus | undefined, why: string): CodedError {
  const lines: string[] = [`${why}:`];
  if (!status) lines.push(`  the supervisor does not answer; see ${paths.supervisorLog}`);
  else {
    if (!status.controlPlane.ready) {
      lines.push(`  control plane: ${status.controlPlane.why}`);
      lines.push(...lastLines(join(paths.logs, 'control-plane.log')));
    }
    for (const instance of status.instances.filter(({ ready }) => !ready))
      if (!hasCompleted(instance))
        lines.push(
          `  ${instance.name}: ${reasonOf(instance)}`,
          ...lastLines(join(paths.logs, `${instance.name}.app.log`)),
        );
  }
  lines.push('look further with ostria ps and ostria logs; end the mesh with ostria down');
  return new CodedError('NotReadyInTime', lines.join('\n'));
}

function lastLines(log: string, count = 3): string[] {
  try {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
    return lines
      .slice(-count)
      .filter((line) => line !== '')
      .map((line) => `    | ${line.slice(0, 200)}`);
  } catch {
    return [];
  }
}

/** The ingress URL and what to try next. */
export async function printReady(status: MeshStatus): Promise<void> {
  const url = await ingressUrl(status);
  process.stdout.write(`\n${out.bold('The mesh is ready.')}\n`);
  for (const problem of status.problems) process.stdout.write(`${out.yellow('warning')}: ${problem}\n`);
  if (url !== undefined) process.stdout.write(`\n  ${out.cyan(url)}\n`);
  process.stdout.write('\nTry next:\n');
  for (const command of nextCommands(status, url)) process.stdout.write(`  ${command}\n`);
  process.stdout.write(
    `\n${out.dim('Mutual TLS is enforced at the sidecars’ ports. Applications’ own ports are open to anyone on this machine.')}\n`,
  );
}

/** The gateway's plain HTTP port that a Gateway serves, else the one that people's Gateways most often name. */
async function ingressUrl(status: MeshStatus): Promise<string | undefined> {
  const endpoints = status.instances
    .filter(({ kind }) => kind === 'gateway')
    .flatMap((gateway) => gateway.endpoints)
    .filter(({ name }) => name.startsWith('http') && !name.startsWith('https'))
    .sort((a, b) => Number(b.servicePort === 8080) - Number(a.servicePort === 8080));
  const answers = await Promise.all(endpoints.map(({ listen }) => accepts(listen)));
  const best = endpoints.find((_, i) => answers[i]) ?? endpoints[0];
  if (!best) return undefined;
  const served = samplePages.find(([name]) => status.instances.some(({ service }) => service === name));
  return `http://localhost:${best.listen}${served?.[1] ?? '/'}`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once('connect', () => end(true))
      .once('timeout', () => end(false))
      .once('error', () => end(false));
  });
}

/** What there is to see of our samples, whose gateways know no other path. */
const samplePages = [
  ['productpage', '/productpage'],
  ['helloworld', '/hello'],
] as const;

/** How the user calls us: scripts of npm have no `ostria` on the PATH that the user has. */
export function commandName(): string {
  return process.env.npm_lifecycle_event === undefined ? 'ostria' : 'npx ostria';
}

/** What names this mesh to a command, where another one runs too. */
export function meshFlag(mesh: string): string {
  return runningMeshes().some((name) => name !== mesh) ? ` --mesh ${mesh}` : '';
}

function nextCommands(status: MeshStatus, url: string | undefined): string[] {
  const bookinfo = status.instances.some(({ service }) => service === 'reviews');
  const ostria = commandName();
  const flag = meshFlag(status.mesh);
  return [
    `${ostria} ps${flag}`,
    bookinfo
      ? `${ostria} apply${flag} -f samples/bookinfo/networking/reviews-v3.yaml    # red stars for everybody`
      : `${ostria} get services -A${flag}`,
    bookinfo || url === undefined
      ? `kubectl --kubeconfig ${status.kubeconfig} get virtualservices,destinationrules`
      : `curl -i ${url}`,
  ];
}
