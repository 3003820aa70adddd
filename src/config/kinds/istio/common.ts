import type { FieldPath } from '../../field-path.ts';
import { type FieldPath as Path, rootPath } from '../../field-path.ts';
import type { Issue, Kind } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { createReport, quote, type Report } from '../../report.ts';
import { compileRegex } from '../../schema/regex.ts';
import { isDnsLabel } from './hosts.ts';

/** What a validator is given beside the spec. */
export interface Subject {
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export type SpecValidator<Spec> = (spec: Spec, path: Path, report: Report, subject: Subject) => void;

/** Makes a kind's `validate` of rules about its spec. The spec has passed the kind's schema. */
export function specValidator<Spec>(check: SpecValidator<Spec>): NonNullable<Kind['validate']> {
  return (object: ConfigObject): Issue[] => {
    const report = createReport();
    const { name, namespace = 'default', annotations = {} } = object.metadata;
    check((object.spec ?? {}) as Spec, rootPath.field('spec'), report, { name, namespace, annotations });
    return report.issues;
  };
}

/** Each item of a list that may be absent, with its path. */
export function each<T>(
  items: readonly T[] | undefined,
  path: FieldPath,
  visit: (item: T, path: FieldPath, i: number) => void,
): void {
  for (const [i, item] of (items ?? []).entries()) visit(item, path.index(i), i);
}

/** Each entry of a map that may be absent, with its path. */
export function eachEntry<T>(
  map: Readonly<Record<string, T>> | undefined,
  path: FieldPath,
  visit: (key: string, value: T, path: FieldPath) => void,
): void {
  for (const [key, value] of Object.entries(map ?? {})) visit(key, value, path.field(key));
}

const LABEL_KEY =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** Labels that Kubernetes would take. */
export function checkLabels(
  report: Report,
  path: FieldPath,
  labels: Readonly<Record<string, string>> | undefined,
): void {
  eachEntry(labels, path, (key, value, place) => {
    if (!LABEL_KEY.test(key) || (key.split('/').at(-1) ?? '').length > 63)
      report.invalid(place, `${quote(key)} is not a label key such as app.kubernetes.io/name`);
    if (!LABEL_VALUE.test(value) || value.length > 63)
      report.invalid(place, `${quote(value)} is not a label value: letters, digits, - _ and ., at most 63`);
  });
}

/** A selector of workloads: no wildcards, no empty keys; empty values only warn. */
export function checkSelector(
  report: Report,
  path: FieldPath,
  labels: Readonly<Record<string, string>> | undefined,
): void {
  if (labels !== undefined && Object.keys(labels).length === 0)
    report.warn(path, 'the selector is empty: it selects every workload of the namespace');
  eachEntry(labels, path, (key, value, place) => {
    if (key === '') report.invalid(place, 'a label key must not be empty');
    else if (key.includes('*') || value.includes('*'))
      report.invalid(place, `wildcards are not supported: ${quote(`${key}=${value}`)}`);
  });
}

export interface PolicyTargetReference {
  group?: string;
  kind?: string;
  name?: string;
  namespace?: string;
}

const TARGETS: readonly (readonly [group: string, kind: string])[] = [
  ['', 'Service'],
  ['core', 'Service'],
  ['networking.istio.io', 'ServiceEntry'],
  ['gateway.networking.k8s.io', 'Gateway'],
  ['gateway.networking.k8s.io', 'GatewayClass'],
];

/** `selector`, `targetRef` and `targetRefs`: what a policy applies to, only one of them. */
export function checkPolicyTarget(
  report: Report,
  path: FieldPath,
  spec: {
    selector?: { matchLabels?: Record<string, string> };
    targetRef?: PolicyTargetReference;
    targetRefs?: PolicyTargetReference[];
  },
): void {
  const { selector, targetRef, targetRefs } = spec;
  checkSelector(report, path.field('selector').field('matchLabels'), selector?.matchLabels);
  const set = [
    selector?.matchLabels !== undefined && 'selector',
    targetRef !== undefined && 'targetRef',
    (targetRefs?.length ?? 0) > 0 && 'targetRefs',
  ].filter((name) => name !== false);
  if (set.length > 1) report.invalid(path, `set only one of ${set.join(', ')}`);
  if (targetRef) checkTargetRef(report, path.field('targetRef'), targetRef);
  each(targetRefs, path.field('targetRefs'), (reference, place) => checkTargetRef(report, place, reference));
}

function checkTargetRef(report: Report, path: FieldPath, reference: PolicyTargetReference): void {
  const { group = '', kind = '', name = '', namespace = '' } = reference;
  if (name === '') report.required(path.field('name'), 'a target needs a name');
  if (namespace !== '')
    report.invalid(path.field('namespace'), 'targets of other namespaces are not supported; leave it out');
  if (!TARGETS.some(([g, k]) => g === group && k === kind))
    report.invalid(
      path,
      `${group}/${kind} is no target; use Service, ServiceEntry (networking.istio.io), Gateway or GatewayClass (gateway.networking.k8s.io)`,
    );
}

/** `exportTo` of configuration objects; ServiceEntry alone may export to nobody (`~`). */
export function checkExportTo(
  report: Report,
  path: FieldPath,
  exportTo: readonly string[] | undefined,
  options: { allowNone?: boolean } = {},
): void {
  if (!exportTo?.length) return;
  const seen = new Set<string>();
  each(exportTo, path, (value, place) => {
    if (seen.has(value)) report.error(place, 'FieldValueDuplicate', `${quote(value)} is listed twice`);
    seen.add(value);
    if (value === '~' && !options.allowNone)
      report.invalid(place, '~ (nobody) is not allowed here; use . for the own namespace');
    else if (!['.', '*', '~'].includes(value) && !isDnsLabel(value))
      report.invalid(place, `${quote(value)} is not a namespace, . (the own one), or * (all)`);
  });
  if (seen.has('*') && seen.size > 1)
    report.invalid(path, '* (all namespaces) excludes further values; remove one or the other');
  if (seen.has('~') && seen.size > 1 && options.allowNone)
    report.invalid(path, '~ (nobody) excludes further values; remove one or the other');
}

/** An RE2 expression, as Envoy compiles it. */
export function checkRegex(report: Report, path: FieldPath, expression: string): void {
  if (!compileRegex(expression)) report.invalid(path, `${quote(expression)} is not a valid RE2 expression`);
}

export function checkRange(
  report: Report,
  path: FieldPath,
  value: number | undefined | null,
  min: number,
  max: number,
): void {
  if (value !== undefined && value !== null && (value < min || value > max))
    report.invalid(path, `${value} is out of range: use ${min} to ${max}`);
}

export function checkNotNegative(report: Report, path: FieldPath, value: number | undefined | null): void {
  if (value !== undefined && value !== null && value < 0)
    report.invalid(path, `${value} must not be negative`);
}
