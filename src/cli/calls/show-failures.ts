import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiAccess, readKubeconfig } from '../../kit/kubeconfig.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import {
  type FailureGroup,
  groupFailures,
  hasFailed,
  type KnownMesh,
  wouldBeRefused,
} from '../../observe/group-failures.ts';
import { ApiClient } from '../api/api-client.ts';
import { localMeshOf } from '../apply/wait/local-mesh.ts';
import { createLocator, type Locator } from '../origins/locate.ts';
import { formatStructured, type StructuredFormat } from '../output/structured.ts';
import { writeText } from '../output/wrap-text.ts';
import { localProxies, type MeshProxies, proxiesOf } from '../proxy/mesh-proxies.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { workloadsOfName } from './call-log-files.ts';
import { structuredGroup } from './failure-data.ts';
import { formatGroups, originsOfGroup } from './failure-text.ts';
import { readKnownMesh } from './known-mesh.ts';

export interface FailureFlags {
  readonly names: readonly string[];
  readonly follow: boolean;
  /** Calls that began earlier are passed over, ms since the epoch. */
  readonly since: number;
  readonly output?: StructuredFormat | undefined;
}

/** How often new records are looked for, and how long a call's records are waited for, in ms. Proxies write once a second. */
const lookMs = 1_500;

/** `ostria logs --failed`. Returns the number of calls that failed. */
export async function showFailures(mesh: LoggedMesh, flags: FailureFlags): Promise<number> {
  const { paths, client, server, proxies } = openMesh(mesh);
  try {
    const locator = createLocator({ paths, server, client });
    const known = async (): Promise<KnownMesh> =>
      client ? readKnownMesh(client) : { trustDomains: ['cluster.local'] };
    // A call's cause may be in another workload's log than the one that is asked about: all are read.
    const read = async (): Promise<CallRecord[]> =>
      (await proxies.newCalls()).filter(({ start }) => start >= flags.since);
    const all = await proxies.names();
    const wanted = new Set(flags.names.flatMap((name) => workloadsOfName(all, name)));
    const concerns = ({ example, workloads }: FailureGroup) =>
      flags.names.length === 0 ||
      workloads.some((one) => wanted.has(one)) ||
      example.records.some(({ workload }) => wanted.has(workload));
    const groups = groupFailures(await read(), await known()).filter(concerns);
    await print(groups, locator, flags);
    if (flags.follow) await follow(read, known, concerns, locator, flags);
    return groups.reduce((sum, { count, kind }) => sum + (kind === 'failed' ? count : 0), 0);
  } finally {
    client?.close();
  }
}

/** One of this machine, whether it runs or not, or one behind an API server. */
export type LoggedMesh = { readonly paths: StatePaths } | { readonly access: ApiAccess };

function openMesh(mesh: LoggedMesh): {
  paths: StatePaths | undefined;
  client?: ApiClient;
  server?: string;
  proxies: MeshProxies;
} {
  if ('access' in mesh) {
    const client = new ApiClient(mesh.access);
    const proxies = proxiesOf(mesh.access, client);
    return { paths: localMeshOf(mesh.access), client, server: mesh.access.server, proxies };
  }
  const { paths } = mesh;
  const proxies = localProxies(paths);
  try {
    const access = readKubeconfig(paths.kubeconfig);
    return { paths, client: new ApiClient(access), server: access.server, proxies };
  } catch {
    // The mesh does not run: its logs can be read all the same.
    return { paths, proxies };
  }
}

/** Until Ctrl-C. Records are held for one look, since the other side of a call is written a moment later. */
async function follow(
  read: () => Promise<CallRecord[]>,
  known: () => Promise<KnownMesh>,
  concerns: (group: FailureGroup) => boolean,
  locator: Locator,
  flags: FailureFlags,
): Promise<void> {
  const ending = new AbortController();
  const end = () => ending.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  let held: CallRecord[] = [];
  try {
    while (!ending.signal.aborted) {
      await sleep(lookMs, undefined, { signal: ending.signal }).catch(() => {});
      const fresh = (await read()).filter((record) => hasFailed(record) || wouldBeRefused(record).length > 0);
      const now = Date.now();
      const ready = [...held, ...fresh].filter(({ start, durationMs }) => now - start - durationMs >= lookMs);
      held = [...held, ...fresh].filter((record) => !ready.includes(record));
      if (ready.length > 0) await print(groupFailures(ready, await known()).filter(concerns), locator, flags);
    }
  } finally {
    process.removeListener('SIGINT', end);
    process.removeListener('SIGTERM', end);
  }
}

async function print(
  groups: readonly FailureGroup[],
  locator: Locator,
  { output, follow: goesOn }: FailureFlags,
): Promise<void> {
  const positions = await locator.locate(groups.flatMap(originsOfGroup));
  if (output) {
    const data = groups.map((group) => structuredGroup(group, positions));
    // Of what goes on, one document for each look.
    if (!goesOn) process.stdout.write(formatStructured(data, output));
    else
      for (const one of data)
        process.stdout.write(
          output === 'json' ? `${JSON.stringify(one)}\n` : `---\n${formatStructured(one, output)}`,
        );
    return;
  }
  if (groups.length > 0) writeText(`${formatGroups(groups, positions)}${goesOn ? '\n' : ''}`);
  else if (!goesOn) process.stderr.write('No call failed.\n');
}
