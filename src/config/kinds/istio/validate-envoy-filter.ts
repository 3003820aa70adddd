import type {
  EnvoyFilterConfigPatches,
  EnvoyFilterConfigPatchesMatch,
  EnvoyFilterSpec,
} from '../../../../gen/crd/types/istio/envoy-filter.ts';
import { parseEnvoyValue } from '../../envoy-value/parse-envoy-value.ts';
import { type ApplyTo, patchTypes } from '../../envoy-value/patch-types.ts';
import type { FieldPath } from '../../field-path.ts';
import type { Report } from '../../report.ts';
import { checkPolicyTarget, checkRegex, checkSelector, each, specValidator } from './common.ts';

type MatchKind = 'listener' | 'routeConfiguration' | 'cluster' | 'waypoint';

/** The match that goes with each class of objects; none for the whole bootstrap and for extension configurations. */
const matchOf: Readonly<Partial<Record<ApplyTo, MatchKind>>> = {
  LISTENER: 'listener',
  FILTER_CHAIN: 'listener',
  NETWORK_FILTER: 'listener',
  HTTP_FILTER: 'listener',
  LISTENER_FILTER: 'listener',
  ROUTE_CONFIGURATION: 'routeConfiguration',
  VIRTUAL_HOST: 'routeConfiguration',
  HTTP_ROUTE: 'routeConfiguration',
  CLUSTER: 'cluster',
};
const WAYPOINT_TARGETS: readonly ApplyTo[] = [
  'HTTP_FILTER',
  'NETWORK_FILTER',
  'HTTP_ROUTE',
  'CLUSTER',
  'LISTENER',
];

export const validateEnvoyFilter = specValidator<EnvoyFilterSpec>((spec, path, report) => {
  checkSelector(report, path.field('workloadSelector').field('labels'), spec.workloadSelector?.labels);
  if (spec.targetRefs) checkPolicyTarget(report, path, { targetRefs: spec.targetRefs });
  if (!spec.configPatches?.length)
    report.warn(path.field('configPatches'), 'is empty: the filter changes nothing');
  each(spec.configPatches, path.field('configPatches'), (patch, place) => checkPatch(report, place, patch));
});

function checkPatch(report: Report, path: FieldPath, config: EnvoyFilterConfigPatches): void {
  const { applyTo, match, patch } = config;
  if (!applyTo || applyTo === 'INVALID') {
    report.required(path.field('applyTo'), 'says what is patched, such as HTTP_FILTER');
    return;
  }
  if (match?.waypoint === undefined || match.context !== 'WAYPOINT') {
    if (!patch) {
      report.required(path.field('patch'), 'says how to patch');
      return;
    }
  }
  const operation = patch?.operation ?? 'INVALID';
  if (patch && operation === 'INVALID')
    report.required(path.field('patch').field('operation'), 'is required, such as MERGE');
  if (patch && operation !== 'REMOVE' && patch.value === undefined)
    report.required(path.field('patch').field('value'), `${operation} needs a value`);
  checkOperation(report, path.field('patch').field('operation'), applyTo, operation);
  if (match) checkMatch(report, path.field('match'), applyTo, match);
  if (patch?.value !== undefined)
    checkValue(report, path.field('patch').field('value'), applyTo, patch.value);
}

/** The value is a part of the message that `applyTo` says; what is added whole needs a name. */
function checkValue(report: Report, path: FieldPath, applyTo: ApplyTo, value: Record<string, unknown>): void {
  const parsed = parseEnvoyValue(patchTypes[applyTo], value, path);
  if (!parsed.ok) for (const issue of parsed.issues) report.error(issue.path, issue.code, issue.message);
}

function checkOperation(report: Report, path: FieldPath, applyTo: ApplyTo, operation: string): void {
  const ordered = ['INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST'].includes(operation);
  const lists: readonly ApplyTo[] = ['NETWORK_FILTER', 'HTTP_FILTER', 'HTTP_ROUTE', 'LISTENER_FILTER'];
  if (ordered && !lists.includes(applyTo))
    report.warn(path, `${operation} has no effect on ${applyTo}, whose objects have no order`);
  if (operation === 'REPLACE' && applyTo !== 'NETWORK_FILTER' && applyTo !== 'HTTP_FILTER')
    report.warn(path, 'REPLACE works on NETWORK_FILTER and HTTP_FILTER only');
}

function checkMatch(
  report: Report,
  path: FieldPath,
  applyTo: ApplyTo,
  match: EnvoyFilterConfigPatchesMatch,
): void {
  if (match.proxy?.proxyVersion)
    checkRegex(report, path.field('proxy').field('proxyVersion'), match.proxy.proxyVersion);
  const wanted = matchOf[applyTo];
  for (const kind of ['listener', 'routeConfiguration', 'cluster'] as const)
    if (match[kind] && kind !== wanted)
      report.invalid(
        path.field(kind),
        `${applyTo} goes with ${wanted ? `a ${wanted} match` : 'no match'}; remove this one`,
      );
  if (match.waypoint && !WAYPOINT_TARGETS.includes(applyTo))
    report.invalid(path.field('waypoint'), `${applyTo} cannot be patched at a waypoint`);
  const { waypoint } = match;
  if (waypoint?.portNumber !== undefined && (waypoint.portNumber < 1 || waypoint.portNumber > 65535))
    report.invalid(
      path.field('waypoint').field('portNumber'),
      `${waypoint.portNumber} is no port: use 1 to 65535`,
    );
  checkFilterMatch(
    report,
    path.field('listener').field('filterChain').field('filter'),
    match.listener?.filterChain?.filter,
  );
  checkFilterMatch(report, path.field('waypoint').field('filter'), waypoint?.filter);
}

function checkFilterMatch(
  report: Report,
  path: FieldPath,
  filter: { name?: string; subFilter?: { name?: string } } | undefined,
): void {
  if (!filter) return;
  if (!filter.name) report.required(path.field('name'), 'a filter is matched by its name');
  if (filter.subFilter && !filter.subFilter.name)
    report.required(path.field('subFilter').field('name'), 'a filter is matched by its name');
}
