import type { ParsedObject } from '../../../config/yaml-documents.ts';
import type { DeliveryReport, Refusal } from '../../../control-plane/delivery/delivery-report.ts';
import type { ApiClient } from '../../api/api-client.ts';
import { err, out } from '../../output/style.ts';
import type { StatePaths } from '../../state/state-directory.ts';
import type { Applied } from '../apply-objects.ts';
import {
  countProxies,
  describeMissing,
  describeProgress,
  describeRefusal,
  formatSeconds,
  listNames,
  ownRefusals,
} from './describe-delivery.ts';
import { type DeliveryState, followDelivery, type WrittenChange } from './follow-delivery.ts';
import { ProgressLine } from './progress-line.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly mesh: StatePaths | undefined;
  readonly namespace: string;
  /** Compile failures that were there before. */
  readonly oldFailures: ReadonlySet<string>;
}

/** `unchanged`: nothing was written, so there is nothing to wait for. */
export type WaitVerdict = 'answered' | 'unchanged' | 'refused' | 'late' | 'interrupted';

export interface WaitResult {
  readonly verdict: WaitVerdict;
  readonly state: DeliveryState | undefined;
}

/** The resourceVersions that were written; undefined where everything stayed as it was. */
export function changeOf(applied: readonly Applied[]): WrittenChange | undefined {
  const revisions = applied
    .filter(({ outcome }) => outcome === 'created' || outcome === 'configured')
    .map(({ written }) => Number(written?.object.metadata.resourceVersion))
    .filter((revision) => revision > 0);
  if (revisions.length === 0) return undefined;
  return { first: Math.min(...revisions), last: Math.max(...revisions) };
}

/** Compile failures before a change, to tell new ones from them. */
export async function failuresNow(client: ApiClient): Promise<ReadonlySet<string>> {
  const { failures } = await client.get<{
    failures: readonly { query: string; args: readonly string[]; error: string }[];
  }>('/debug/compile');
  return new Set(failures.map(({ query, args, error }) => `${query}(${args.join(', ')}): ${error}`));
}

/** What is waited for; `objects`: those of files, at whose lines refusals are told. */
export interface AwaitedChange {
  /** Undefined: nothing was written. */
  readonly change: WrittenChange | undefined;
  readonly objects: readonly ParsedObject[];
}

/** Waits until a change answers everywhere, and tells how it goes. */
export async function waitForChange(
  client: ApiClient,
  { change, objects }: AwaitedChange,
  options: WaitOptions,
): Promise<WaitResult> {
  if (!change) {
    process.stdout.write(out.dim('Nothing changed; there is nothing to wait for.\n'));
    return { verdict: 'unchanged', state: undefined };
  }
  const started = performance.now();
  const line = new ProgressLine('Waiting for the proxies');
  const isRefused = ({ report }: DeliveryState): boolean => problemsOf(report, objects, options).length > 0;
  let state: DeliveryState;
  try {
    state = await followDelivery(client, change, {
      ...options,
      onProgress: (now) => line.show(describeProgress(now)),
      enough: isRefused,
    });
  } catch (error) {
    if (options.signal.aborted) return { verdict: 'interrupted', state: undefined };
    throw error;
  } finally {
    line.end();
  }
  const problems = problemsOf(state.report, objects, options);
  for (const problem of problems) process.stderr.write(`${err.red('rejected')}: ${problem}\n`);
  for (const note of notesOf(state, objects, options.namespace))
    process.stderr.write(`${err.yellow('note')}: ${note}\n`);
  if (problems.length > 0) return { verdict: 'refused', state };
  if (options.signal.aborted) return { verdict: 'interrupted', state };
  if (!state.done) {
    tellLate(state, options.timeoutMs);
    return { verdict: 'late', state };
  }
  process.stdout.write(`${out.green(sayDone(state))} (${formatSeconds(performance.now() - started)})\n`);
  return { verdict: 'answered', state };
}

function sayDone({ report, warming }: DeliveryState): string {
  if (!report.isKnown)
    return `All ${countProxies(report.concerned)} that are connected hold the newest state`;
  if (report.concerned === 0) return 'Done: no connected proxy is concerned';
  const who = report.concerned === 1 ? 'The 1 proxy concerned' : `All ${report.concerned} proxies concerned`;
  const verb = report.concerned === 1 ? 'has' : 'have';
  return warming.unasked.length === 0
    ? `${who} ${report.concerned === 1 ? 'answers' : 'answer'} the new way`
    : `${who} ${verb} acknowledged`;
}

function tellLate(state: DeliveryState, timeoutMs: number): void {
  const { report } = state;
  const what = report.compiled
    ? `${report.acknowledged} of ${countProxies(report.concerned)} acknowledged`
    : 'the control plane has not compiled it';
  process.stderr.write(`${err.red('late')}: after ${formatSeconds(timeoutMs)} ${what}; still missing:\n`);
  for (const line of describeMissing(state)) process.stderr.write(`  ${line}\n`);
  process.stderr.write(
    'What was applied stays, and goes on being delivered: ostria proxy-status follows it.\n',
  );
}

/** What proxies, or the compile, do not take of the objects. */
function problemsOf(
  report: DeliveryReport,
  objects: readonly ParsedObject[],
  { namespace, oldFailures }: WaitOptions,
): string[] {
  return [
    ...ownRefusals(report, objects, namespace).flatMap((refusal) =>
      describeRefusal(refusal, objects, namespace),
    ),
    ...report.failures
      .filter((failure) => !oldFailures.has(failure))
      .map((failure) => `the compile fails, and proxies keep their last good resources: ${failure}`),
  ];
}

function notesOf(state: DeliveryState, objects: readonly ParsedObject[], namespace: string): string[] {
  const { report, warming } = state;
  const own: ReadonlySet<Refusal> = new Set(ownRefusals(report, objects, namespace));
  const others = report.refusals.filter((refusal) => refusal.isNew && !own.has(refusal));
  return [
    ...others.map(
      ({ proxies, type, resources, message }) =>
        `something else is refused by ${listNames(proxies)}: ${type} ${resources.slice(0, 3).join(', ')}: ${message}`,
    ),
    ...(report.isKnown
      ? []
      : ['the change is too old to know whom it concerns; all connected proxies were looked at']),
    ...(report.absent.length > 0
      ? [`${listNames(report.absent)} went away meanwhile; what comes back gets the newest state`]
      : []),
    ...(state.done && warming.draining.length > 0
      ? [
          `connections to ${listNames(warming.draining)} that stand are being drained: each may carry one more request by the old rules, streams and TCP go on until the drain time is over`,
        ]
      : []),
    ...(state.done && warming.unasked.length > 0
      ? [
          `whether ${listNames(warming.unasked)} still ${warming.unasked.length === 1 ? 'warms' : 'warm'} a listener is not known: ${warming.unasked.length === 1 ? 'its Envoy' : 'their Envoys'} cannot be asked from here`,
        ]
      : []),
  ];
}
