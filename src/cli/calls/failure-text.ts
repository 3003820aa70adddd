import { originId, parseOriginId } from '../../config/origin.ts';
import type { Position } from '../../config/source-map.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import type { FailureGroup, NearMiss } from '../../observe/group-failures.ts';
import { formatPosition } from '../origins/locate.ts';
import { out } from '../output/style.ts';

type Positions = ReadonlyMap<string, Position>;

/** Ids of the origins that a group names. */
export function originsOfGroup({ decidedBy, nearMiss }: FailureGroup): string[] {
  return [...(decidedBy === undefined ? [] : [decidedBy]), ...nearMissOrigins(nearMiss)];
}

function nearMissOrigins(nearMiss: NearMiss | undefined): string[] {
  const rule = nearMiss?.rule;
  const policies = (nearMiss?.policies ?? []).map((name) => `AuthorizationPolicy/${name}`);
  if (!rule) return policies;
  const fields = rule.conditions
    .filter(({ holds }) => holds !== 'yes')
    .map(({ path }) => originId({ ...rule.origin, path }));
  return [...policies, originId(rule.origin), ...fields];
}

/** Groups as people read them. */
export function formatGroups(groups: readonly FailureGroup[], positions: Positions): string {
  return groups.map((group) => formatGroup(group, positions)).join('\n');
}

function formatGroup(group: FailureGroup, positions: Positions): string {
  const { count, code, what, mend, first, last, example, callers, workloads, decidedBy, nearMiss, kind } =
    group;
  const times = first === last ? clock(last) : `${clock(first)} – ${clock(last)}`;
  const title = `${out.bold(`${count} ×`)} ${kind === 'failed' ? out.red(code) : out.yellow(code)}  ${what}`;
  const lines = [
    line('when', times),
    line('example', describeCall(example.records)),
    line('from', callers.join(', ')),
    line('told by', workloads.join(', ')),
    line('decided by', decidedBy === undefined ? '' : named(decidedBy, positions)),
    ...(nearMiss ? nearMissLines(nearMiss, positions, kind === 'failed' ? 'in force' : 'in dry run') : []),
    ...(example.assumed
      ? [line('note', 'which call is behind it is told by time alone; send x-request-id on to be sure')]
      : []),
    line('mend', mend),
  ];
  return `${title}\n${lines.join('')}`;
}

function line(label: string, text: string): string {
  return text === '' ? '' : `    ${out.dim(label.padEnd(11))} ${text}\n`;
}

/** `AuthorizationPolicy shop/readers spec.rules[0]  policies.yaml:12:5`. */
function named(id: string, positions: Positions): string {
  const origin = parseOriginId(id);
  if (!origin) return id;
  const place = origin.namespace === '' ? origin.name : `${origin.namespace}/${origin.name}`;
  const position = positions.get(id);
  return [`${origin.kind} ${place}`, origin.path, position ? out.cyan(formatPosition(position)) : '']
    .filter((part) => part !== '')
    .join('  ');
}

function nearMissLines({ policies, more, rule }: NearMiss, positions: Positions, label: string): string[] {
  const all = policies.map((name) => named(`AuthorizationPolicy/${name}`, positions));
  if (more > 0) all.push(`and ${more} more`);
  const lines = all.map((text, index) => line(index === 0 ? label : '', text));
  if (!rule) return lines;
  const failed = rule.conditions.filter(({ holds }) => holds === 'no');
  const unknown = rule.conditions.filter(({ holds }) => holds === 'unknown');
  lines.push(line('nearest', named(originId(rule.origin), positions)));
  for (const { path, wanted, found } of failed) {
    const position = positions.get(originId({ ...rule.origin, path }));
    lines.push(
      line(
        '',
        `wants ${wanted}; the call has ${found}${position ? `  ${out.cyan(formatPosition(position))}` : ''}`,
      ),
    );
  }
  if (failed.length === 0)
    for (const { wanted } of unknown) lines.push(line('', `wants ${wanted}, which is not recorded`));
  return lines;
}

/** What was called: `GET reviews.default.svc.cluster.local/reviews/0 → 403 on reviews-v1-0`. */
export function describeCall(records: readonly CallRecord[]): string {
  const [first] = records;
  const last = records.at(-1);
  if (!first || !last) return '';
  const what =
    last.method !== undefined
      ? `${last.method} ${last.authority ?? ''}${last.path ?? ''}`
      : `a connection to ${last.upstreamCluster ?? last.local ?? '?'}`;
  const code = last.code === undefined ? '' : ` → ${last.code}`;
  const way = records.length > 1 ? ` (${records.map(({ workload }) => workload).join(' → ')})` : '';
  return `${what}${code}${way}`;
}

function clock(time: number): string {
  const date = new Date(time);
  const two = (value: number) => String(value).padStart(2, '0');
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? '' : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
  return `${day}${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
