import { explain } from '../explain/explain.ts';
import type { DecidedBy } from '../explain/explanation.ts';
import type { Question } from '../explain/question.ts';
import type { Model } from '../model/model.ts';
import { parseDuration } from '../plan/duration.ts';
import { ask } from '../request-space/journey.ts';
import { outcomeOf, routeAt } from '../request-space/outcome.ts';
import type { SimulationOptions } from '../simulate/call.ts';
import { checkPlaces } from './check-places.ts';
import type { Checked, Mismatch } from './checked.ts';
import type { Expectation } from './expectation.ts';

export interface CheckResult {
  readonly mismatches: readonly Mismatch[];
  /** What becomes of the request, in one sentence. */
  readonly summary: string;
  /** The decisions that made it so, in order, with the object and line of each. */
  readonly decided: readonly { readonly what: string; readonly by: DecidedBy }[];
}

/** Compares what becomes of a request with what is expected. */
export function check(
  model: Model,
  question: Question,
  expectation: Expectation,
  options: SimulationOptions = {},
): CheckResult {
  const asked = ask(model, question, options);
  if (!asked.ok) return unanswerable(asked.error.message);
  const { journey } = asked;
  const checked: Checked = { model, question, journey, outcome: outcomeOf(model, journey) };
  const mismatches = mismatchesOf(checked, expectation);
  const answer = explain(model, question, options);
  if (!answer.ok) return unanswerable(answer.error.message);
  const { decisions, verdict } = answer.explanation;
  return {
    mismatches,
    summary: verdict.summary,
    decided: decisions.flatMap(({ what, by, stage, lost }) => {
      // What no rule let in was decided by the rules that there are.
      const made = by ?? lost.find((one) => one.by)?.by;
      return made && deciding.has(stage) ? [{ what, by: made }] : [];
    }),
  };
}

/** What of an expectation does not hold of a request's journey, predicted or observed. */
export function mismatchesOf(checked: Checked, expectation: Expectation): Mismatch[] {
  return (Object.keys(expectation) as (keyof Expectation)[]).flatMap((field) =>
    expectation[field] === undefined ? [] : checks[field](checked, expectation[field] as never),
  );
}

function unanswerable(message: string): CheckResult {
  return {
    mismatches: [{ field: 'request', expected: 'a request that can be asked about', actual: message }],
    summary: message,
    decided: [],
  };
}

const deciding: ReadonlySet<string> = new Set([
  ...['virtual-host', 'route', 'redirect', 'direct-response', 'fault', 'timeout', 'retries', 'rewrite'],
  ...['authentication', 'authorization', 'external-authorization', 'cluster'],
]);

type Check<T> = (checked: Checked, expected: T) => Mismatch[];

const checks: { readonly [F in keyof Expectation]-?: Check<NonNullable<Expectation[F]>> } = {
  allowed: (checked, expected) =>
    compare(
      'allowed',
      String(expected),
      String(outcomes(checked).every((one) => one === 'delivered' || one === 'answered')),
    ),
  denied: checkDenied,
  fails: (checked, expected) =>
    compare('fails', String(expected), String(outcomes(checked).some((one) => one === 'fails'))),
  status: ({ outcome }, expected) =>
    compare(
      'status',
      String(expected),
      each(outcome.ends.map(({ status }) => String(status ?? 'that of the destination'))),
    ),
  goesTo: checkPlaces,
  timeout: (checked, expected) => compare('timeout', milliseconds(expected), routeTimeout(checked)),
  retries: (checked, expected) => compare('retries', String(expected), String(routeRetries(checked))),
  headers: (checked, expected) =>
    Object.entries(expected).flatMap(([name, value]) => checkHeader(checked, name, value)),
  path: ({ outcome, journey }, expected) =>
    compare(
      'path',
      expected,
      each(outcome.arrivals.map(({ path }) => path ?? journey.passed[0]?.hop.call.path ?? '')),
    ),
  host: ({ outcome, journey }, expected) =>
    compare(
      'host',
      expected,
      each(outcome.arrivals.map(({ authority }) => authority ?? journey.passed[0]?.hop.call.host ?? '')),
    ),
  redirect: ({ outcome }, expected) => compare('redirect', expected, outcome.redirect ?? 'none'),
  identity: checkIdentity,
};

function compare(field: Mismatch['field'], expected: string, actual: string): Mismatch[] {
  return expected === actual ? [] : [{ field, expected, actual }];
}

function each(texts: readonly string[]): string {
  return [...new Set(texts)].join(', ') || 'none';
}

function outcomes({ outcome }: Checked): string[] {
  return outcome.ends.map((end) => end.outcome);
}

function checkDenied({ outcome }: Checked, expected: boolean | string): Mismatch[] {
  const refused = outcome.ends.filter((end) => end.outcome === 'denied');
  const all = refused.length > 0 && refused.length === outcome.ends.length;
  if (typeof expected === 'boolean') return compare('denied', String(expected), String(all));
  const by = each(refused.map((end) => end.by?.replace(/#.*/, '') ?? end.reason));
  const wanted = expected.split('/').length === 2 ? `AuthorizationPolicy/${expected}` : expected;
  return compare(
    'denied',
    `by ${wanted}`,
    all ? `by ${by}` : refused.length > 0 ? `partly, by ${by}` : 'not denied',
  );
}

function milliseconds(text: string): string {
  if (text === 'none') return text;
  const duration = parseDuration(text);
  return duration === undefined ? text : `${duration} ms`;
}

function routeTimeout({ outcome }: Checked): string {
  return outcome.traits.timeout ?? 'none';
}

function routeRetries({ journey }: Checked): number {
  const client = journey.passed.find(({ hop }) => hop.role !== 'server');
  const action = client && routeAt(client)?.action;
  return (
    (action?.case === 'route' && action.value.retryPolicy && (action.value.retryPolicy.numRetries ?? 1)) || 0
  );
}

function checkHeader({ outcome, question }: Checked, name: string, expected: string | null): Mismatch[] {
  const lower = name.toLowerCase();
  const sent = Object.entries(question.headers ?? {}).find(([one]) => one.toLowerCase() === lower)?.[1];
  const got = outcome.arrivals.map(({ headers }) => {
    const changed = headers[lower];
    if (changed === undefined) return sent ?? 'none';
    return changed === '' ? 'none' : changed;
  });
  return compare('headers', `${name}: ${expected ?? 'none'}`, `${name}: ${each(got)}`);
}

function checkIdentity({ journey, model }: Checked, expected: string): Mismatch[] {
  const seen = journey.passed
    .filter(({ hop }) => hop.role === 'server')
    .map(({ hop }) => (hop.call.tls === 'mtls' ? (hop.call.identity ?? 'none') : 'none'));
  const short = /^([^/]+)\/([^/]+)$/.exec(expected);
  const wanted = short ? `spiffe://${model.mesh.trustDomain}/ns/${short[1]}/sa/${short[2]}` : expected;
  return compare('identity', wanted, each(seen));
}
