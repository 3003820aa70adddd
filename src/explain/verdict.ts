import type { Model } from '../model/model.ts';
import type { Destination, Outcome, Verdict } from './explanation.ts';
import { type End, type Leaf, sameEnd } from './leaf.ts';
import { round } from './words.ts';

/** The worst first: what some requests suffer is told before what others enjoy. */
const severity: readonly Outcome[] = ['fails', 'denied', 'unknown', 'answered', 'delivered'];

/** What comes of all the ways that a request can take. */
export function verdictOf(model: Model, leaves: readonly Leaf[], who: string, what: string): Verdict {
  const groups: { end: End; leaves: Leaf[] }[] = [];
  for (const leaf of leaves) {
    const group = groups.find(({ end }) => sameEnd(end, leaf.end));
    if (group) group.leaves.push(leaf);
    else groups.push({ end: leaf.end, leaves: [leaf] });
  }
  groups.sort((a, b) => severity.indexOf(a.end.outcome) - severity.indexOf(b.end.outcome));
  const [worst] = groups;
  const end = worst?.end ?? { outcome: 'fails', reason: 'nothing is decided', flags: [] };
  const alike = groups.length === 1;
  return {
    outcome: end.outcome,
    summary: `${what} from ${who} ${groups.map((group) => sentence(model, group, alike)).join('; ')}`,
    ...(end.status !== undefined && alike ? { status: end.status } : {}),
    destinations: destinationsOf(leaves),
    ...(end.by ? { by: end.by } : {}),
    flags: groups.flatMap((group) => group.end.flags),
  };
}

function sentence(
  model: Model,
  { end, leaves }: { end: End; leaves: readonly Leaf[] },
  alike: boolean,
): string {
  const percent = round(leaves.reduce((sum, leaf) => sum + leaf.percent, 0));
  const share = alike ? '' : `in ${percent} % of the cases `;
  const status =
    end.status === undefined
      ? ''
      : ` with ${end.status}${end.grpcStatus === undefined ? '' : ` (gRPC status ${end.grpcStatus})`}`;
  switch (end.outcome) {
    case 'delivered':
      return `${share}${deliveredTo(model, leaves)}`;
    case 'unknown':
      return `${share}${deliveredTo(model, leaves)}, and nothing here says whether that answers: ${end.reason}`;
    case 'answered':
      return `${share}is answered by a proxy${status}: ${end.reason}`;
    case 'denied':
      return `${share}is refused${status}: ${end.reason}`;
    default:
      return `${share}fails${status}: ${end.reason}`;
  }
}

function deliveredTo(model: Model, leaves: readonly Leaf[]): string {
  const total = leaves.reduce((sum, { percent }) => sum + percent, 0);
  const names = new Map<string, number>();
  for (const { workload, address, percent, cluster } of leaves) {
    const found = workload === undefined ? undefined : model.workloads.get(workload)?.workload;
    const name = found ? `${found.controller ?? found.name}.${found.namespace}` : (address ?? cluster);
    names.set(name, (names.get(name) ?? 0) + percent);
  }
  const known = leaves.every(({ workload }) => workload !== undefined);
  const parts = [...names].map(([name, percent]) =>
    names.size === 1 ? name : `${name} (${round((percent * 100) / total)} %)`,
  );
  return known ? `reaches ${parts.join(' or ')}` : `leaves the mesh for ${parts.join(' or ')}`;
}

function destinationsOf(leaves: readonly Leaf[]): Destination[] {
  return leaves
    .filter(({ cluster, workload }) => cluster !== '' || workload !== undefined)
    .map(({ percent, cluster, workload, address, end }) => ({
      percent: round(percent),
      cluster,
      ...(workload === undefined ? {} : { workload }),
      ...(address === undefined ? {} : { address }),
      outcome: end.outcome,
      ...(end.status === undefined ? {} : { status: end.status }),
      ...(end.by === undefined ? {} : { by: end.by }),
    }));
}
