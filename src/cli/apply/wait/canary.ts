import type { ConfigObject } from '../../../config/object.ts';
import type { ParsedObject } from '../../../config/yaml-documents.ts';
import type { RolloutReport } from '../../../control-plane/rollout/rollout-report.ts';
import { CodedError } from '../../../kit/coded-error.ts';
import { pooled } from '../../../kit/pooled.ts';
import { type ApiClient, ApiError } from '../../api/api-client.ts';
import { discover, resourceOfObject } from '../../api/discovery.ts';
import { exitCodes } from '../../exit-codes.ts';
import { err, out } from '../../output/style.ts';
import { proxyName } from '../../proxy/proxy-name.ts';
import { type ApplyOptions, applyBody, placeOf } from '../apply-objects.ts';
import {
  countProxies,
  describeMissing,
  describeProgress,
  describeRefusal,
  listNames,
  ownRefusals,
} from './describe-delivery.ts';
import type { ErrorCondition, ErrorMeter, ErrorRate } from './error-rate.ts';
import { observeErrors } from './observe-errors.ts';
import { ProgressLine } from './progress-line.ts';
import type { WaitOptions } from './wait-for-change.ts';
import { findWarming, type WarmingCheck } from './warming.ts';

export interface CanaryOptions extends WaitOptions {
  /** Shares of the proxies concerned, ascending, 0 to 1. */
  readonly shares: readonly number[];
  readonly errors: ErrorCondition | undefined;
  readonly meter: ErrorMeter | undefined;
  readonly baseline: ErrorRate | undefined;
}

/** `none`: it alters nothing of any connected proxy. */
export type CanaryVerdict = 'passed' | 'none' | 'failed' | 'late' | 'interrupted';

export const canaryCodes = {
  failed: exitCodes.rolledBack,
  late: exitCodes.timeout,
  interrupted: exitCodes.interrupted,
} as const;

export interface Canary {
  readonly verdict: CanaryVerdict;
  /** Of `passed`: to be ended once everybody has it. */
  readonly id: string;
}

/** Kinds that act where requests are sent: the errors of those who try them are their callers' own. */
const atCallers: ReadonlySet<string> = new Set([
  ...['VirtualService', 'DestinationRule', 'Sidecar', 'HTTPRoute', 'GRPCRoute'],
]);

/** What is tried: bodies for the API, and the objects of files at whose lines refusals are told. */
export interface Tried {
  readonly objects: readonly ConfigObject[];
  readonly removed: readonly ConfigObject[];
  readonly sources: readonly ParsedObject[];
}

/** Tries the objects on a share of the proxies after the other; where one does not go well, everybody is back to what was. */
export async function tryOnSome(
  client: ApiClient,
  { objects, removed, sources }: Tried,
  canary: CanaryOptions,
): Promise<Canary> {
  // Who never calls the hosts would show nothing.
  const first = (await canary.meter?.callers().catch(() => undefined)) ?? [];
  const share = canary.shares[0];
  let report = await post(client, '/debug/rollout', { objects, removed, share, first });
  const own = [...objects, ...removed].every(({ kind }) => atCallers.has(kind));
  const { id } = report;
  if (report.concerned === 0) return { verdict: 'none', id };
  let passed = false;
  try {
    for (const [at, next] of canary.shares.entries()) {
      if (at > 0)
        report = await post(
          client,
          `/debug/rollout/step?${new URLSearchParams({ id, share: String(next) })}`,
        );
      const verdict = await followStep(client, report, sources, canary, own);
      if (verdict !== 'passed') return { verdict, id };
    }
    passed = true;
    return { verdict: 'passed', id };
  } catch (error) {
    sayBack(removed.length > 0 ? 'deleted' : 'applied');
    throw error;
  } finally {
    // Where it cannot be ended from here it ends by itself: nobody asks about it any longer.
    if (!passed) await endCanary(client, id).catch(() => undefined);
  }
}

/** Lets everybody see what is in force; `after`: once this resourceVersion is. */
export async function endCanary(client: ApiClient, id: string, after?: number): Promise<void> {
  const query = new URLSearchParams({ id, ...(after === undefined ? {} : { after: String(after) }) });
  try {
    await post(client, `/debug/rollout/end?${query}`);
  } catch (error) {
    // A control plane that was started anew knows nothing of it, which is what was wanted.
    if (!(error instanceof ApiError && error.status === 400)) throw error;
  }
}

/** The objects as the API would store them: it has checked them and the user's rights. */
export function dryRuns(
  client: ApiClient,
  objects: readonly ParsedObject[],
  options: ApplyOptions,
): Promise<ConfigObject[]> {
  return discover(client).then((resources) =>
    pooled(objects, 16, async ({ object }) => {
      const resource = resourceOfObject(resources, object);
      if (!resource)
        throw new CodedError(
          'UsageInvalid',
          `${object.kind} cannot be tried on some proxies; apply it without --canary`,
        );
      const { path, body } = placeOf(object, resource, options.namespace);
      const { json } = await applyBody(client, path, body, { ...options, dryRun: true });
      return json as ConfigObject;
    }),
  );
}

async function followStep(
  client: ApiClient,
  begun: RolloutReport,
  objects: readonly ParsedObject[],
  options: CanaryOptions,
  own: boolean,
): Promise<CanaryVerdict> {
  const { id, members, concerned } = begun;
  process.stdout.write(
    `Trying it on ${countProxies(members.length)} of ${concerned}: ${listNames(members)}\n`,
  );
  const line = new ProgressLine('Canary');
  const until = performance.now() + options.timeoutMs;
  try {
    for (;;) {
      const report = await ask(client, id, 1_000);
      if (report.state === 'ended') return tellEnded(report);
      const { delivery } = report;
      if (!delivery) continue;
      const problems = ownRefusals(delivery, objects, options.namespace).flatMap((refusal) =>
        describeRefusal(refusal, objects, options.namespace),
      );
      if (problems.length > 0) {
        line.end();
        for (const problem of problems) process.stderr.write(`${err.red('rejected')}: ${problem}\n`);
        return 'failed';
      }
      const warming: WarmingCheck = delivery.done
        ? await findWarming(options.mesh, delivery.answered)
        : { warming: [], unasked: [], draining: [] };
      const state = { report: delivery, warming, done: delivery.done && warming.warming.length === 0 };
      line.show(describeProgress(state));
      if (options.signal.aborted) return 'interrupted';
      if (state.done) break;
      if (performance.now() < until) continue;
      line.end();
      process.stderr.write(`${err.red('late')}: still missing:\n`);
      for (const missing of describeMissing(state)) process.stderr.write(`  ${missing}\n`);
      return 'late';
    }
  } finally {
    line.end();
  }
  return observeMembers(client, id, options, own ? new Set(members.map(proxyName)) : undefined);
}

/** Errors are watched while the rollout is kept alive. */
async function observeMembers(
  client: ApiClient,
  id: string,
  options: CanaryOptions,
  of: ReadonlySet<string> | undefined,
): Promise<CanaryVerdict> {
  const { errors, meter, baseline, signal } = options;
  if (!errors || !meter || !baseline) return 'passed';
  const keepAlive = setInterval(() => void ask(client, id, 0).catch(() => undefined), 5_000);
  try {
    const verdict = await observeErrors(meter, errors, baseline, signal, of);
    if (signal.aborted) return 'interrupted';
    if (verdict === 'too many') return 'failed';
  } finally {
    clearInterval(keepAlive);
  }
  const report = await ask(client, id, 0);
  return report.state === 'ended' ? tellEnded(report) : 'passed';
}

function tellEnded({ why }: RolloutReport): CanaryVerdict {
  process.stderr.write(`${err.red('ended')}: the trial has ended: ${why}\n`);
  return 'failed';
}

async function ask(client: ApiClient, id: string, timeoutMs: number): Promise<RolloutReport> {
  const query = new URLSearchParams({ id, timeout: String(timeoutMs) });
  try {
    return await post(client, `/debug/rollout/report?${query}`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 400) throw error;
    return { id, state: 'ended', why: error.message, concerned: 0, members: [] };
  }
}

async function post(client: ApiClient, path: string, body?: unknown): Promise<RolloutReport> {
  const request = {
    method: 'POST' as const,
    path,
    timeoutMs: 60_000,
    ...(body === undefined ? {} : { body }),
  };
  return (await client.request(request)).json as RolloutReport;
}

export function sayBack(done: 'applied' | 'deleted' = 'applied'): void {
  process.stderr.write(
    `${out.bold(`Nothing was ${done}`)}: those that tried it are back to what everybody has.\n`,
  );
}
