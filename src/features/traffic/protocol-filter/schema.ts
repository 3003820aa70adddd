import type { Origin } from '../../../config/origin.ts';
import type { Application } from '../../../plan/listener-plan.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

/** On a Service or ServiceEntry, or on a Namespace for all of its own: `true` or `false`. */
export const annotation = 'networking.ostria.io/protocol-filters';

export type FilteredProtocol = Application['protocol'];

/** The filter that reads (or ends) a chain. */
export const protocolFilterSlot = defineSlot<FilteredProtocol>('protocolFilter');

/** Filters that only look on are on; those that take a connection's bytes apart are asked for, as Redis' is at Istio. */
const onByDefault: ReadonlySet<FilteredProtocol> = new Set(['Mongo', 'ZooKeeper']);

/** `Kind`, `namespace/name` → the annotation's value, '' without. */
const annotated = defineQuery(
  'protocol-filter.annotated',
  (view, kind: string, key: string): string =>
    view.get(configKind(kind), key)?.metadata.annotations?.[annotation] ?? '',
);

export interface FilterChoice {
  readonly on: boolean;
  /** Who decided. */
  readonly origin: Origin;
}

/** Whether the ports of an object get the filter of their protocol. */
export function filterChoice(view: View, owner: Origin, protocol: FilteredProtocol): FilterChoice {
  const path = `metadata.annotations.${annotation}`;
  const own = parse(view.call(annotated, owner.kind, `${owner.namespace}/${owner.name}`));
  if (own !== undefined) return { on: own, origin: { ...owner, path } };
  const all = parse(view.call(annotated, 'Namespace', `/${owner.namespace}`));
  if (all !== undefined)
    return { on: all, origin: { kind: 'Namespace', namespace: '', name: owner.namespace, path } };
  const mesh = parse(view.call(meshSwitch, protocol));
  if (mesh !== undefined)
    return {
      on: mesh,
      origin: { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'defaultConfig.proxyMetadata' },
    };
  return { on: onByDefault.has(protocol), origin: { ...owner, path: 'spec.ports' } };
}

/** Istio's switches, `PILOT_ENABLE_REDIS_FILTER` and the like, where `defaultConfig.proxyMetadata` holds one. */
const meshSwitch = defineQuery('protocol-filter.mesh', (view, protocol: string): string => {
  const { proxyMetadata } = (view.mesh('extra').defaultConfig ?? {}) as {
    proxyMetadata?: Readonly<Record<string, unknown>>;
  };
  return String(proxyMetadata?.[`PILOT_ENABLE_${protocol.toUpperCase()}_FILTER`] ?? '');
});

function parse(text: string): boolean | undefined {
  return text === 'true' ? true : text === 'false' ? false : undefined;
}
