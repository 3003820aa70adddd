import { type KindRegistry, resourceName } from '../config/kind.ts';
import type { Origin } from '../config/origin.ts';
import type { ObjectRef } from '../config/store/store.ts';

/**
 * The object that an origin names, as the store knows it. Origins name a kind without its group: Istio's and core kinds first; `Kind.group`
 * where another group has a kind of the same name.
 */
export function refOfOrigin(
  kinds: KindRegistry,
  origin: Pick<Origin, 'kind' | 'namespace' | 'name'>,
): ObjectRef | undefined {
  const named = kinds
    .all()
    .filter(({ kind, group }) => kind === origin.kind || `${kind}.${group}` === origin.kind);
  const kind = named.find(({ group }) => group === '' || group.endsWith('.istio.io')) ?? named[0];
  return kind ? { resource: resourceName(kind), namespace: origin.namespace, name: origin.name } : undefined;
}
