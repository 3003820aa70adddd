import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { each } from './common.ts';

const TOPOLOGY = [
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.istio.io/subzone',
];

interface Failover {
  from?: string;
  to?: string;
}

export interface LocalitySetting {
  distribute?: { from?: string; to?: Record<string, number> }[];
  failover?: Failover[];
  failoverPriority?: string[];
}

/**
 * Why a set of localities (`region/zone/subzone`, parts from the right may be missing or `*`) is not usable; undefined where it
 * is. No locality may contain another one.
 */
export function localitiesProblem(localities: readonly string[]): string | undefined {
  for (const locality of localities) {
    const star = locality.indexOf('*');
    if (star >= 0 && (star !== locality.length - 1 || (star > 0 && locality[star - 1] !== '/')))
      return `${quote(locality)}: a wildcard may only be the last part`;
  }
  const prefixes = localities.map((locality) => locality.replace(/\/?\*$/, ''));
  for (const [i, prefix] of prefixes.entries()) {
    const other = prefixes.findIndex(
      (candidate, k) =>
        k !== i && (prefix === '' || candidate === prefix || candidate.startsWith(`${prefix}/`)),
    );
    if (other >= 0) return `${quote(localities[i])} contains ${quote(localities[other])}`;
  }
  return undefined;
}

export function checkLocalitySetting(
  report: Report,
  path: FieldPath,
  setting: LocalitySetting | undefined,
  hasOutlierDetection: boolean,
): void {
  if (!setting) return;
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && failover.length > 0)
    report.invalid(path, 'set only one of distribute, failover');
  if (failover.length > 0)
    each(failoverPriority, path.field('failoverPriority'), (label, place) => {
      if (TOPOLOGY.includes(label))
        report.invalid(place, `${label} is decided by failover already; remove one of them`);
    });
  checkDistribute(report, path.field('distribute'), distribute);
  checkFailover(report, path.field('failover'), failover);
  if ((failover.length > 0 || failoverPriority.length > 0) && !hasOutlierDetection)
    report.warn(path, 'failover needs outlierDetection to notice that endpoints fail');
}

function checkDistribute(
  report: Report,
  path: FieldPath,
  distribute: NonNullable<LocalitySetting['distribute']>,
): void {
  each(distribute, path, ({ to = {} }, place) => {
    const weights = Object.values(to);
    for (const [locality, weight] of Object.entries(to))
      if (weight <= 0 || weight > 100)
        report.invalid(place.field('to').field(locality), `${weight} is out of range: use 1 to 100`);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) report.invalid(place.field('to'), `the weights must add up to 100, but make ${total}`);
    const problem = localitiesProblem(Object.keys(to));
    if (problem !== undefined) report.invalid(place.field('to'), problem);
  });
  const problem = localitiesProblem(distribute.map(({ from = '' }) => from));
  if (problem !== undefined) report.invalid(path, problem);
}

function checkFailover(report: Report, path: FieldPath, failover: readonly Failover[]): void {
  each(failover, path, ({ from = '', to = '' }, place) => {
    if (from === to) report.invalid(place, 'from and to must be different regions');
    for (const [field, region] of [
      ['from', from],
      ['to', to],
    ] as const)
      if (/[/*]/.test(region))
        report.invalid(place.field(field), `${quote(region)} must be a region alone, without / and *`);
  });
}

/** Zone-aware routing orders zones and regions by itself. */
export function checkZoneAwareSetting(
  report: Report,
  path: FieldPath,
  setting: Omit<LocalitySetting, 'distribute'> | undefined,
): void {
  checkFailover(report, path.field('failover'), setting?.failover ?? []);
  each(setting?.failoverPriority, path.field('failoverPriority'), (label, place) => {
    if (TOPOLOGY.includes(label))
      report.invalid(place, `${label} is decided by zone-aware routing itself; remove it`);
  });
}
