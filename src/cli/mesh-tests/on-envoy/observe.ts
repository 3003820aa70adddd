import type { Checked } from '../../../assertions/checked.ts';
import type { Leaf } from '../../../explain/leaf.ts';
import type { Model } from '../../../model/model.ts';
import { type Arrival, outcomeOf } from '../../../request-space/outcome.ts';
import { workloadName } from '../../../request-space/workload-name.ts';
import type { Arrived } from './application.ts';
import type { Reply } from './send-request.ts';

/** What came of one request. */
export interface Answer extends Reply {
  /** Absent: no application got it. */
  readonly arrived?: Arrived;
}

export interface Observed {
  /** As the prediction, with what was seen in place of what was predicted. */
  readonly checked: Checked;
  /** Where Envoy does otherwise than predicted, in words. */
  readonly differences: readonly string[];
}

/** Whether the predicted ways of a request are several: then only many requests tell something. */
export function isMixed({ model, journey }: Checked): boolean {
  return new Set(journey.leaves.map((leaf) => keyOf(model, leaf))).size > 1;
}

/** Puts what real proxies did in the place of what was predicted. Shares within four standard deviations are as predicted. */
export function observe(predicted: Checked, answers: readonly Answer[]): Observed {
  const { model, journey } = predicted;
  const expected = Map.groupBy(journey.leaves, (leaf) => keyOf(model, leaf));
  const seen = Map.groupBy(answers, (answer) => seenKey(model, answer, expected));
  const differing = [...new Set([...expected.keys(), ...seen.keys()])].some((key) => {
    const share = sum(expected.get(key) ?? []) / 100;
    const found = (seen.get(key)?.length ?? 0) / answers.length;
    return Math.abs(found - share) > 4 * Math.sqrt((share * (1 - share)) / answers.length) + 0.005;
  });
  const leaves = differing
    ? [...seen].map(([key, group]) =>
        seenLeaf(group, (group.length * 100) / answers.length, expected.get(key)?.[0]),
      )
    : journey.leaves;
  const arrivals = answers.flatMap(({ arrived }) => (arrived ? [arrivalOf(predicted, arrived)] : []));
  const { redirect: _, ...outcome } = outcomeOf(model, { ...journey, leaves });
  const location = answers.find((answer) => answer.location !== undefined && !answer.arrived)?.location;
  const words = (shares: [string, number][]) =>
    shares.map(([key, share]) => (share > 99.5 ? key : `${key} (${Math.round(share)} %)`)).join(', ');
  return {
    checked: {
      ...predicted,
      journey: { ...journey, leaves, passed: passedAs(predicted, answers) },
      outcome: { ...outcome, arrivals, ...(location === undefined ? {} : { redirect: location }) },
    },
    differences: [
      ...(differing
        ? [
            `${words([...seen].map(([key, group]) => [key, (group.length * 100) / answers.length]))} on Envoy, ${words([...expected].map(([key, group]) => [key, sum(group)]))} predicted`,
          ]
        : arrivalDifferences(predicted, arrivals)),
      ...(location === predicted.outcome.redirect
        ? []
        : [
            `redirect to ${location ?? 'nowhere'} on Envoy, to ${predicted.outcome.redirect ?? 'nowhere'} predicted`,
          ]),
    ],
  };
}

function sum(leaves: readonly Leaf[]): number {
  return leaves.reduce((total, { percent }) => total + percent, 0);
}

const failure = 'no answer';

function keyOf(model: Model, { end, workload }: Leaf): string {
  if (end.outcome === 'delivered') return `reaches ${nameIn(model, workload ?? '')}`;
  return end.status === undefined ? failure : `status ${end.status}`;
}

function nameIn(model: Model, key: string): string {
  const known = model.workloads.get(key)?.workload;
  return known ? workloadName(known) : key;
}

/** A prediction that names no status is met by any by which a proxy says that it got nowhere. */
function seenKey(model: Model, { status, arrived }: Answer, expected: ReadonlyMap<string, unknown>): string {
  if (arrived) return `reaches ${nameIn(model, arrived.workload)}`;
  if (expected.has(`status ${status}`)) return `status ${status}`;
  if (status === 0 || (status >= 500 && expected.has(failure))) return failure;
  return `status ${status}`;
}

function seenLeaf([first]: readonly Answer[], percent: number, predicted: Leaf | undefined): Leaf {
  if (predicted) return { ...predicted, percent };
  const { arrived, status = 0 } = first ?? {};
  if (arrived)
    return {
      percent,
      cluster: '',
      workload: arrived.workload,
      end: { outcome: 'delivered', reason: 'Envoy delivers it', flags: [] },
    };
  const outcome =
    status === 401 || status === 403 ? 'denied' : status === 0 || status >= 400 ? 'fails' : 'answered';
  return {
    percent,
    cluster: '',
    end: { outcome, reason: `Envoy answers with ${status}`, flags: [], ...(status > 0 ? { status } : {}) },
  };
}

/** The servers' side of the journey with the callers whom their sidecars saw. */
function passedAs(
  { journey: { passed } }: Checked,
  answers: readonly Answer[],
): Checked['journey']['passed'] {
  const server = passed.find(({ hop }) => hop.role === 'server');
  const arrived = answers.flatMap((answer) => answer.arrived ?? []);
  if (!server || arrived.length === 0) return passed;
  const { identity: _, ...call } = server.hop.call;
  const seen = new Set(arrived.map(({ headers }) => callerOf(headers)));
  return [
    ...passed.filter(({ hop }) => hop.role !== 'server'),
    ...[...seen].map((identity) => ({
      ...server,
      hop: {
        ...server.hop,
        call:
          identity === undefined
            ? { ...call, tls: 'plaintext' as const }
            : { ...call, tls: 'mtls' as const, identity },
      },
    })),
  ];
}

/** Whose certificate the connection was made with: the last element is the server's own sidecar's. */
function callerOf(headers: Readonly<Record<string, string>>): string | undefined {
  return [...(headers['x-forwarded-client-cert'] ?? '').matchAll(/\bURI=([^;,]+)/g)].at(-1)?.[1];
}

function arrivalOf({ question }: Checked, { host, path, headers }: Arrived): Arrival {
  const removed = Object.keys(question.headers ?? {}).filter((name) => name !== 'host' && !(name in headers));
  return {
    authority: host,
    path,
    headers: { ...headers, ...Object.fromEntries(removed.map((name) => [name, ''])) },
  };
}

/** They name the caller's address, which is this machine's here, or a number of Envoy's own. */
const ofTheCaller: ReadonlySet<string> = new Set([
  'x-forwarded-for',
  'x-envoy-external-address',
  'x-request-id',
]);

/** Paths, hosts and the headers that routes are predicted to change. */
function arrivalDifferences({ outcome, journey }: Checked, arrivals: readonly Arrival[]): string[] {
  const sent = journey.passed[0]?.hop.call;
  const compare = (what: string, predicted: readonly string[], seen: readonly string[]): string[] => {
    const [a, b] = [predicted, seen].map((texts) => [...new Set(texts)].sort().join(', '));
    return a === b ? [] : [`${what} ${b || 'none'} on Envoy, ${a || 'none'} predicted`];
  };
  if (arrivals.length === 0 || outcome.arrivals.length === 0) return [];
  const names = new Set(outcome.arrivals.flatMap(({ headers }) => Object.keys(headers))).difference(
    ofTheCaller,
  );
  return [
    ...compare(
      'path',
      outcome.arrivals.map(({ path }) => path ?? sent?.path ?? ''),
      arrivals.map(({ path }) => path ?? ''),
    ),
    ...compare(
      'host',
      outcome.arrivals.map(({ authority }) => authority ?? sent?.host ?? ''),
      arrivals.map(({ authority }) => authority ?? ''),
    ),
    ...[...names].flatMap((name) =>
      compare(
        `header ${name}:`,
        outcome.arrivals.map(({ headers }) => headers[name] ?? sent?.headers?.[name] ?? ''),
        arrivals.map(({ headers }) => headers[name] ?? ''),
      ),
    ),
  ];
}
