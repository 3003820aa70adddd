import { setTimeout as sleep } from 'node:timers/promises';
import { readKubeconfig } from '../../kit/kubeconfig.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import {
  type FailureGroup,
  groupFailures,
  hasFailed,
  type KnownMesh,
  wouldBeRefused,
} from '../../observe/group-failures.ts';
import { ApiClient } from '../api/api-client.ts';
import { createLocator, type Locator } from '../origins/locate.ts';
import { formatStructured, type StructuredFormat } from '../output/structured.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { type CallLogFile, CallLogReader, callLogFiles } from './call-log-files.ts';
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
export async function showFailures(paths: StatePaths, flags: FailureFlags): Promise<number> {
  const { client, server } = openClient(paths);
  try {
    const locator = createLocator({ paths, server, client });
    const known = async (): Promise<KnownMesh> =>
      client ? readKnownMesh(client) : { trustDomains: ['cluster.local'] };
    // A call's cause may be in another workload's log than the one that is asked about: all are read.
    const readers = new Map<string, CallLogReader>();
    const read = (): CallRecord[] => {
      for (const file of callLogFiles(paths, []))
        readers.set(file.path, readers.get(file.path) ?? reader(file));
      return [...readers.values()].flatMap((one) => one.read()).filter(({ start }) => start >= flags.since);
    };
    const wanted = new Set(callLogFiles(paths, flags.names).map(({ workload }) => workload));
    const concerns = ({ example, workloads }: FailureGroup) =>
      flags.names.length === 0 ||
      workloads.some((one) => wanted.has(one)) ||
      example.records.some(({ workload }) => wanted.has(workload));
    const groups = groupFailures(read(), await known()).filter(concerns);
    await print(groups, locator, flags);
    if (flags.follow) await follow(read, known, concerns, locator, flags);
    return groups.reduce((sum, { count, kind }) => sum + (kind === 'failed' ? count : 0), 0);
  } finally {
    client?.close();
  }
}

function reader(file: CallLogFile): CallLogReader {
  return new CallLogReader(file);
}

function openClient(paths: StatePaths): { client?: ApiClient; server?: string } {
  try {
    const access = readKubeconfig(paths.kubeconfig);
    return { client: new ApiClient(access), server: access.server };
  } catch {
    // The mesh does not run: its logs can be read all the same.
    return {};
  }
}

/** Until Ctrl-C. Records are held for one look, since the other side of a call is written a moment later. */
async function follow(
  read: () => CallRecord[],
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
      const fresh = read().filter((record) => hasFailed(record) || wouldBeRefused(record).length > 0);
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
  if (groups.length > 0) process.stdout.write(`${formatGroups(groups, positions)}${goesOn ? '\n' : ''}`);
  else if (!goesOn) process.stderr.write('No call failed.\n');
}
