import type { Colors } from 'picocolors/types.js';
import type { DecidedBy } from '../../explain/explanation.ts';
import { round } from '../../explain/words.ts';
import type { ChangedClass, Impact } from '../../impact/impact.ts';
import type { Model } from '../../model/model.ts';
import type { OutcomeEnd, RequestOutcome } from '../../request-space/outcome.ts';
import { workloadName } from '../../request-space/workload-name.ts';
import { typeUrls } from '../../snapshot/resource.ts';
import { sourceWords } from '../explain/format-explanation.ts';
import type { ObjectChange } from './object-changes.ts';

/** What a change does, as people read it. */
export interface PlanReport {
  readonly objects: readonly ObjectChange[];
  readonly impact: Impact;
  readonly before: Model;
  readonly after: Model;
}

const typeNames: Readonly<Record<string, string>> = {
  [typeUrls.listener]: 'listener',
  [typeUrls.cluster]: 'cluster',
  [typeUrls.endpoints]: 'endpoints',
  [typeUrls.route]: 'route configuration',
  [typeUrls.virtualHost]: 'virtual host',
  [typeUrls.secret]: 'secret',
};
/** Names told of each type. */
const mostNames = 3;

export function formatPlan(report: PlanReport, colors: Colors): string {
  const sections = [objectLines(report, colors), proxyLines(report, colors), requestLines(report, colors)];
  const { cuts } = report.impact;
  if (cuts.length > 0)
    sections.push([
      colors.yellow(colors.bold('Not everything was looked at')),
      ...cuts.map((text) => `  ${text}`),
    ]);
  const { assumptions } = report.after;
  if (assumptions.length > 0) sections.push(assumptions.map((text) => colors.dim(`Assumed: ${text}.`)));
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

const signs = { added: '+', changed: '~', removed: '-' } as const;

function objectLines({ objects }: PlanReport, { bold, green, yellow, red, dim }: Colors): string[] {
  const paint = { added: green, changed: yellow, removed: red };
  if (objects.length === 0) return [`${bold('Objects')}  nothing changes`];
  return [
    bold('Objects'),
    ...objects.map(
      ({ change, kind, name, place }) =>
        `  ${paint[change](`${signs[change]} ${kind} ${name}`)}${place === undefined ? '' : `  ${dim(place)}`}`,
    ),
  ];
}

export interface TypeSummary {
  readonly type: string;
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export function summarizeTypes({ touched }: Impact): TypeSummary[] {
  const kinds = new Map<string, Record<'added' | 'changed' | 'removed', Set<string>>>();
  for (const { changes } of touched.proxies)
    for (const { typeUrl, name, before, after } of changes) {
      const type = typeNames[typeUrl] ?? typeUrl;
      let sets = kinds.get(type);
      if (!sets) {
        sets = { added: new Set(), changed: new Set(), removed: new Set() };
        kinds.set(type, sets);
      }
      sets[before ? (after ? 'changed' : 'removed') : 'added'].add(name);
    }
  return [...kinds].map(([type, { added, changed, removed }]) => ({
    type,
    added: [...added].sort(),
    changed: [...changed].sort(),
    removed: [...removed].sort(),
  }));
}

/** Bytes of resources that proxies are sent, all together. */
export function sentBytes({ touched }: Impact): number {
  return touched.proxies.reduce(
    (sum, { changes }) => sum + changes.reduce((own, { after }) => own + (after?.bytes.length ?? 0), 0),
    0,
  );
}

function proxyLines({ impact }: PlanReport, { bold, dim }: Colors): string[] {
  const { proxies, total, added, removed } = impact.touched;
  if (proxies.length === 0 && added.length === 0 && removed.length === 0)
    return [`${bold('Proxies')}  none of ${total} is sent anything`];
  const head = `${bold('Proxies')}  ${proxies.length} of ${total} ${proxies.length === 1 ? 'is' : 'are'} sent ${formatBytes(sentBytes(impact))} in all`;
  const types = summarizeTypes(impact).flatMap(({ type, ...lists }) =>
    (['added', 'changed', 'removed'] as const).flatMap((change) =>
      lists[change].length === 0
        ? []
        : [`  ${signs[change]} ${plural(lists[change].length, type)}  ${dim(some(lists[change]))}`],
    ),
  );
  const gone = [
    ...(added.length > 0 ? [`  ${plural(added.length, 'proxy')} of new workloads: ${some(added)}`] : []),
    ...(removed.length > 0
      ? [`  ${plural(removed.length, 'proxy')} of workloads that go: ${some(removed)}`]
      : []),
  ];
  return [head, ...types, ...gone];
}

function plural(count: number, what: string): string {
  if (count === 1 || what === 'endpoints') return `${count} ${what}`;
  return `${count} ${what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`}`;
}

function some(names: readonly string[]): string {
  const more = names.length > mostNames ? `, and ${names.length - mostNames} more` : '';
  return `${names.slice(0, mostNames).join(', ')}${more}`;
}

function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${round(bytes / 1000)} kB` : `${round(bytes / 1e6)} MB`;
}

function requestLines(report: PlanReport, colors: Colors): string[] {
  const { changed, examined } = report.impact;
  const looked = colors.dim(`(${Math.round(examined)} looked at)`);
  if (changed.length === 0) return [`${colors.bold('Requests')}  none comes out differently ${looked}`];
  return [
    `${colors.bold('Requests')}  ${plural(changed.length, 'kind')} ${changed.length === 1 ? 'comes' : 'come'} out differently ${looked}`,
    ...changed.flatMap((one) => ['', ...classLines(report, one, colors)]),
  ];
}

function classLines({ after }: PlanReport, one: ChangedClass, colors: Colors): string[] {
  const { bold, dim, red, green, cyan } = colors;
  const { witness, senders, differences } = one;
  const who = witness.stranger
    ? `from anyone without a sidecar, in plaintext to ${names(after, senders)}`
    : witness.outside
      ? `from outside, by ${names(after, senders)}${witness.address ? ` (client ${witness.address})` : ''}`
      : `from ${names(after, senders)}`;
  const extras = differences.filter(({ what }) => told.has(what));
  const [was, is] = [sentence(one.before), sentence(one.after)];
  const worse = badness(one.after) > badness(one.before);
  const deciders = decidersOf(one);
  const line = (
    label: string,
    text: string,
    by: readonly DecidedBy[],
    paint: (text: string) => string,
  ): string =>
    `    ${dim(label)} ${paint(text)}${by.length > 0 ? `  ${dim(by.map(sourceWords).join(', '))}` : ''}`;
  const same = was === is;
  return [
    `  ${bold(requestWords(witness))}`,
    `    ${dim(who)}`,
    ...(same
      ? [line('both  ', was, [], (text) => text)]
      : [
          line('before', was, deciders.before, (text) => text),
          line('after ', is, deciders.after, worse ? red : green),
        ]),
    ...extras.map(
      ({ what, before: old, after: now }) =>
        `    ${cyan(what)} ${old === '' ? 'none' : old} → ${now === '' ? 'none' : now}${same && deciders.after.length > 0 ? `  ${dim(deciders.after.map(sourceWords).join(', '))}` : ''}`,
    ),
  ];
}

/** Differences that the sentences do not tell. */
const told: ReadonlySet<string> = new Set([
  'cluster',
  'request',
  'timeout',
  'retries',
  'mirror',
  'fault',
  'response headers',
]);

export function requestWords({ method, url, headers, claims }: ChangedClass['witness']): string {
  const parts = [
    ...(/^(tcp|tls):/.test(url) ? [] : [method]),
    url,
    ...Object.entries(headers).map(([name, value]) => `-H "${name}: ${value}"`),
    ...(claims ? [`token ${JSON.stringify(claims)}`] : []),
  ];
  return parts.join(' ');
}

/** What people call some workloads: each controller once. */
function names({ workloads }: Model, keys: readonly string[]): string {
  const found = new Set(
    keys.map((key) => {
      const workload = workloads.get(key)?.workload;
      return workload ? workloadName(workload) : key;
    }),
  );
  return some([...found]);
}

export function sentence(outcome: RequestOutcome): string {
  const groups = Map.groupBy(outcome.ends, (end) => [end.outcome, end.status, end.reason].join(' '));
  const parts = [...groups.values()].map((ends) => {
    const percent = round(ends.reduce((sum, end) => sum + end.percent, 0));
    return `${groups.size === 1 ? '' : `${percent} %: `}${endWords(ends, outcome)}`;
  });
  return parts.join('; ');
}

function endWords(ends: readonly OutcomeEnd[], { redirect }: RequestOutcome): string {
  const [first] = ends;
  const status = first?.status === undefined ? '' : `${first.status} `;
  switch (first?.outcome) {
    case 'delivered': {
      const total = ends.reduce((sum, { percent }) => sum + percent, 0);
      const shown = ends.map(({ destination, percent }) =>
        ends.length === 1 ? destination : `${destination} ${Math.round((percent * 100) / total)} %`,
      );
      return `reaches ${shown.join(', ')}`;
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
