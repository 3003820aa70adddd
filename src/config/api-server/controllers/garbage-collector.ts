import type { Clock } from '../../../kit/clock.ts';
import type { Kind, KindRegistry } from '../../kind.ts';
import { resourceName } from '../../kind.ts';
import type { ConfigObject, ObjectMeta } from '../../object.ts';
import type { ObjectRef, Store, StoredObject } from '../../store/store.ts';
import type { GraphNode, ObjectGraph } from './object-graph.ts';
import { createWorkQueue } from './work-queue.ts';

const foreground = 'foregroundDeletion';
const orphan = 'orphan';

/**
 * Removes what its owners leave behind, as Kubernetes' garbage collector does ("Garbage Collection" in its documentation):
 * dependents whose owners are all gone are deleted; an owner deleted in the foreground waits for the dependents that block it;
 * one deleted with `orphan` gives its dependents up first. Every step checks the store again before it writes.
 */
export function createGarbageCollector(options: {
  store: Store;
  kinds: KindRegistry;
  graph: ObjectGraph;
  signal: AbortSignal;
  clock: Clock;
  onError: (key: string, error: unknown) => void;
}) {
  const { store, kinds, graph, clock } = options;
  const queue = createWorkQueue({ ...options, work: collect });

  async function collect(uid: string): Promise<void> {
    const node = graph.get(uid);
    if (!node) return;
    if (node.deleting && node.finalizers.includes(orphan)) return orphanDependents(node);
    if (node.deleting && node.finalizers.includes(foreground)) return finishForeground(node);
    await collectDependent(node);
  }

  async function collectDependent(node: GraphNode): Promise<void> {
    if (node.owners.length === 0) return;
    const states = await Promise.all(node.owners.map((owner) => ownerState(node, owner)));
    const gone = node.owners.filter((_, i) => states[i] === 'gone');
    const waiting = node.owners.filter((_, i) => states[i] === 'waits');
    if (gone.length + waiting.length === 0) return;
    const stored = await current(node);
    if (!stored) return;
    if (gone.length + waiting.length === node.owners.length) {
      const blocks = waiting.length > 0 && graph.dependentsOf(node.uid).length > 0;
      return remove(stored, blocks ? foreground : undefined);
    }
    const lost = new Set([...gone, ...waiting].map((owner) => owner.uid));
    const kept = (stored.object.metadata.ownerReferences ?? []).filter((owner) => !lost.has(owner.uid));
    await rewrite(stored, { ownerReferences: kept });
  }

  type OwnerState = 'there' | 'gone' | 'waits';

  async function ownerState(node: GraphNode, owner: GraphNode['owners'][number]): Promise<OwnerState> {
    const known = graph.get(owner.uid);
    if (known) return known.deleting && known.finalizers.includes(foreground) ? 'waits' : 'there';
    const kind = kindOf(owner.apiVersion, owner.kind);
    // An owner of a kind that nobody knows may be the object of a CRD yet to come: nothing is removed for it.
    if (!kind) return 'there';
    const namespace = kind.namespaced ? node.ref.namespace : '';
    const stored = await store.get({ resource: resourceName(kind), namespace, name: owner.name });
    return stored?.object.metadata.uid === owner.uid ? 'there' : 'gone';
  }

  function kindOf(apiVersion: string, kind: string): Kind | undefined {
    const slash = apiVersion.indexOf('/');
    return kinds.byKind(slash < 0 ? '' : apiVersion.slice(0, slash), kind);
  }

  async function orphanDependents(node: GraphNode): Promise<void> {
    for (const dependent of graph.dependentsOf(node.uid)) {
      const stored = await current(dependent);
      if (!stored) continue;
      const owners = (stored.object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== node.uid);
      await rewrite(stored, { ownerReferences: owners });
    }
    const stored = await current(node);
    if (stored) await dropFinalizer(stored, orphan);
  }

  async function finishForeground(node: GraphNode): Promise<void> {
    const dependents = graph.dependentsOf(node.uid);
    for (const dependent of dependents) if (!dependent.deleting) queue.add(dependent.uid);
    const blocking = dependents.filter((one) =>
      one.owners.some((owner) => owner.uid === node.uid && owner.blocks),
    );
    if (blocking.length > 0) return;
    const stored = await current(node);
    if (stored) await dropFinalizer(stored, foreground);
  }

  /** The object as stored, if it is still the one of the graph. */
  async function current(node: GraphNode): Promise<StoredObject | undefined> {
    const stored = await store.get(node.ref);
    return stored?.object.metadata.uid === node.uid ? stored : undefined;
  }

  async function dropFinalizer(stored: StoredObject, name: string): Promise<void> {
    const finalizers = (stored.object.metadata.finalizers ?? []).filter((one) => one !== name);
    if (finalizers.length === 0 && stored.object.metadata.deletionTimestamp) return commitDelete(stored);
    await rewrite(stored, { finalizers });
  }

  async function remove(stored: StoredObject, finalizer: string | undefined): Promise<void> {
    const { metadata } = stored.object;
    const finalizers = [...(metadata.finalizers ?? []), ...(finalizer === undefined ? [] : [finalizer])];
    if (finalizers.length === 0) return commitDelete(stored);
    if (metadata.deletionTimestamp && finalizer === undefined) return;
    const deletionTimestamp =
      metadata.deletionTimestamp ?? new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    await rewrite(stored, {
      finalizers: [...new Set(finalizers)],
      deletionTimestamp,
      deletionGracePeriodSeconds: 0,
    });
  }

  async function commitDelete(stored: StoredObject): Promise<void> {
    const result = await store.commit([{ type: 'delete', ref: stored.ref, expect: stored.revision }]);
    if (!result.ok && result.conflict.current) throw new Error(`${describe(stored.ref)} changed in between`);
  }

  async function rewrite(stored: StoredObject, change: Partial<ObjectMeta>): Promise<void> {
    const metadata: ObjectMeta = { ...stored.object.metadata, ...change };
    delete metadata.resourceVersion;
    if (metadata.ownerReferences?.length === 0) delete metadata.ownerReferences;
    if (metadata.finalizers?.length === 0) delete metadata.finalizers;
    const object: ConfigObject = { ...stored.object, metadata };
    const result = await store.commit([{ type: 'put', ref: stored.ref, object, expect: stored.revision }]);
    if (!result.ok && result.conflict.current) throw new Error(`${describe(stored.ref)} changed in between`);
  }

  return {
    /** Something about this object changed. */
    changed: (node: GraphNode) => {
      if (node.owners.length > 0 || (node.deleting && node.finalizers.length > 0)) queue.add(node.uid);
      if (node.deleting && node.finalizers.includes(foreground)) {
        for (const dependent of graph.dependentsOf(node.uid)) queue.add(dependent.uid);
      }
    },
    /** This object is gone; call it after the graph has forgotten it. */
    gone: (node: GraphNode) => {
      for (const dependent of graph.dependentsOf(node.uid)) queue.add(dependent.uid);
      for (const owner of node.owners) if (graph.get(owner.uid)?.deleting) queue.add(owner.uid);
    },
  };
}

function describe(ref: ObjectRef): string {
  return `${ref.resource} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
}
