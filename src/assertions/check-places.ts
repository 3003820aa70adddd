import { parseClusterName } from '../plan/names.ts';
import { workloadName, workloadNames } from '../request-space/workload-name.ts';
import type { Checked, Mismatch } from './checked.ts';
import type { Place } from './expectation.ts';

/** A place that requests go to by one of the clusters that the first proxy chooses from, with all that is known of it. */
interface Reached {
  readonly workload?: string;
  /** Everything that the workload is known by. */
  readonly names: readonly string[];
  readonly version?: string;
  readonly host: string;
  readonly subset: string;
  readonly percent: number;
  /** Outside the mesh. */
  readonly address?: string;
}

/** Every place that is expected must be reached, and no other. */
export function checkPlaces(
  checked: Checked,
  expected: string | Place | readonly (string | Place)[],
): Mismatch[] {
  const places = ([] as (string | Place)[]).concat(expected).map(asPlace);
  const reached = reachedBy(checked);
  const actual = reached.map(words).join(', ') || 'nowhere';
  const wanted = places.map(placeWords).join(', ');
  const missing = places.some(
    (place) => !reached.some((one) => isAt(checked, place, one)) || !hasWeight(checked, place, reached),
  );
  const surplus = reached.some((one) => !places.some((place) => isAt(checked, place, one)));
  return missing || surplus ? [{ field: 'goesTo', expected: wanted, actual }] : [];
}

function asPlace(given: string | Place): Place {
  return typeof given === 'string' ? { workload: given } : given;
}

function reachedBy({ model, journey }: Checked): Reached[] {
  const found = new Map<string, Reached>();
  for (const { workload, address, percent, end, cluster, chosen = cluster } of journey.leaves) {
    if (end.outcome !== 'delivered') continue;
    const known = workload === undefined ? undefined : model.workloads.get(workload)?.workload;
    const name = known ? workloadName(known) : undefined;
    const key = JSON.stringify([name ?? address, chosen]);
    const parsed = parseClusterName(chosen);
    found.set(key, {
      ...(name === undefined ? {} : { workload: name }),
      names: known ? workloadNames(known) : [],
      ...(known?.labels.version === undefined ? {} : { version: known.labels.version }),
      ...(address === undefined ? {} : { address }),
      host: parsed?.host ?? chosen,
      subset: parsed?.subset ?? '',
      percent: percent + (found.get(key)?.percent ?? 0),
    });
  }
  return [...found.values()];
}

/** Without the weight. */
function isAt({ model }: Checked, { workload, service, subset, version }: Place, reached: Reached): boolean {
  if (
    workload !== undefined &&
    !reached.names.includes(inNamespace(workload)) &&
    reached.address !== workload
  )
    return false;
  if (version !== undefined && reached.version !== version) return false;
  if (service !== undefined) {
    const host =
      service.includes('.') && !/^[^.]+\.[^.]+$/.test(service)
        ? service
        : `${inNamespace(service)}.svc.${model.mesh.domainSuffix}`;
    if (reached.host !== host && reached.host !== service) return false;
  }
  return subset === undefined || reached.subset === subset;
}

/** Give or take one percent. */
function hasWeight(checked: Checked, place: Place, reached: readonly Reached[]): boolean {
  if (place.weight === undefined) return true;
  const there = reached.filter((one) => isAt(checked, place, one));
  return Math.abs(there.reduce((sum, { percent }) => sum + percent, 0) - place.weight) <= 1;
}

function inNamespace(name: string): string {
  return name.includes('.') ? name : `${name}.default`;
}

function words({ workload, address, percent, version, subset }: Reached): string {
  const more = [
    ...(version === undefined ? [] : [`version ${version}`]),
    ...(subset === '' ? [] : [`subset ${subset}`]),
    ...(percent < 99.5 ? [`${Math.round(percent)} %`] : []),
  ];
  return `${workload ?? address ?? 'outside'}${more.length > 0 ? ` (${more.join('; ')})` : ''}`;
}

function placeWords({ workload, ...rest }: Place): string {
  const more = Object.entries(rest).map(
    ([name, value]) => `${name} ${value}${name === 'weight' ? ' %' : ''}`,
  );
  const name = workload === undefined ? undefined : inNamespace(workload);
  if (name === undefined) return more.join(', ');
  return more.length > 0 ? `${name} (${more.join('; ')})` : name;
}
