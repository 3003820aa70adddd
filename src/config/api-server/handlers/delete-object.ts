import { isObject } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';
import type { StoredObject } from '../../store/store.ts';
import { type RequestContext, subjectOf, type Target } from '../context.ts';
import { hasGeneration } from '../objects/generation.ts';
import { readStored, refOf, toStored, withRevision } from '../objects/stored.ts';
import { parseObjectBody } from '../request/body.ts';
import { ApiError, badRequest, conflict, forbidden, notFound, type Status, success } from '../status.ts';
import { isFinallyDeleted, timestamp } from './write-object.ts';
import { isDryRun } from './write-options.ts';

export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface DeleteOptions {
  dryRun: boolean;
  propagation: Propagation;
  uid: string | undefined;
  resourceVersion: string | undefined;
}

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

const protectedNamespaces = new Set(['default', 'kube-system', 'kube-public']);

/** DeleteOptions from the body and the query. */
export async function deleteOptions(context: RequestContext): Promise<DeleteOptions> {
  const { query } = context.info;
  const bytes = await context.readBody();
  const type = context.headers['content-type'];
  const parsed =
    bytes.length === 0
      ? {}
      : (await parseObjectBody(bytes, type === undefined ? undefined : String(type), context.limits)).value;
  if (!isObject(parsed)) throw badRequest('the body of a delete is a DeleteOptions object');
  const preconditions = isObject(parsed.preconditions) ? parsed.preconditions : {};
  const dryRun = Array.isArray(parsed.dryRun) ? parsed.dryRun : [];
  const orphan = parsed.orphanDependents === true || query.get('orphanDependents') === 'true';
  const wanted =
    parsed.propagationPolicy ?? query.get('propagationPolicy') ?? (orphan ? 'Orphan' : 'Background');
  if (wanted !== 'Background' && wanted !== 'Foreground' && wanted !== 'Orphan') {
    throw new ApiError(
      422,
      'Invalid',
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: ${JSON.stringify(wanted)}: supported values: "Background", "Foreground", "Orphan"`,
    );
  }
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);
  return {
    dryRun: isDryRun([...dryRun, ...query.getAll('dryRun')]),
    propagation: wanted,
    uid: text(preconditions.uid),
    resourceVersion: text(preconditions.resourceVersion),
  };
}

export interface Deleted {
  object: ConfigObject;
  /** False: it waits for its finalizers. */
  gone: boolean;
}

/** Deletes one object, or marks it deleted where finalizers hold it. */
export function deleteObject(
  context: RequestContext,
  target: Target,
  namespace: string,
  name: string,
  options: DeleteOptions,
): Promise<Deleted> {
  const { kind } = target;
  const ref = refOf(kind, namespace, name);
  if (kind.group === '' && kind.kind === 'Namespace' && protectedNamespaces.has(name)) {
    throw forbidden(subjectOf(kind), name, 'this namespace may not be deleted');
  }
  return context.locks.run(`${ref.resource}/${ref.namespace}/${ref.name}`, async () => {
    for (let attempt = 1; attempt <= context.limits.writeAttempts; attempt++) {
      const stored = await context.store.get(ref);
      if (!stored) throw notFound(subjectOf(kind), name);
      checkPreconditions(target, stored, options);
      await runHooks(context, target, stored, options);
      const marked = markDeleted(context, target, stored.object, options.propagation);
      const gone = isFinallyDeleted(marked);
      if (options.dryRun) return { object: readStored(context, { ...stored, object: marked }, target), gone };
      if (!gone && marked === stored.object) return { object: readStored(context, stored, target), gone };
      const result = await context.store.commit([
        gone
          ? { type: 'delete', ref, expect: stored.revision }
          : { type: 'put', ref, object: toStored(context, marked, kind), expect: stored.revision },
      ]);
      if (!result.ok) continue;
      await context.settled(ref.resource, result.revision);
      const object = withRevision(marked, result.revision);
      return { object: readStored(context, { ...stored, object }, target), gone };
    }
    throw conflict(subjectOf(kind), name, 'too many others write this object at the same time; try again');
  });
}

function checkPreconditions(target: Target, stored: StoredObject, options: DeleteOptions): void {
  const { metadata } = stored.object;
  const subject = subjectOf(target.kind);
  if (options.uid !== undefined && options.uid !== metadata.uid) {
    throw conflict(
      subject,
      metadata.name,
      `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${metadata.uid ?? ''}`,
    );
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== String(stored.revision)) {
    throw conflict(
      subject,
      metadata.name,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${stored.revision}`,
    );
  }
}

async function runHooks(
  context: RequestContext,
  target: Target,
  stored: StoredObject,
  options: DeleteOptions,
): Promise<void> {
  for (const hook of context.hooks) {
    const issues = await hook.validate?.({
      ...target,
      operation: 'DELETE',
      subresource: '',
      namespace: stored.ref.namespace,
      name: stored.ref.name,
      user: context.user,
      agent: context.agent,
      object: undefined,
      old: stored.object,
      dryRun: options.dryRun,
      warn: (message) => context.warnings.push(message),
    });
    const error = issues?.find((issue) => issue.severity === 'error');
    if (error) throw forbidden(subjectOf(target.kind), stored.ref.name, error.message);
  }
}

/** The object as it stands once its deletion was asked for. The same object where that changes nothing. */
function markDeleted(
  context: RequestContext,
  target: Target,
  object: ConfigObject,
  propagation: Propagation,
): ConfigObject {
  const { metadata } = object;
  const finalizers = new Set(metadata.finalizers ?? []);
  if (propagation === 'Foreground') finalizers.add(foregroundFinalizer);
  else finalizers.delete(foregroundFinalizer);
  if (propagation === 'Orphan') finalizers.add(orphanFinalizer);
  else finalizers.delete(orphanFinalizer);
  const sameFinalizers =
    finalizers.size === (metadata.finalizers?.length ?? 0) &&
    metadata.finalizers?.every((one) => finalizers.has(one)) !== false;
  if (metadata.deletionTimestamp && sameFinalizers) return object;
  const next: ConfigObject = { ...object, metadata: { ...metadata } };
  if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
  else delete next.metadata.finalizers;
  if (!metadata.deletionTimestamp) {
    next.metadata.deletionTimestamp = timestamp(context);
    next.metadata.deletionGracePeriodSeconds = 0;
    if (hasGeneration(target.kind, target.version)) next.metadata.generation = (metadata.generation ?? 0) + 1;
  }
  if (target.kind.group === '' && target.kind.kind === 'Namespace')
    next.status = { ...(isObject(next.status) ? next.status : {}), phase: 'Terminating' };
  return next;
}

/** Kubernetes answers a finished delete with a Status, an unfinished one with the object. */
export function deletedAnswer(
  target: Target,
  deleted: Deleted,
): { code: number; body: ConfigObject | Status } {
  if (!deleted.gone) return { code: 200, body: deleted.object };
  const { uid, name } = deleted.object.metadata;
  const { group, plural } = target.kind;
  return {
    code: 200,
    body: success({
      name,
      ...(group === '' ? {} : { group }),
      kind: plural,
      ...(uid === undefined ? {} : { uid }),
    }),
  };
}
