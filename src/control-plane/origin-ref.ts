import { type KindRegistry, resourceName } from '../config/kind.ts';
import type { Origin } from '../config/origin.ts';
import type { ObjectRef } from '../config/store/store.ts';

/** The object that an origin names, as the store knows it. Origins name a kind without its group: Istio's and core kinds. */
export function refOfOrigin(
  kinds: KindRegistry,
  origin: Pick<Origin, 'kind' | 'namespace' | 'name'>,
): ObjectRef | undefined {
  const kind = kinds
    .all()
    .find(({ kind, group }) => kind === origin.kind && (group === '' || group.endsWith('.istio.io')));
  return kind ? { resource: resourceName(kind), namespace: origin.namespace, name: origin.name } : undefined;
}
