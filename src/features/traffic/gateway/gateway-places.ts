import type { WorkloadEntrySpec } from '../../../../gen/crd/types/istio/workload-entry.ts';
import type { ConfigObject } from '../../../config/object.ts';
import { splitKey } from '../../../config/object.ts';
import { holdsLabels } from '../../../kit/labels.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import type { Gateway } from './kinds.ts';

const podKind = configKind<object>('Pod');
const entryKind = configKind<WorkloadEntrySpec>('WorkloadEntry');

type Labels = Readonly<Record<string, string>>;

/** Labels by which gateways are selected as a rule: an index over all labels of all pods would be paid for by everybody. */
const usual = ['istio', 'app'];

function keysOf(labels: Labels | undefined): Key[] {
  return usual.flatMap((name) => (labels?.[name] ? [`${name}=${labels[name]}`] : []));
}

function entryLabels({ metadata, spec }: ConfigObject<WorkloadEntrySpec>): Labels {
  return { ...metadata.labels, ...spec?.labels };
}

const podsByLabel = defineIndex('gateway-pods', podKind, ({ metadata }) => keysOf(metadata.labels));
const entriesByLabel = defineIndex('gateway-entries', entryKind, (entry) => keysOf(entryLabels(entry)));

/**
 * The namespaces in which the workloads run that a Gateway selects, sorted: that is where its credentials are looked for. Where none is
 * known, its own.
 */
export function gatewayNamespaces(view: View, { metadata, spec }: Gateway): readonly string[] {
  const selector = spec?.selector ?? {};
  const [key] = keysOf(selector);
  const found = new Set<string>();
  if (key !== undefined) {
    for (const pod of view.list(podsByLabel, key))
      if (holdsLabels(view.get(podKind, pod)?.metadata.labels ?? {}, selector))
        found.add(splitKey(pod).namespace);
    for (const name of view.list(entriesByLabel, key)) {
      const entry = view.get(entryKind, name);
      if (entry && holdsLabels(entryLabels(entry), selector)) found.add(splitKey(name).namespace);
    }
  }
  return found.size > 0 ? [...found].sort() : [metadata.namespace ?? 'default'];
}
