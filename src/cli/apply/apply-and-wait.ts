import type { ParsedObject } from '../../config/yaml-documents.ts';
import type { ApiAccess } from '../../kit/kubeconfig.ts';
import { pooled } from '../../kit/pooled.ts';
import type { ApiClient } from '../api/api-client.ts';
import { discover, resourceOfObject } from '../api/discovery.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { listHistory } from '../history/objects-at.ts';
import { err, out } from '../output/style.ts';
import { type Restore, readOrNone, restoreObjects } from '../rollback/restore-objects.ts';
import { tellRestored } from '../rollback/tell-restored.ts';
import { type Applied, type ApplyOptions, displayName, placeOf } from './apply-objects.ts';
import { type Canary, canaryCodes, dryRuns, endCanary, sayBack, tryOnSome } from './wait/canary.ts';
import type { Care } from './wait/care.ts';
import { coverageOf, type ErrorCondition, ErrorMeter, type ErrorRate } from './wait/error-rate.ts';
import { localMeshOf } from './wait/local-mesh.ts';
import { baselineRate, observeErrors } from './wait/observe-errors.ts';
import { changeOf, failuresNow, waitForChange } from './wait/wait-for-change.ts';
import { codeOfVerdict } from './wait/wait-for-writes.ts';

export interface WaitChoice extends Care {
  readonly timeoutMs: number;
  readonly autoRollback: boolean;
}

interface Connection {
  readonly client: ApiClient;
  readonly access: ApiAccess;
}

/** Writes the objects; undefined: some were refused, and it has been said. */
type WriteAll = () => Promise<readonly Applied[] | undefined>;

/** Applies checked objects, waits until they answer, watches their errors, and takes them back where that was asked for. */
export async function applyAndWait(
  { client, access }: Connection,
  objects: readonly ParsedObject[],
  options: ApplyOptions,
  choice: WaitChoice,
  write: WriteAll,
): Promise<ExitCode> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  const { signal } = interrupted;
  const { namespace } = options;
  const mesh = localMeshOf(access);
  const meter = await ErrorMeter.forCare(mesh, choice, coverageOf(objects, namespace));
  const oldFailures = await failuresNow(client);
  const before = choice.autoRollback ? await rememberObjects(client, objects, options) : [];
  if (choice.autoRollback) await tellWayBack(client);
  process.once('SIGINT', interrupt);
  try {
    const baseline = choice.errors && meter ? await baselineRate(meter, signal) : undefined;
    if (signal.aborted) return exitCodes.interrupted;
    const wait = { timeoutMs: choice.timeoutMs, signal, mesh, namespace, oldFailures };
    let canary: Canary | undefined;
    if (choice.canary.length > 0) {
      const { canary: shares, errors } = choice;
      const tried = { objects: await dryRuns(client, objects, options), removed: [], sources: objects };
      canary = await tryOnSome(client, tried, { ...wait, shares, errors, meter, baseline });
      if (canary.verdict === 'failed' || canary.verdict === 'late' || canary.verdict === 'interrupted') {
        sayBack();
        return canaryCodes[canary.verdict];
      }
    }
    const applied = await write();
    // Those that tried it and everybody else see the same from here on.
    if (canary) await endCanary(client, canary.id, applied && changeOf(applied)?.last);
    if (!applied) return choice.autoRollback ? takeBack(client, before, []) : exitCodes.invalidInput;
    const written = { change: changeOf(applied), objects: applied.map(({ source }) => source) };
    const { verdict } = await waitForChange(client, written, wait);
    const failed =
      verdict === 'refused' ||
      (verdict === 'answered' && (await hasTooManyErrors(choice.errors, meter, baseline, signal)));
    if (failed && choice.autoRollback) return takeBack(client, before, applied);
    if (signal.aborted) return exitCodes.interrupted;
    return failed ? exitCodes.rejected : codeOfVerdict[verdict];
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

async function hasTooManyErrors(
  condition: ErrorCondition | undefined,
  meter: ErrorMeter | undefined,
  baseline: ErrorRate | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (!condition || !meter || !baseline) return false;
  return (await observeErrors(meter, condition, baseline, signal)) === 'too many';
}

/** What the objects are before anything is written. */
async function rememberObjects(
  client: ApiClient,
  objects: readonly ParsedObject[],
  options: ApplyOptions,
): Promise<Omit<Restore, 'expected'>[]> {
  const resources = await discover(client);
  const known = objects.flatMap(({ object }) => {
    const resource = resourceOfObject(resources, object);
    return resource ? [{ object, resource }] : [];
  });
  const found = await pooled(known, 16, async ({ object, resource }) => {
    const { path } = placeOf(object, resource, options.namespace);
    return { name: displayName(resource, object), path, wanted: await readOrNone(client, path) };
  });
  // One may stand twice in the files.
  return [...new Map(found.map((one) => [one.path, one])).values()];
}

/** Should this process be killed, what it wrote stays: how to take it back must be on the screen before. */
async function tellWayBack(client: ApiClient): Promise<void> {
  try {
    const { newest } = await listHistory(client, { limit: '1' });
    process.stderr.write(
      out.dim(
        `Should this be interrupted, what was applied stays; ostria rollback ${newest.revision} takes it back.\n`,
      ),
    );
  } catch {
    process.stderr.write(
      out.dim(
        'Should this be interrupted, what was applied stays, and there is no history to take it back by.\n',
      ),
    );
  }
}

/** Restores what was there, and nothing that somebody else changed meanwhile. */
async function takeBack(
  client: ApiClient,
  before: readonly Omit<Restore, 'expected'>[],
  applied: readonly Applied[],
): Promise<ExitCode> {
  process.stderr.write(`${err.red('rolling back')}: what was there before is restored\n`);
  const written = new Map(applied.map((one) => [one.written?.path, one.written?.object]));
  const items = before.map((one): Restore => ({ ...one, expected: written.get(one.path) }));
  const ok = tellRestored(await restoreObjects(client, items));
  if (ok) return exitCodes.rolledBack;
  process.stderr.write('Not everything could be restored; ostria history shows what happened since.\n');
  return exitCodes.failure;
}
