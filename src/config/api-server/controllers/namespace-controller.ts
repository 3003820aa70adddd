import type { Clock } from '../../../kit/clock.ts';
import { type KindRegistry, resourceName } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import type { Store, StoredObject, WriteOp } from '../../store/store.ts';
import { createWorkQueue } from './work-queue.ts';

const batch = 200;

/**
 * Empties namespaces that are being deleted, and lets them go once nothing is left in them. Objects that finalizers hold keep
 * their namespace in phase Terminating.
 */
export function createNamespaceController(options: {
  store: Store;
  kinds: KindRegistry;
  signal: AbortSignal;
  clock: Clock;
  onError: (key: string, error: unknown) => void;
}) {
  const { store, kinds, clock } = options;
  const terminating = new Set<string>();
  const queue = createWorkQueue({ ...options, work: empty, parallel: 2, attempts: 50 });
  const ref = (name: string) => ({ resource: 'namespaces', namespace: '', name });

  async function empty(name: string): Promise<void> {
    const stored = await store.get(ref(name));
    if (!stored?.object.metadata.deletionTimestamp) {
      terminating.delete(name);
      return;
    }
    let left = 0;
    for (const kind of kinds.all()) if (kind.namespaced) left += await deleteAll(resourceName(kind), name);
    // What waits for its finalizers comes back through `contentGone`.
    if (left === 0) await finish(stored);
  }

  /** Deletes the objects of one resource; the number that finalizers hold. */
  async function deleteAll(resource: string, namespace: string): Promise<number> {
    let held = 0;
    const { items } = await store.list({ resource, namespace });
    for (let at = 0; at < items.length; at += batch) {
      const ops = items.slice(at, at + batch).flatMap((item): WriteOp[] => {
        const finalizers = item.object.metadata.finalizers ?? [];
        if (finalizers.length === 0) return [{ type: 'delete', ref: item.ref, expect: item.revision }];
        held++;
        return item.object.metadata.deletionTimestamp ? [] : [marked(item)];
      });
      if (ops.length === 0) continue;
      const result = await store.commit(ops);
      if (!result.ok)
        throw new Error(`an object of ${namespace} changed while the namespace was being emptied`);
    }
    return held;
  }

  function marked(item: StoredObject): WriteOp {
    const metadata = { ...item.object.metadata, deletionTimestamp: now(), deletionGracePeriodSeconds: 0 };
    delete metadata.resourceVersion;
    return { type: 'put', ref: item.ref, object: { ...item.object, metadata }, expect: item.revision };
  }

  async function finish(stored: StoredObject): Promise<void> {
    const spec = (stored.object.spec ?? {}) as { finalizers?: string[] };
    const others = (spec.finalizers ?? []).filter((one) => one !== 'kubernetes');
    const held = others.length > 0 || (stored.object.metadata.finalizers?.length ?? 0) > 0;
    const { resourceVersion: _revision, ...metadata } = stored.object.metadata;
    const object: ConfigObject = { ...stored.object, metadata, spec: { ...spec, finalizers: others } };
    if (held && others.length === spec.finalizers?.length) return;
    const expect = stored.revision;
    const op: WriteOp = held
      ? { type: 'put', ref: stored.ref, object, expect }
      : { type: 'delete', ref: stored.ref, expect };
    const result = await store.commit([op]);
    if (!result.ok && result.conflict.current)
      throw new Error(`namespace ${stored.ref.name} changed in between`);
    if (held) return;
    terminating.delete(stored.ref.name);
    // A create that had seen the namespace alive may have landed after the last look.
    for (const kind of kinds.all()) if (kind.namespaced) await deleteAll(resourceName(kind), stored.ref.name);
  }

  function now(): string {
    return new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  }

  return {
    changed: (namespace: ConfigObject) => {
      if (!namespace.metadata.deletionTimestamp) return;
      terminating.add(namespace.metadata.name);
      queue.add(namespace.metadata.name);
    },
    /** An object of this namespace is gone. */
    contentGone: (namespace: string) => {
      if (terminating.has(namespace)) queue.add(namespace);
    },
  };
}
