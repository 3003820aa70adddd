import { messageOf } from '../../kit/coded-error.ts';
import type { ConfigObject } from '../object.ts';
import { type ObjectRef, type StoredObject, StoreError, type StoreEvent, type WriteOp } from './store.ts';

/** Default bound of an object's JSON text in bytes, as etcd's for a request. */
export const defaultObjectLimit = 1.5 * 1024 * 1024;

/** `namespace/name`: the key of an object within its resource, and the order of lists. */
export function refKey(ref: ObjectRef): string {
  return `${ref.namespace}/${ref.name}`;
}

export function keyRef(resource: string, key: string): ObjectRef {
  const slash = key.indexOf('/');
  return { resource, namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

const resourceText = /^[a-z0-9][a-z0-9.-]{0,316}$/;
const namespaceText = /^[!-.0-~]{0,253}$/;
const nameText = /^[!-.0-~]{1,253}$/;

/**
 * Refuses references whose keys would not sort alike in every store or would run into each other: printable ASCII
 * without a slash, as all names of Kubernetes are.
 */
export function checkRef(ref: ObjectRef): void {
  for (const [field, pattern] of [
    ['resource', resourceText],
    ['namespace', namespaceText],
    ['name', nameText],
  ] as const) {
    if (typeof ref[field] === 'string' && pattern.test(ref[field])) continue;
    const value = JSON.stringify(ref[field]);
    throw new StoreError(
      'RequestInvalid',
      `the ${field} ${value} of an object must match ${pattern.source}; correct it`,
    );
  }
}

/** Refuses commits that no store could carry out as one. */
export function checkOps(ops: readonly WriteOp[]): void {
  const seen = new Set<string>();
  for (const { ref } of ops) {
    checkRef(ref);
    const id = `${ref.resource}/${refKey(ref)}`;
    if (seen.has(id)) {
      throw new StoreError(
        'RequestInvalid',
        `${id} stands twice in one commit; one revision holds one state of it`,
      );
    }
    seen.add(id);
  }
}

/** The JSON text that is stored: without resourceVersion, which the store adds when reading. */
export function encodeObject(ref: ObjectRef, object: ConfigObject, limit: number): string {
  let text: string;
  try {
    text = JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: undefined } });
  } catch (error) {
    const message = `${ref.resource}/${refKey(ref)} cannot be written as JSON (${messageOf(error)}); give plain data without cycles`;
    throw new StoreError('RequestInvalid', message, { cause: error });
  }
  const bytes = text.length > limit ? text.length : text.length * 3 > limit ? Buffer.byteLength(text) : 0;
  if (bytes > limit) {
    const message = `${ref.resource}/${refKey(ref)} has ${bytes} bytes as JSON, more than the limit of ${limit}; make it smaller or split it`;
    throw new StoreError('ObjectTooLarge', message);
  }
  return text;
}

/** The object as it is handed out: with its revision, and frozen, because all readers share it. */
export function decodeObject(text: string, revision: number): ConfigObject {
  return withRevision(JSON.parse(text) as ConfigObject, revision);
}

/** An object at another revision: as the last state is shown in the event of its deletion. */
export function atRevision(object: ConfigObject, revision: number): ConfigObject {
  return withRevision({ ...object, metadata: { ...object.metadata } }, revision);
}

function withRevision(object: ConfigObject, revision: number): ConfigObject {
  object.metadata.resourceVersion = String(revision);
  deepFreeze(object);
  return object;
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const key in value) deepFreeze((value as Record<string, unknown>)[key]);
}

/** The event of a change from `before` to `after`; one of both is there. */
export function storeEvent(
  ref: ObjectRef,
  revision: number,
  before: ConfigObject | undefined,
  after: ConfigObject | undefined,
): StoreEvent {
  if (after && before) return { type: 'modified', revision, ref, object: after, previous: before };
  if (after) return { type: 'added', revision, ref, object: after };
  if (before)
    return { type: 'deleted', revision, ref, object: atRevision(before, revision), previous: before };
  throw new StoreError(
    'StoreFormat',
    `${ref.resource}/${refKey(ref)} changed at ${revision} from nothing to nothing`,
  );
}

export function storedObject(ref: ObjectRef, revision: number, text: string): StoredObject {
  return { ref, revision, object: decodeObject(text, revision) };
}
