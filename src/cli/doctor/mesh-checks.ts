import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RingStatus } from '../../ca/ring-status.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { readKubeconfig } from '../../kit/kubeconfig.ts';
import type { ProxyStatus } from '../../xds/ledger.ts';
import { ApiClient } from '../api/api-client.ts';
import { runningMeshes, runningSupervisor } from '../meshes.ts';
import { proxyName } from '../proxy/proxy-name.ts';
import { isPortTaken, portOwner } from '../state/listening-ports.ts';
import { type StatePaths, stateDirectory, statePaths } from '../state/state-directory.ts';
import { callControl } from '../supervisor/control-socket.ts';
import type { MeshStatus } from '../supervisor/mesh-status.ts';
import { type Check, ok, skipped, trouble } from './check.ts';

const dayMs = 86_400_000;
/** Roots are replaced by hand or by `ostria ca rotate`: a month is needed to notice. */
const rootWarningDays = 30;

/** What there is to say of a mesh of this machine, running or not. */
export async function meshChecks(mesh: string): Promise<Check[]> {
  const paths = statePaths(stateDirectory(mesh));
  const area = `mesh ${mesh}`;
  if (!runningSupervisor(paths)) return stoppedChecks(area, paths);
  const checks: Check[] = [];
  const status = await attempt(checks, area, 'supervisor', 'ostria up takes it over', () =>
    callControl<MeshStatus>(paths.controlSocket, 'status'),
  );
  if (status) checks.push(...processChecks(area, status));
  checks.push(...identityChecks(area, paths, status));
  await attempt(checks, area, 'control plane', 'ostria logs control-plane says why it does not answer', () =>
    controlPlaneChecks(checks, area, paths),
  );
  return checks;
}

async function attempt<T>(
  checks: Check[],
  area: string,
  name: string,
  mend: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    checks.push(trouble('error', area, name, messageOf(error), mend));
    return undefined;
  }
}

/** Of a mesh that does not run: whether its ports are free for the next `up`. */
async function stoppedChecks(area: string, paths: StatePaths): Promise<Check[]> {
  const checks = [skipped(area, 'processes', 'it does not run')];
  if (!existsSync(paths.ports)) return checks;
  const { ports = {} } = JSON.parse(readFileSync(paths.ports, 'utf8')) as { ports?: Record<string, number> };
  const taken: string[] = [];
  const others = runningMeshes();
  for (const [use, port] of Object.entries(ports))
    if (await isPortTaken(port))
      taken.push(`${port} (${use}) by ${portOwner(port).command ?? 'another user’s process'}`);
  const all = `${Object.keys(ports).length} ports`;
  const some = [...taken.slice(0, 3), ...(taken.length > 3 ? [`and ${taken.length - 3} more`] : [])].join(
    '; ',
  );
  if (taken.length === 0) checks.push(ok(area, 'ports', `${all} are free`));
  else if (others.length > 0)
    checks.push(
      skipped(
        area,
        'ports',
        `${taken.length} of its ${all} are in use while ${others.join(', ')} runs: ostria up takes others`,
      ),
    );
  else
    checks.push(
      trouble(
        'warning',
        area,
        'ports',
        `in use: ${some}`,
        'end those processes; otherwise ostria up takes other ports',
      ),
    );
  return checks;
}

export function processChecks(area: string, status: MeshStatus): Check[] {
  const { controlPlane, instances, problems } = status;
  const down = instances.filter(({ ready }) => !ready);
  return [
    controlPlane.ready
      ? ok(area, 'control plane', `ready, Ostria ${status.version}`)
      : trouble('error', area, 'control plane', controlPlane.why, 'ostria logs control-plane'),
    ...(down.length === 0 ? [ok(area, 'workloads', `${instances.length} ready`)] : []),
    ...down.map(({ name, why }) =>
      trouble('error', area, name, `not ready: ${why || 'starting'}`, `ostria logs ${name}`),
    ),
    ...instances
      .filter(({ restarts }) => restarts > 2)
      .map(({ name, restarts }) =>
        trouble(
          'warning',
          area,
          name,
          `started again ${restarts} times`,
          `ostria logs ${name} shows why it ended`,
        ),
      ),
    ...problems.map((problem) =>
      trouble('error', area, 'applied files', problem, 'mend the file; it is applied again when it changes'),
    ),
  ];
}

/** The certificates that workloads hold: each agent keeps its own beside its state. */
function identityChecks(area: string, paths: StatePaths, status: MeshStatus | undefined): Check[] {
  const ends = (status?.instances ?? []).flatMap(({ name }) => {
    const file = join(paths.workload(name), 'identity.pem');
    const end = certificateEnd(file);
    return end === undefined ? [] : [{ name, end }];
  });
  return workloadCertificateChecks(area, ends, Date.now());
}

export function workloadCertificateChecks(
  area: string,
  ends: readonly { readonly name: string; readonly end: number }[],
  now: number,
): Check[] {
  const over = ends.filter(({ end }) => end <= now);
  const [first] = [...ends].sort((a, b) => a.end - b.end);
  if (!first) return [];
  return over.length > 0
    ? over.map(({ name, end }) =>
        trouble(
          'error',
          area,
          `certificate of ${name}`,
          `ended ${new Date(end).toISOString().slice(0, 19)}`,
          `ostria logs ${name} says why it was not renewed; ostria up starts it with a new join token`,
        ),
      )
    : [
        ok(
          area,
          'certificates of workloads',
          `${ends.length}, the first ends in ${((first.end - now) / 3_600_000).toFixed(1)} hours (${first.name}); each is renewed at half its life`,
        ),
      ];
}

function certificateEnd(file: string): number | undefined {
  try {
    return new X509Certificate(readFileSync(file)).validToDate.getTime();
  } catch {
    return undefined;
  }
}

interface CompileStatus {
  readonly failures: readonly { readonly query: string; readonly error: string }[];
}

async function controlPlaneChecks(checks: Check[], area: string, paths: StatePaths): Promise<void> {
  const client = new ApiClient(readKubeconfig(paths.kubeconfig));
  try {
    await askControlPlane(checks, area, client);
  } finally {
    client.close();
  }
}

/** What a control plane tells of itself, wherever it runs; added to the checks as it comes. */
export async function askControlPlane(checks: Check[], area: string, client: ApiClient): Promise<void> {
  const before = Date.now();
  const statuses = await client.get<ProxyStatus[]>('/debug/syncz');
  checks.push(...syncChecks(area, statuses));
  const { failures } = await client.get<CompileStatus>('/debug/compile');
  checks.push(
    ...(failures.length === 0
      ? [ok(area, 'configuration', 'compiles for every proxy')]
      : failures.map(({ query, error }) =>
          trouble(
            'error',
            area,
            'configuration',
            `${query} fails: ${error}; proxies keep what they have`,
            'this is a fault of Ostria: ostria bug-report collects what is needed to find it',
          ),
        )),
  );
  const conflicts =
    await client.get<{ kind: string; key: string; winner: string; loser: string }[]>('/debug/conflicts');
  checks.push(
    ...conflicts.map(({ kind, key, winner, loser }) =>
      trouble(
        'warning',
        area,
        'two sources',
        `${kind} ${key} is in ${winner} and in ${loser}; ${winner} counts`,
        'delete one of them',
      ),
    ),
  );
  checks.push(...authorityChecks(area, await client.get<RingStatus>('/debug/ca'), before));
}

export function syncChecks(area: string, statuses: readonly ProxyStatus[]): Check[] {
  const behind = statuses.filter(({ types }) => types.some(({ state }) => state === 'STALE'));
  const refused = statuses.flatMap(({ proxyId, types }) =>
    types.flatMap(({ rejected }) => rejected.map((one) => ({ proxy: proxyName(proxyId), ...one }))),
  );
  if (statuses.length > 0 && behind.length + refused.length === 0)
    return [ok(area, 'proxies', `${statuses.length} connected, all in sync`)];
  return [
    ...(statuses.length === 0 ? [skipped(area, 'proxies', 'none is connected')] : []),
    ...refused.map(({ proxy, name, message }) =>
      trouble(
        'error',
        area,
        proxy,
        `its Envoy refused ${name}: ${message}`,
        `ostria proxy-status ${proxy.split('.')[0]} shows what it holds; the object’s status names the field`,
      ),
    ),
    ...behind.map(({ proxyId }) =>
      trouble(
        'warning',
        area,
        proxyName(proxyId),
        'has not acknowledged everything yet',
        'look again; if it stays so, its Envoy hangs: ostria logs',
      ),
    ),
  ];
}

export function authorityChecks(area: string, status: RingStatus, now: number): Check[] {
  const checks = status.chains.map(({ what, subject, notAfter }) => {
    const days = (new Date(notAfter).getTime() - now) / dayMs;
    const found = `${subject} ends in ${Math.floor(days)} days`;
    if (days <= 0) return trouble('error', area, what, `${subject} has ended`, mendOf(status));
    return days < rootWarningDays && what !== 'signing certificate'
      ? trouble('warning', area, what, found, mendOf(status))
      : ok(area, what, found);
  });
  const { rotation, external } = status;
  return [
    ...checks,
    ...(external?.problem === undefined
      ? []
      : [
          trouble(
            'error',
            area,
            'external authority',
            `${external.name}: ${external.problem}`,
            'workloads keep what they have; mend it before their certificates end',
          ),
        ]),
    ...(rotation
      ? [
          skipped(
            area,
            'rotation of roots',
            `under way (${rotation.phase}), ${rotation.waitingFor.length} workloads are waited for: ostria ca status`,
          ),
        ]
      : []),
  ];
}

function mendOf({ kind }: RingStatus): string {
  return kind === 'self-signed'
    ? 'ostria ca rotate --wait replaces it without a failed request'
    : 'put a new certificate where the authority’s files are; it is taken without a restart';
}
