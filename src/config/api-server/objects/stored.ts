import type { Kind, KindVersion } from '../../kind.ts';
import { resourceName } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import type { ObjectRef, StoredObject } from '../../store/store.ts';
import { type ApiContext, apiVersionOf, storageVersion, type Target } from '../context.ts';

export function refOf(kind: Kind, namespace: string, name: string): ObjectRef {
  return { resource: resourceName(kind), namespace: kind.namespaced ? namespace : '', name };
}

/** The stored object in the version that was asked for. Shares parts with the store's copy: never change it in place. */
export function inVersion(
  context: Pick<ApiContext, 'convert'>,
  object: ConfigObject,
  target: Target,
): ConfigObject {
  if (object.apiVersion === apiVersionOf(target) && object.kind === target.kind.kind) return object;
  return context.convert(object, target.kind, target.version);
}

/** The form to store: in the storage version, without the resourceVersion, which the store itself adds. */
export function toStored(
  context: Pick<ApiContext, 'convert'>,
  object: ConfigObject,
  kind: Kind,
): ConfigObject {
  const version = storageVersion(kind);
  const converted = inVersion(context, object, { kind, version });
  const { resourceVersion: _revision, ...metadata } = converted.metadata;
  return { ...converted, metadata };
}

/** What a read returns right after `revision` wrote `object`. */
export function withRevision(object: ConfigObject, revision: number): ConfigObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

export function readStored(
  context: Pick<ApiContext, 'convert'>,
  stored: StoredObject,
  target: Target,
): ConfigObject {
  return inVersion(context, stored.object, target);
}

/** The default conversion: versions of a kind differ by name only (Kubernetes' conversion strategy `None`). */
export function convertByName(object: ConfigObject, kind: Kind, version: KindVersion): ConfigObject {
  return { ...object, apiVersion: apiVersionOf({ kind, version }), kind: kind.kind };
}
