import type { Colors } from 'picocolors/types.js';
import type { DecidedBy } from '../../explain/explanation.ts';
import { somewhere } from '../../explain/target.ts';
import { round } from '../../explain/words.ts';
import type { ChangedClass } from '../../impact/impact.ts';
import { unservedPort } from '../../impact/target.ts';
import type { Model } from '../../model/model.ts';
import type { OutcomeEnd, RequestOutcome } from '../../request-space/outcome.ts';
import { workloadName } from '../../request-space/workload-name.ts';
import { sourceWords } from '../explain/format-explanation.ts';

/** Names told of several. */
const mostNames = 3;
/** Further requests told of those that come out alike. */
const mostAlike = 4;

/** Classes that read alike but for their requests, and for where these lead: from the same senders, to the same effect. */
export interface ClassGroup {
  readonly who: string;
  readonly classes: readonly [ChangedClass, ...ChangedClass[]];
}

export function classGroups(before: Model, after: Model, changed: readonly ChangedClass[]): ClassGroup[] {
  const groups = new Map<string, [ChangedClass, ...ChangedClass[]]>();
  for (const one of changed) {
    const { witness, senders, places, anyOtherHost } = one;
    const { strangerPort, outside, address } = witness;
    const who = [senders, strangerPort !== undefined, outside, address, places.length > 0, anyOtherHost];
    const effect = [effectWords(one.before, one), effectWords(one.after, one), extraKinds(one)];
    const key = JSON.stringify([who, effect]);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return [...groups.values()]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map((classes) => ({ who: senderWords(before, after, classes), classes }));
}

/** What people write first: names, before a Host of its own and addresses. */
function rank({ places, anyOtherHost, witness: { host, strangerPort } }: ChangedClass): number {
  if (places.length > 0) return strangerPort === undefined ? 2 : 3;
  return anyOtherHost || host !== undefined ? 1 : 0;
}

/** Where it leads matters only where it is not where it led; an address leads to who has it. */
function effectWords(outcome: RequestOutcome, { before, after, differences, places }: ChangedClass): string {
  const both = [before, after].every(({ ends }) => ends.some((end) => end.outcome === 'delivered'));
  const moved = both && places.length === 0 && differences.some(({ what }) => what === 'destination');
  return sentence(outcome, moved ? undefined : 'its destination');
}

function extraKinds(one: ChangedClass): string[] {
  return extrasOf(one).map(({ what, before, after }) =>
    what === 'cluster' ? [what, before === '', after === ''].join() : [what, before, after].join(),
  );
}

function senderWords(
  before: Model,
  after: Model,
  [first, ...rest]: readonly [ChangedClass, ...ChangedClass[]],
): string {
  const { witness, senders, anyOtherHost } = first;
  const { strangerPort, outside, address } = witness;
  const client = address === undefined ? '' : ` (client ${address})`;
  const who = names(before, after, senders);
  const places = [...new Set([first, ...rest].flatMap((one) => one.places))];
  const unserved = [first, ...rest].map(
    (one) => one.witness.strangerPort === unservedPort || one.witness.url.includes(`:${unservedPort}`),
  );
  const ports = unserved.every((is) => is)
    ? ', at any port that no service names'
    : unserved.some((is) => is)
      ? ', at any port'
      : '';
  const where = `${names(before, after, places)}${ports}`;
  if (strangerPort !== undefined)
    return `from anyone without a sidecar, in plaintext to the address of ${where}${client}`;
  if (outside) return `from outside, by ${who}${client}`;
  if (anyOtherHost) return `from ${who}, with any Host that is not the URL's`;
  return places.length > 0 ? `from ${who}, to the address of ${where}` : `from ${who}`;
}

/** `cause`: what is changed, where it is one object alone: told where it is not among the deciders. */
export function groupLines(
  { who, classes }: ClassGroup,
  cause: string | undefined,
  colors: Colors,
): string[] {
  const { bold, dim, red, green, cyan } = colors;
  const [one, ...alike] = classes;
  const [was, is] = [wordsOf(classes, 'before'), wordsOf(classes, 'after')];
  const worse = badness(one.after) > badness(one.before);
  const deciders = decidersOf(one);
  const after = deciders.after.map(sourceWords);
  const told = [...after, ...deciders.before.map(sourceWords)].some((text) => text.startsWith(`${cause}:`));
  const because = cause === undefined || told ? after : [...after, cause];
  const line = (
    label: string,
    text: string,
    by: readonly string[],
    paint: (text: string) => string,
  ): string => `    ${dim(label)} ${paint(text)}${by.length > 0 ? `  ${dim(by.join(', '))}` : ''}`;
  const same = was === is;
  const more = alike.length - mostAlike;
  return [
    `  ${bold(requestWords(one.witness))}`,
    ...alike.slice(0, mostAlike).map(({ witness }) => `  ${requestWords(witness)}`),
    ...(more > 0 ? [dim(`  … and ${more} more ${more === 1 ? 'kind' : 'kinds'} that come out alike`)] : []),
    `    ${dim(who)}`,
    ...(same
      ? [line('both  ', was, [], (text) => text)]
      : [
          line('before', was, deciders.before.map(sourceWords), (text) => text),
          line('after ', is, because, worse ? red : green),
        ]),
    ...extrasOf(one).map(
      ({ what, before: old, after: now }) =>
        `    ${cyan(what)} ${old === '' ? 'none' : old} → ${now === '' ? 'none' : now}${same && because.length > 0 ? `  ${dim(because.join(', '))}` : ''}`,
    ),
  ];
}

/** Of several with different destinations, without them. */
function wordsOf(classes: ClassGroup['classes'], side: 'before' | 'after'): string {
  const all = new Set(classes.map((one) => sentence(one[side])));
  return all.size === 1 ? sentence(classes[0][side]) : effectWords(classes[0][side], classes[0]);
}

/** Differences that the sentences do not tell; clusters where they tell the same. */
function extrasOf({ before, after, differences }: ChangedClass): ChangedClass['differences'] {
  const same = sentence(before) === sentence(after);
  return differences.filter(({ what }) => told.has(what) && (what !== 'cluster' || same));
}

const told: ReadonlySet<string> = new Set([
  'cluster',
  'request',
  'timeout',
  'retries',
  'mirror',
  'fault',
  'unforeseen filter',
  'response headers',
  'external authorization',
  'rate limit',
]);

export function requestWords({
  method,
  url,
  headers,
  host,
  claims,
}: Pick<ChangedClass['witness'], 'method' | 'url' | 'headers' | 'host' | 'claims'>): string {
  const parts = [
    ...(/^(tcp|tls):/.test(url) ? [] : [method]),
    url,
    ...(host === undefined ? [] : [`-H "host: ${host}"`]),
    ...Object.entries(headers).map(([name, value]) => `-H "${name}: ${value}"`),
    ...(claims ? [`token ${JSON.stringify(claims)}`] : []),
  ];
  return parts.join(' ');
}

export function some(names: readonly string[]): string {
  const more = names.length > mostNames ? `, and ${names.length - mostNames} more` : '';
  return `${names.slice(0, mostNames).join(', ')}${more}`;
}

/** What people call some workloads: each controller once. */
function names(before: Model, after: Model, keys: readonly string[]): string {
  const found = new Set(
    keys.map((key) => {
      const workload = (after.workloads.get(key) ?? before.workloads.get(key))?.workload;
      return workload ? workloadName(workload) : key;
    }),
  );
  return some([...found]);
}

/** `destination`: said in the place of who gets it. */
export function sentence(outcome: RequestOutcome, destination?: string): string {
  const groups = Map.groupBy(outcome.ends, (end) => [end.outcome, end.status, end.reason].join(' '));
  const parts = [...groups.values()].map((ends) => {
    const percent = round(ends.reduce((sum, end) => sum + end.percent, 0));
    return `${groups.size === 1 ? '' : `${percent} %: `}${endWords(ends, outcome, destination)}`;
  });
  return parts.join('; ');
}

function endWords(
  ends: readonly OutcomeEnd[],
  { redirect }: RequestOutcome,
  given: string | undefined,
): string {
  const [first] = ends;
  const status = first?.status === undefined ? '' : `${first.status} `;
  switch (first?.outcome) {
    case 'delivered': {
      const leaves = first.leavesMesh ?? false;
      const nobody = first.destination === undefined || first.destination.startsWith(`${somewhere}:`);
      if (leaves && (given !== undefined || nobody)) return 'leaves the mesh';
      if (given !== undefined) return `reaches ${given}`;
      const total = ends.reduce((sum, { percent }) => sum + percent, 0);
      const shown = ends.map(({ destination, percent }) =>
        ends.length === 1 ? destination : `${destination} ${Math.round((percent * 100) / total)} %`,
      );
      return `${leaves ? 'leaves the mesh for' : 'reaches'} ${shown.join(', ')}`;
    }
    case 'answered':
      return `${status}${redirect === undefined ? first.reason : `go to ${redirect}`}`;
    case 'denied':
      return `${status}refused: ${first.reason}`;
    default:
      return `${status}fails: ${first?.reason ?? 'nothing is decided'}`;
  }
}

function badness({ ends }: RequestOutcome): number {
  const order = ['delivered', 'answered', 'denied', 'fails'];
  return Math.max(...ends.map(({ outcome }) => order.indexOf(outcome)));
}

/** Of the objects that decide, those that are new to the other side; where all are the same, the last. */
function decidersOf({ decidedBefore, decidedAfter }: ChangedClass): {
  before: DecidedBy[];
  after: DecidedBy[];
} {
  const only = (own: readonly DecidedBy[], others: readonly DecidedBy[]): DecidedBy[] => {
    const known = new Set(others.map(sourceWords));
    const fresh = own.filter((one) => !known.has(sourceWords(one)));
    return fresh.length > 0 ? fresh.slice(-2) : own.slice(-1);
  };
  return { before: only(decidedBefore, decidedAfter), after: only(decidedAfter, decidedBefore) };
}
