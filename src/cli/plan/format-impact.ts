import type { Colors } from 'picocolors/types.js';
import { round } from '../../explain/words.ts';
import type { Impact } from '../../impact/impact.ts';
import type { Model } from '../../model/model.ts';
import { typeUrls } from '../../snapshot/resource.ts';
import { classGroups, groupLines, some } from './format-classes.ts';
import { withoutMinor } from './minor-classes.ts';
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
  const { proxies, total: all, uncompared, added, removed } = impact.touched;
  const total = uncompared === 0 ? all : `${all - uncompared} compared (of ${all})`;
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

function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${round(bytes / 1000)} kB` : `${round(bytes / 1e6)} MB`;
}

function requestLines(report: PlanReport, colors: Colors): string[] {
  const [only, ...others] = report.objects;
  const cause = others.length === 0 ? only?.place : undefined;
  const { changed, examined } = report.impact;
  const looked = colors.dim(`(${Math.round(examined)} looked at)`);
  if (changed.length === 0) return [`${colors.bold('Requests')}  none comes out differently ${looked}`];
  const ports = new Set([report.before, report.after].map(({ mesh }) => mesh.proxyInboundListenPort));
  const { told, minor } = withoutMinor(changed, ports);
  return [
    `${colors.bold('Requests')}  ${plural(changed.length, 'kind')} ${changed.length === 1 ? 'comes' : 'come'} out differently ${looked}`,
    ...classGroups(report.before, report.after, told).flatMap((group) => [
      '',
      ...groupLines(group, cause, colors),
    ]),
    ...(minor.length > 0 ? ['', colors.dim(minorWords(minor.length, ports))] : []),
  ];
}

function minorWords(count: number, ports: ReadonlySet<number>): string {
  const own = [...ports].join(' or ');
  return `  … and ${plural(count, 'kind')} beside these: other protocols to ports of HTTP, and calls to port ${own} of proxies; plan -o json has all`;
}
