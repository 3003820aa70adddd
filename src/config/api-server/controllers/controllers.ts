import type { Clock } from '../../../kit/clock.ts';
import { type RoleIndex, roleResources } from '../../access/role-index.ts';
import type { KindRegistry } from '../../kind.ts';
import { resourceName } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import type { ObjectRef, Store, StoreEvent } from '../../store/store.ts';
import { crdResource, createCrdController } from './crd-controller.ts';
import { keepExpiringEvents } from './event-expiry.ts';
import { createGarbageCollector } from './garbage-collector.ts';
import { createNamespaceController } from './namespace-controller.ts';
import { ObjectGraph } from './object-graph.ts';
import { clusterRoleResource, createRoleAggregation } from './role-aggregation.ts';
import { followStore } from './store-follower.ts';
import { createWorkQueue } from './work-queue.ts';

export interface ControllerOptions {
  store: Store;
  kinds: KindRegistry;
  roles: RoleIndex;
  signal: AbortSignal;
  clock: Clock;
  log: (level: 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  eventTtlMs: number;
  /** Makes what a new namespace needs. */
  onNamespace: (name: string) => Promise<void>;
}

/** Writes that change the API itself: their answers wait until the change is in force here. */
const settledResources = new Set([crdResource, ...roleResources]);

/** What keeps the API's promises between requests: roles, CRDs, namespaces and garbage collection, fed by one watch. */
export async function startControllers(options: ControllerOptions) {
  const { store, kinds, roles, signal, clock, log } = options;
  const graph = new ObjectGraph();
  const roleSet = new Set(roleResources);
  const onError = (name: string) => (key: string, error: unknown) =>
    log('warn', `${name} will try again`, {
      key,
      error: error instanceof Error ? error.message : String(error),
    });
  const builtin = new Set(kinds.all().map(resourceName));
  const base = { store, kinds, signal, clock };
  const collector = createGarbageCollector({ ...base, graph, onError: onError('garbage collection') });
  const namespaces = createNamespaceController({ ...base, onError: onError('emptying a namespace') });
  const crds = createCrdController({
    ...base,
    builtin,
    onError: onError('serving a CRD'),
    onChange: () => {},
  });
  const aggregation = createRoleAggregation({ ...base, onError: onError('aggregating roles') });
  const furnish = createWorkQueue({
    work: options.onNamespace,
    signal,
    clock,
    onError: onError('furnishing a namespace'),
  });

  const seen = (ref: ObjectRef, object: ConfigObject) => {
    const node = graph.set(ref, object);
    if (roleSet.has(ref.resource)) roles.set(ref.resource, object);
    if (ref.resource === clusterRoleResource) aggregation.changed();
    if (ref.resource === crdResource) crds.changed(object);
    if (ref.resource === 'namespaces') {
      namespaces.changed(object);
      if (!object.metadata.deletionTimestamp) furnish.add(object.metadata.name);
    }
    return node;
  };
  const gone = (event: StoreEvent) => {
    const node = graph.delete(event.ref);
    if (roleSet.has(event.ref.resource))
      roles.delete(event.ref.resource, event.ref.namespace, event.ref.name);
    if (event.ref.resource === clusterRoleResource) aggregation.changed();
    if (event.ref.resource === crdResource) crds.gone(event.object);
    if (event.ref.namespace !== '') namespaces.contentGone(event.ref.namespace);
    if (node) collector.gone(node);
  };

  // Kinds first: the objects of CRDs can be listed only once their kinds are known.
  for (const { object } of (await store.list({ resource: crdResource })).items) crds.changed(object);
  const follower = followStore({
    store,
    signal,
    clock,
    log,
    resources: () => [...new Set([...kinds.all().map(resourceName), crdResource])],
    sink: {
      reset: (objects) => {
        graph.clear();
        roles.clear();
        for (const { ref, object } of objects) seen(ref, object);
        for (const node of graph.all()) collector.changed(node);
      },
      events: (events) => {
        for (const event of events) {
          if (event.type === 'deleted') gone(event);
          else {
            const node = seen(event.ref, event.object);
            if (node) collector.changed(node);
          }
        }
      },
    },
  });
  await follower.ready;
  void keepExpiringEvents({
    store,
    clock,
    signal,
    ttlMs: options.eventTtlMs,
    onError: (error) => onError('expiring events')('events', error),
  });
  return {
    settled: async (resource: string, revision: number) => {
      if (settledResources.has(resource)) await follower.reached(revision);
    },
  };
}
