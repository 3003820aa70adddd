import { encodedResource } from '../envoy/pack.ts';
import type { Feature } from '../plan/feature.ts';
import type { ObjectStatusPlan } from '../plan/object-status.ts';
import { type Collection, defineCollection, defineQuery, type Key } from '../snapshot/query.ts';
import type { Resource } from '../snapshot/resource.ts';

/** The type under which statuses travel through the engine; no proxy ever asks for it. */
export const statusesType = 'ostria/statuses';

/**
 * Whole statuses of objects, where conditions alone are not what their API asks for: a collection of its own, read like problems by one
 * proxy that stands for nobody. A resource is named `group/Kind|namespace/name`. Defines queries: call it once in a process.
 */
export function createStatuses(features: readonly Feature[]): Collection<Resource> {
  const kinds = new Map(features.flatMap((feature) => feature.statuses ?? []).map((one) => [one.kind, one]));
  const keys = defineQuery('statuses.keys', (view): readonly Key[] =>
    [...kinds.values()].flatMap(({ kind, all }) => view.list(all, '').map((key) => `${kind}|${key}`)),
  );
  const item = defineQuery('statuses.item', (view, id: Key): Resource | undefined => {
    const bar = id.indexOf('|');
    const status = kinds.get(id.slice(0, bar))?.plan(view, id.slice(bar + 1));
    if (!status) return undefined;
    return encodedResource(statusesType, id, new TextEncoder().encode(JSON.stringify(status)), []);
  });
  return defineCollection('statuses', keys, item);
}

/** The status that a resource of the collection holds. */
export function decodeStatus(resource: Resource): ObjectStatusPlan {
  return JSON.parse(new TextDecoder().decode(resource.bytes)) as ObjectStatusPlan;
}
