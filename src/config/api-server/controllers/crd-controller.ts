import type { Clock } from '../../../kit/clock.ts';
import { equalJson } from '../../../kit/json.ts';
import type { Kind, KindRegistry } from '../../kind.ts';
import { resourceName } from '../../kind.ts';
import { kindFromCrd } from '../../kinds/crd.ts';
import type { ConfigObject, StatusCondition } from '../../object.ts';
import type { Store, StoredObject, WriteOp } from '../../store/store.ts';
import { createWorkQueue } from './work-queue.ts';

export const crdResource = 'customresourcedefinitions.apiextensions.k8s.io';
/** Holds a deleted definition until its objects are gone. */
export const crdFinalizer = 'customresourcecleanup.apiextensions.k8s.io';

const batch = 200;

/** Serves the kinds that users define: defines them in the registry, writes their status, and empties them before they go. */
export function createCrdController(options: {
  store: Store;
  kinds: KindRegistry;
  /** Kinds that are built in: a definition of the same name changes nothing about them. */
  builtin: ReadonlySet<string>;
  signal: AbortSignal;
  clock: Clock;
  onError: (key: string, error: unknown) => void;
  /** Kinds came or went. */
  onChange: () => void;
}) {
  const { store, kinds, builtin, clock } = options;
  const queue = createWorkQueue({ ...options, work: reconcile, parallel: 2, attempts: 50 });

  function serve(object: ConfigObject): void {
    const kind = toKind(object);
    if (!kind || builtin.has(resourceName(kind))) return;
    kinds.define(kind);
    options.onChange();
  }

  function toKind(object: ConfigObject): Kind | undefined {
    try {
      return kindFromCrd(object);
    } catch (error) {
      options.onError(object.metadata.name, error);
      return undefined;
    }
  }

  function withdraw(object: ConfigObject): void {
    const kind = toKind(object);
    if (!kind || builtin.has(resourceName(kind))) return;
    kinds.remove(kind.group, kind.plural);
    options.onChange();
  }

  async function reconcile(name: string): Promise<void> {
    const stored = await store.get({ resource: crdResource, namespace: '', name });
    if (!stored) return;
    if (stored.object.metadata.deletionTimestamp) return cleanUp(stored);
    const { resourceVersion: _revision, ...metadata } = stored.object.metadata;
    const finalizers = [...new Set([...(metadata.finalizers ?? []), crdFinalizer])];
    const next: ConfigObject = {
      ...stored.object,
      metadata: { ...metadata, finalizers },
      status: statusOf(stored.object),
    };
    if (
      equalJson(next.status, stored.object.status) &&
      equalJson(finalizers, stored.object.metadata.finalizers)
    )
      return;
    await write(stored, next);
  }

  function statusOf(object: ConfigObject): unknown {
    const before = (object.status ?? {}) as { conditions?: StatusCondition[]; storedVersions?: string[] };
    const spec = object.spec as {
      names: Record<string, unknown>;
      versions: { name: string; storage: boolean }[];
    };
    const storage = spec.versions.filter((version) => version.storage).map((version) => version.name);
    const condition = (type: string, reason: string, message: string): StatusCondition => {
      const old = before.conditions?.find((one) => one.type === type && one.status === 'True');
      const lastTransitionTime =
        old?.lastTransitionTime ?? new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
      return { type, status: 'True', reason, message, lastTransitionTime };
    };
    const { plural, kind, singular, shortNames, categories } = spec.names;
    const accepted = {
      plural,
      kind,
      singular: singular ?? String(kind).toLowerCase(),
      listKind: spec.names.listKind ?? `${String(kind)}List`,
    };
    return {
      ...before,
      acceptedNames: {
        ...accepted,
        ...(shortNames === undefined ? {} : { shortNames }),
        ...(categories === undefined ? {} : { categories }),
      },
      conditions: [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
      storedVersions: [...new Set([...(before.storedVersions ?? []), ...storage])],
    };
  }

  async function cleanUp(stored: StoredObject): Promise<void> {
    const kind = toKind(stored.object);
    let held = 0;
    if (kind && !builtin.has(resourceName(kind))) held = await deleteAll(resourceName(kind));
    if (held > 0) throw new Error(`${held} objects of ${stored.ref.name} wait for their finalizers`);
    const { resourceVersion: _revision, ...metadata } = stored.object.metadata;
    const finalizers = (metadata.finalizers ?? []).filter((one) => one !== crdFinalizer);
    if (finalizers.length > 0)
      return write(stored, { ...stored.object, metadata: { ...metadata, finalizers } });
    await commit({ type: 'delete', ref: stored.ref, expect: stored.revision });
  }

  async function deleteAll(resource: string): Promise<number> {
    const { items } = await store.list({ resource });
    let held = 0;
    for (let at = 0; at < items.length; at += batch) {
      const ops = items.slice(at, at + batch).flatMap((item): WriteOp[] => {
        if ((item.object.metadata.finalizers?.length ?? 0) === 0) {
          return [{ type: 'delete', ref: item.ref, expect: item.revision }];
        }
        held++;
        if (item.object.metadata.deletionTimestamp) return [];
        const deletionTimestamp = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
        const { resourceVersion: _revision, ...metadata } = item.object.metadata;
        const object = {
          ...item.object,
          metadata: { ...metadata, deletionTimestamp, deletionGracePeriodSeconds: 0 },
        };
        return [{ type: 'put', ref: item.ref, object, expect: item.revision }];
      });
      if (ops.length > 0 && !(await store.commit(ops)).ok)
        throw new Error(`an object of ${resource} changed in between`);
    }
    return held;
  }

  async function write(stored: StoredObject, object: ConfigObject): Promise<void> {
    await commit({ type: 'put', ref: stored.ref, object, expect: stored.revision });
  }

  async function commit(op: WriteOp): Promise<void> {
    const result = await store.commit([op]);
    if (!result.ok && result.conflict.current) throw new Error(`${op.ref.name} changed in between`);
  }

  return {
    changed: (object: ConfigObject) => {
      serve(object);
      queue.add(object.metadata.name);
    },
    gone: withdraw,
  };
}
