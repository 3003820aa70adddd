import { splitKey } from '../../../config/object.ts';
import { compileRegex } from '../../../config/schema/regex.ts';
import { compareText } from '../../../kit/maps.ts';
import { inNamespace, proxyType } from '../../../plan/attributes.ts';
import type { Attribute } from '../../../snapshot/attribute.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  allEnvoyFilters,
  type Context,
  envoyFilterKind,
  type PatchHead,
  patchHeads,
  patchId,
  selects,
} from './schema.ts';

/** Sort key in Istio's order: priority, the root namespace, age, name. */
const orderOf = defineQuery('envoy-filter.order', (view, key: Key): string => {
  const filter = view.get(envoyFilterKind, key);
  const { namespace, name } = splitKey(key);
  // Priorities are signed 32-bit numbers: shifted, they compare as text.
  const priority = String((filter?.spec?.priority ?? 0) + 2 ** 31).padStart(10, '0');
  const root = namespace === view.mesh('rootNamespace') ? '0' : '1';
  return `${priority} ${root} ${filter?.metadata.creationTimestamp ?? ''} ${name}.${namespace}`;
});

/** The EnvoyFilters that apply to the asking proxy, in order. Without any, nothing of the proxy is read. */
export const appliedFilters = defineQuery('envoy-filter.applied', (view): readonly Key[] => {
  const all = view.list(allEnvoyFilters, '');
  if (all.length === 0) return [];
  return all
    .filter((key) => applies(view, key))
    .sort((a, b) => compareText(view.call(orderOf, a), view.call(orderOf, b)));
});

function applies(view: View, key: Key): boolean {
  return selects(view.get(envoyFilterKind, key), splitKey(key).namespace, view.mesh('rootNamespace'), {
    inNamespace: (namespace) => view.attribute(inNamespace(namespace)),
    matches: (labels) => view.matches(labels),
  });
}

/** What a patch is looked for in. Routes of inbound listeners are part of these. */
export type Target = 'cluster' | 'listener' | 'route' | 'extension' | 'bootstrap';

const routeParts: ReadonlySet<PatchHead['applyTo']> = new Set([
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
]);
const listenerParts: ReadonlySet<PatchHead['applyTo']> = new Set([
  'LISTENER',
  'LISTENER_FILTER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
]);

function looksAt({ applyTo, context }: PatchHead, target: Target): boolean {
  if (routeParts.has(applyTo))
    return target === 'route'
      ? context !== 'SIDECAR_INBOUND'
      : target === 'listener' && context !== 'SIDECAR_OUTBOUND';
  if (listenerParts.has(applyTo)) return target === 'listener';
  if (applyTo === 'CLUSTER') return target === 'cluster';
  return applyTo === 'EXTENSION_CONFIG' ? target === 'extension' : target === 'bootstrap';
}

const contextsOf: Readonly<Record<string, readonly Context[]>> = {
  sidecar: ['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND'],
  router: ['ANY', 'GATEWAY'],
  waypoint: ['ANY', 'WAYPOINT'],
};

/** The ids of the patches that may concern the asking proxy's resources of a sort, `proxy type\nid\nid…`, '' for none. */
export const applicable = defineQuery('envoy-filter.applicable', (view, target: Key): Key => {
  const filters = view.call(appliedFilters);
  if (filters.length === 0) return '';
  const candidates = filters.flatMap((key) =>
    view
      .call(patchHeads, key)
      .filter((head) => looksAt(head, target as Target))
      .map((head) => ({ id: patchId(key, head.index), head })),
  );
  if (candidates.length === 0) return '';
  const type = view.attribute(proxyType);
  const contexts = contextsOf[type] ?? [];
  const ids = candidates.filter(({ head }) => contexts.includes(head.context) && proxyMatches(view, head));
  return ids.length === 0 ? '' : [type, ...ids.map(({ id }) => id)].join('\n');
});

function proxyMatches(view: View, { match: { proxy } }: PatchHead): boolean {
  if (!proxy) return true;
  if (proxy.proxyVersion && !view.attribute(versionMatches(proxy.proxyVersion))) return false;
  return Object.entries(proxy.metadata ?? {}).every(([name, value]) =>
    view.attribute(metadataIs(name, value)),
  );
}

function metadataIs(name: string, value: string): Attribute<boolean> {
  return {
    id: `metadata ${JSON.stringify([name, value])}`,
    value: (proxy) => proxy.metadata[name] === value,
  };
}

/** The expression need only occur in the version, as Istio has it. A proxy that says none never matches. */
function versionMatches(expression: string): Attribute<boolean> {
  return {
    id: `version ${expression}`,
    value: ({ metadata: { ISTIO_VERSION: version } }) =>
      typeof version === 'string' && version !== '' && (compileRegex(expression)?.find(version) ?? false),
  };
}

/** The parts of an applicable set. */
export function splitApplicable(set: Key): { proxyType: string; ids: readonly Key[] } {
  const [type = '', ...ids] = set === '' ? [] : set.split('\n');
  return { proxyType: type, ids };
}

export function joinApplicable(type: string, ids: readonly Key[]): Key {
  return ids.length === 0 ? '' : [type, ...ids].join('\n');
}
