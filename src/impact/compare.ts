import type { Arrival, OutcomeEnd, RequestOutcome } from '../request-space/outcome.ts';

/** One thing about a request that is not what it was. */
export interface Difference {
  readonly what:
    | 'destination'
    | 'cluster'
    | 'status'
    | 'refusal'
    | 'redirect'
    | 'request'
    | 'timeout'
    | 'retries'
    | 'mirror'
    | 'fault'
    | 'unforeseen filter'
    | 'external authorization'
    | 'rate limit'
    | 'response headers';
  readonly before: string;
  readonly after: string;
}

/** In which ways two outcomes of one request differ; empty: to everyone concerned they are the same. */
export function differences(before: RequestOutcome, after: RequestOutcome): Difference[] {
  const found: Difference[] = [];
  const compare = (what: Difference['what'], a: string, b: string): void => {
    if (a !== b) found.push({ what, before: a, after: b });
  };
  compare('status', statuses(before.ends), statuses(after.ends));
  compare('destination', destinations(before.ends), destinations(after.ends));
  compare('refusal', refusals(before.ends), refusals(after.ends));
  compare('redirect', before.redirect ?? '', after.redirect ?? '');
  compare('fault', before.traits.fault ?? '', after.traits.fault ?? '');
  compare(
    'unforeseen filter',
    before.traits['unforeseen filter'] ?? '',
    after.traits['unforeseen filter'] ?? '',
  );
  // What is on the way to nowhere concerns nobody.
  if (![before, after].every(isDelivered)) return found;
  compare('cluster', clusters(before), clusters(after));
  compare('request', arrivals(before.arrivals), arrivals(after.arrivals));
  for (const what of traits) compare(what, before.traits[what] ?? '', after.traits[what] ?? '');
  return found;
}

const traits = [
  'timeout',
  'retries',
  'mirror',
  'response headers',
  'external authorization',
  'rate limit',
] as const;

function isDelivered({ ends }: RequestOutcome): boolean {
  return ends.some(({ outcome }) => outcome === 'delivered');
}

function clusters({ clusters: list }: RequestOutcome): string {
  const total = list.reduce((sum, { weight }) => sum + weight, 0);
  return list
    .map(({ cluster, weight }) =>
      list.length === 1 ? cluster : `${Number(((weight * 100) / total).toFixed(1))} % ${cluster}`,
    )
    .sort()
    .join(', ');
}

/** What the sender gets back, where a proxy decides it. */
function statuses(ends: readonly OutcomeEnd[]): string {
  return kindsOf(ends, ({ outcome, status, grpcStatus }) =>
    [outcome === 'delivered' ? 'delivered' : outcome, status, grpcStatus]
      .filter((part) => part !== undefined)
      .join(' '),
  );
}

function destinations(ends: readonly OutcomeEnd[]): string {
  const reached = ends.filter(({ outcome }) => outcome === 'delivered');
  return kindsOf(reached, ({ destination }) => destination ?? '');
}

/** Who refuses, or why it fails. */
function refusals(ends: readonly OutcomeEnd[]): string {
  return kindsOf(
    ends.filter(({ outcome }) => outcome === 'denied'),
    ({ by, reason }) => by?.replace(/#.*/, '') ?? reason,
  );
}

function arrivals(list: readonly Arrival[]): string {
  return list
    .map(({ authority, path, headers }) =>
      [
        ...(authority === undefined ? [] : [`host ${authority}`]),
        ...(path === undefined ? [] : [`path ${path}`]),
        ...Object.entries(headers).map(([name, value]) =>
          value === '' ? `without ${name}` : `${name}: ${value}`,
        ),
      ].join(', '),
    )
    .sort()
    .join(' or ');
}

/** Which of them there are: shares are told by the clusters' weights, and replicas that come and go change nothing else. */
function kindsOf(ends: readonly OutcomeEnd[], nameOf: (end: OutcomeEnd) => string): string {
  return [...new Set(ends.map(nameOf))].sort().join(', ');
}
