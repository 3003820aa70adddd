import type { Model } from '../model/model.ts';
import { parseClusterName } from '../plan/names.ts';
import type { MeshService } from '../registry/service.ts';
import { endpointsKind, serviceKind, servicesByHost } from '../snapshot/kinds.ts';
import type { DecidedBy } from './explanation.ts';
import { listed } from './words.ts';

/** Why a destination has no endpoint that could answer, as far as labels and readiness tell; undefined where they tell nothing. */
export function whyEmpty(model: Model, cluster: string, by: DecidedBy | undefined): string | undefined {
  const parsed = parseClusterName(cluster);
  if (!parsed) return undefined;
  const { world } = model;
  const key = world.list(servicesByHost, parsed.host)[0];
  const service = key === undefined ? undefined : world.get(serviceKind, key);
  if (key === undefined || !service) return undefined;
  const all = (world.get(endpointsKind, key)?.endpoints ?? []).filter(
    ({ servicePort }) => servicePort === parsed.port,
  );
  if (all.length === 0) return withoutPods(model, service);
  const labels = subsetLabels(model, by);
  const chosen = all.filter(({ labels: own }) =>
    Object.entries(labels).every(([name, value]) => own[name] === value),
  );
  if (chosen.length > 0)
    return `${chosen.length === 1 ? 'its endpoint is' : `its ${chosen.length} endpoints are`} not ready`;
  const present = Object.keys(labels).map((name) => {
    const values = [...new Set(all.flatMap(({ labels: own }) => own[name] ?? []))].sort();
    return `${name} ${values.length === 0 ? 'nowhere' : `as ${listed(values, 'and')}`}`;
  });
  return `no pod of ${service.name} has the labels ${pairs(labels)} (they have ${present.join(', ')})`;
}

function withoutPods(model: Model, { selector, name, namespace }: MeshService): string {
  if (!selector) return `${name} selects no pods, and nobody listed endpoints for it`;
  const matching = [...model.workloads.values()].filter(
    ({ workload }) =>
      workload.namespace === namespace &&
      Object.entries(selector).every(([key, value]) => workload.labels[key] === value),
  );
  if (matching.length > 0)
    return `${matching.length} pod${matching.length === 1 ? '' : 's'} match the selector of ${name} (${pairs(selector)}), and none serves this port`;
  return `no pod has the labels that ${name} selects (${pairs(selector)})`;
}

function pairs(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** The labels by which a subset chooses, where a subset decided. */
function subsetLabels({ objects }: Model, by: DecidedBy | undefined): Readonly<Record<string, string>> {
  const index = by?.kind === 'DestinationRule' ? /^spec\.subsets\[(\d+)\]/.exec(by.path)?.[1] : undefined;
  if (index === undefined) return {};
  const object = objects.get(`networking.istio.io/DestinationRule|${by?.namespace}/${by?.name}`)?.object;
  const { subsets = [] } = (object?.spec ?? {}) as { subsets?: { labels?: Record<string, string> }[] };
  return subsets[Number(index)]?.labels ?? {};
}
