import { randomUUID } from 'node:crypto';
import { equalJson } from '../../../kit/json.ts';
import type { ConfigObject, ManagedFieldsEntry } from '../../object.ts';
import type { StoredObject } from '../../store/store.ts';
import { recordUpdate } from '../apply/managed-fields.ts';
import { isCertificateRequest, withRequester } from '../certificate-requests.ts';
import { apiVersionOf, isBuiltinGroup, type RequestContext, subjectOf, type Target } from '../context.ts';
import { admit } from '../objects/admission.ts';
import { prepareAny, prepareNew, prepareSubresource } from '../objects/builtin-kinds.ts';
import { desiredStateChanged, hasGeneration } from '../objects/generation.ts';
import { checkMetadataTypes, tidyMetadata } from '../objects/metadata.ts';
import { generatedName } from '../objects/names.ts';
import { objectSchema } from '../objects/schema-of.ts';
import { readStored, refOf, toStored, withRevision } from '../objects/stored.ts';
import { alreadyExists, badRequest, conflict, invalid, modifiedConflict, notFound } from '../status.ts';
import { requireNamespace } from './namespace-check.ts';
import type { WriteOptions } from './write-options.ts';

export interface WriteResult {
  object: ConfigObject;
  created: boolean;
}

const generateNameAttempts = 8;

/** RFC 3339 without fractions, as Kubernetes writes times. */
export function timestamp(context: RequestContext): string {
  return new Date(context.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Creates an object from what a client sent. Throws the `ApiError` to answer with. */
export async function createObject(
  context: RequestContext,
  target: Target,
  namespace: string,
  body: ConfigObject,
  options: WriteOptions,
  managedFields?: ManagedFieldsEntry[],
): Promise<WriteResult> {
  const { kind } = target;
  checkMetadataTypes(body.metadata, options.locate);
  const metadata = ownNamespace(tidyMetadata(body.metadata), kind.namespaced, namespace);
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '') {
    throw badRequest('metadata.resourceVersion: must not be set on objects to be created');
  }
  const generates = !metadata.name && metadata.generateName !== undefined;
  if (!metadata.name && !generates) {
    const message = 'name or generateName is required';
    throw invalid(subjectOf(kind), '', [
      { path: 'metadata.name', severity: 'error', code: 'FieldValueRequired', message },
    ]);
  }
  await requireNamespace(context, target, namespace, metadata.name ?? metadata.generateName ?? '');
  for (let attempt = 1; ; attempt++) {
    const name = generates ? generatedName(metadata.generateName ?? '') : metadata.name;
    const fresh = freshObject(context, target, { ...body, metadata: { ...metadata, name } });
    const object = await admit(context, {
      ...options,
      target,
      operation: 'CREATE',
      object: prepareNew(kind, isCertificateRequest(kind) ? withRequester(fresh, context.user) : fresh),
      old: undefined,
    });
    object.metadata.managedFields = managedFields ?? ownersOf(context, target, undefined, object, options);
    if (object.metadata.managedFields.length === 0) delete object.metadata.managedFields;
    const ref = refOf(kind, namespace, name);
    if (options.dryRun) {
      if (await context.store.get(ref)) throw alreadyExists(subjectOf(kind), name);
      return { object, created: true };
    }
    const result = await context.store.commit([
      { type: 'put', ref, object: toStored(context, object, kind), expect: 0 },
    ]);
    if (result.ok) {
      await context.settled(ref.resource, result.revision);
      return { object: withRevision(versioned(object, target), result.revision), created: true };
    }
    if (!generates || attempt === generateNameAttempts) throw alreadyExists(subjectOf(kind), name);
  }
}

function versioned(object: ConfigObject, target: Target): ConfigObject {
  return { ...object, apiVersion: apiVersionOf(target) };
}

function ownNamespace(
  metadata: ConfigObject['metadata'],
  namespaced: boolean,
  namespace: string,
): ConfigObject['metadata'] {
  const { namespace: given, ...rest } = metadata;
  if (!namespaced) {
    if (given)
      throw badRequest(`metadata.namespace: this kind has no namespace, the object names "${given}"`);
    return rest;
  }
  if (given !== undefined && given !== namespace) {
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request: metadata.namespace is "${given}", the path says "${namespace}"`,
    );
  }
  return { ...rest, namespace };
}

function freshObject(context: RequestContext, target: Target, body: ConfigObject): ConfigObject {
  const {
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    generation: _generation,
    resourceVersion: _revision,
    ...metadata
  } = body.metadata;
  const object: ConfigObject = {
    ...body,
    metadata: {
      ...metadata,
      uid: randomUUID(),
      creationTimestamp: timestamp(context),
      ...(hasGeneration(target.kind, target.version) ? { generation: 1 } : {}),
    },
  };
  // As Kubernetes: status is written through its own path, what a create says of it is dropped.
  if (target.version.statusSubresource) delete object.status;
  return object;
}

function ownersOf(
  context: RequestContext,
  target: Target,
  live: ConfigObject | undefined,
  next: ConfigObject,
  options: WriteOptions,
): ManagedFieldsEntry[] {
  return recordUpdate({
    live,
    next,
    schema: objectSchema(target.version),
    manager: options.fieldManager,
    apiVersion: apiVersionOf(target),
    subresource: options.subresource,
    time: timestamp(context),
    maxUpdateManagers: context.limits.updateManagers,
  });
}

/** What a writer makes of the live object. `managedFields`: given by server-side apply, else they are worked out. */
export interface Change {
  object: ConfigObject;
  managedFields?: ManagedFieldsEntry[];
}

/**
 * Reads, changes and writes one object; on a race with another writer it starts over with the newer object, unless the change
 * itself names a resourceVersion. `create`: what to do when there is none; absent means 404.
 */
export function updateObject(
  context: RequestContext,
  target: Target,
  namespace: string,
  name: string,
  options: WriteOptions,
  change: (live: ConfigObject) => Promise<Change>,
  create?: () => Promise<WriteResult>,
): Promise<WriteResult> {
  const ref = refOf(target.kind, namespace, name);
  return context.locks.run(`${ref.resource}/${ref.namespace}/${ref.name}`, async () => {
    for (let attempt = 1; attempt <= context.limits.writeAttempts; attempt++) {
      const stored = await context.store.get(ref);
      if (!stored) {
        if (create) return create();
        throw notFound(subjectOf(target.kind), name);
      }
      const live = readStored(context, stored, target);
      const { object, managedFields } = await change(live);
      const result = await writeChanged(context, target, stored, live, object, options, managedFields);
      if (result) return result;
      if (wantedRevision(object, live)) throw modifiedConflict(subjectOf(target.kind), name);
    }
    throw conflict(
      subjectOf(target.kind),
      name,
      'too many others write this object at the same time; try again',
    );
  });
}

/** True when the writer pinned the revision that it read. */
function wantedRevision(object: ConfigObject, live: ConfigObject): boolean {
  const wanted = object.metadata.resourceVersion;
  return wanted !== undefined && wanted !== '' && wanted !== live.metadata.resourceVersion;
}

async function writeChanged(
  context: RequestContext,
  target: Target,
  stored: StoredObject,
  live: ConfigObject,
  changed: ConfigObject,
  options: WriteOptions,
  managedFields: ManagedFieldsEntry[] | undefined,
): Promise<WriteResult | undefined> {
  checkMetadataTypes(changed.metadata, options.locate);
  checkIdentity(context, target, live, changed);
  const prepared = prepareUpdate(target, live, changed, options.subresource);
  const object = await admit(context, {
    ...options,
    target,
    operation: 'UPDATE',
    object: prepareAny(target.kind, prepared),
    old: live,
  });
  object.metadata.managedFields =
    managedFields ??
    ownersOf(
      context,
      target,
      live,
      { ...object, metadata: { ...object.metadata, ...givenOwners(changed) } },
      options,
    );
  if (object.metadata.managedFields.length === 0) delete object.metadata.managedFields;
  if (hasGeneration(target.kind, target.version)) {
    const before = live.metadata.generation ?? 0;
    object.metadata.generation = desiredStateChanged(target.version, live, object) ? before + 1 : before;
  }
  const next = toStored(context, object, target.kind);
  const unchanged = equalJson(
    withoutTimes(next),
    withoutTimes(toStored(context, stored.object, target.kind)),
  );
  if (unchanged) {
    if (live.metadata.managedFields) object.metadata.managedFields = live.metadata.managedFields;
    return { object: withRevision(versioned(object, target), stored.revision), created: false };
  }
  if (options.dryRun)
    return { object: withRevision(versioned(object, target), stored.revision), created: false };
  const { ref, revision: expect } = stored;
  const ends = isFinallyDeleted(object);
  const result = await context.store.commit([
    ends ? { type: 'delete', ref, expect } : { type: 'put', ref, object: next, expect },
  ]);
  if (!result.ok) return undefined;
  await context.settled(ref.resource, result.revision);
  return { object: withRevision(versioned(object, target), result.revision), created: false };
}

/** When owners wrote last says nothing by itself: applied lists that are owned whole come without the defaults that the live ones have. */
function withoutTimes(object: ConfigObject): ConfigObject {
  const { managedFields } = object.metadata;
  if (!managedFields) return object;
  const owners = managedFields.map(({ time: _, ...entry }) => entry);
  return { ...object, metadata: { ...object.metadata, managedFields: owners } };
}

function givenOwners(changed: ConfigObject): Pick<ConfigObject['metadata'], 'managedFields'> {
  const given = changed.metadata.managedFields;
  return given === undefined ? {} : { managedFields: given };
}

function checkIdentity(
  context: RequestContext,
  target: Target,
  live: ConfigObject,
  next: ConfigObject,
): void {
  const { metadata } = next;
  const subject = subjectOf(target.kind);
  if (metadata.name !== live.metadata.name) {
    throw badRequest(
      `the name of the object (${metadata.name ?? ''}) does not match the name on the URL (${live.metadata.name})`,
    );
  }
  if (metadata.namespace && metadata.namespace !== live.metadata.namespace) {
    throw badRequest(
      `the namespace of the object (${metadata.namespace}) does not match the namespace on the URL (${live.metadata.namespace ?? ''})`,
    );
  }
  if (metadata.uid && metadata.uid !== live.metadata.uid) {
    throw conflict(
      subject,
      metadata.name,
      `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${live.metadata.uid ?? ''}`,
    );
  }
  const wanted = metadata.resourceVersion;
  const unconditional = wanted === undefined || wanted === '' || wanted === '0';
  if (!unconditional && wanted !== live.metadata.resourceVersion)
    throw modifiedConflict(subject, metadata.name);
  if (unconditional && context.info.method === 'PUT' && !isBuiltinGroup(target.kind.group)) {
    const message = 'must be specified for an update';
    throw invalid(subject, metadata.name, [
      { path: 'metadata.resourceVersion', severity: 'error', code: 'FieldValueInvalid', message },
    ]);
  }
}

/** The object as this path may change it: what the API owns stays, and status and the rest keep to their own paths. */
function prepareUpdate(
  target: Target,
  live: ConfigObject,
  changed: ConfigObject,
  subresource: string,
): ConfigObject {
  if (subresource !== '') return prepareSubresource(target.kind, live, changed, subresource);
  const object: ConfigObject = { ...changed };
  // What was asked for is what is approved.
  if (isCertificateRequest(target.kind)) object.spec = live.spec;
  if (target.version.statusSubresource) {
    if (live.status === undefined) delete object.status;
    else object.status = live.status;
  }
  const kept: Partial<ConfigObject['metadata']> = {};
  for (const key of [
    'uid',
    'creationTimestamp',
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'namespace',
  ] as const) {
    if (live.metadata[key] !== undefined) Object.assign(kept, { [key]: live.metadata[key] });
  }
  const {
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    generation: _generation,
    ...rest
  } = changed.metadata;
  object.metadata = { ...rest, ...kept };
  delete object.metadata.resourceVersion;
  delete object.metadata.managedFields;
  return object;
}

/** A deleted object goes for good once nobody holds it any more. */
export function isFinallyDeleted(object: ConfigObject): boolean {
  if (!object.metadata.deletionTimestamp || (object.metadata.finalizers?.length ?? 0) > 0) return false;
  if (object.kind !== 'Namespace' || object.apiVersion !== 'v1') return true;
  const finalizers = (object.spec as { finalizers?: unknown[] } | undefined)?.finalizers;
  return !finalizers || finalizers.length === 0;
}
