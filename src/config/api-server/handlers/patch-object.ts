import { isObject } from '../../../kit/json.ts';
import type { ConfigObject } from '../../object.ts';
import { applyObject } from '../apply/server-side-apply.ts';
import { apiVersionOf, isBuiltinGroup, type RequestContext, subjectOf, type Target } from '../context.ts';
import { checkKindOf } from '../objects/admission.ts';
import { checkMetadataTypes, tidyMetadata } from '../objects/metadata.ts';
import { objectSchema } from '../objects/schema-of.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicMerge } from '../patch/strategic-merge.ts';
import { decodeUtf8, mediaType, parseJsonBody, parseYamlOrJson } from '../request/body.ts';
import { booleanParam } from '../request/request-info.ts';
import type { ParsedBody } from '../request/yaml-body.ts';
import { ApiError, badRequest, notFound, unsupportedMediaType } from '../status.ts';
import { type Change, createObject, timestamp, updateObject, type WriteResult } from './write-object.ts';
import { type WriteOptions, writeOptions } from './write-options.ts';

export const jsonPatchType = 'application/json-patch+json';
export const mergePatchType = 'application/merge-patch+json';
export const strategicMergeType = 'application/strategic-merge-patch+json';
export const applyPatchType = 'application/apply-patch+yaml';

export function patchTypesOf(target: Target): string[] {
  const types = [jsonPatchType, mergePatchType, applyPatchType];
  return isBuiltinGroup(target.kind.group) ? [...types, strategicMergeType] : types;
}

export async function patchObject(context: RequestContext, target: Target): Promise<WriteResult> {
  const { namespace, name } = context.info.resource ?? { namespace: '', name: '' };
  const type = mediaType(String(context.headers['content-type'] ?? ''));
  if (!patchTypesOf(target).includes(type)) throw unsupportedMediaType(type, patchTypesOf(target));
  const force = context.info.query.has('force');
  if (type !== applyPatchType && force) {
    throw new ApiError(
      422,
      'Invalid',
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    );
  }
  const text = decodeUtf8(await context.readBody());
  if (type === applyPatchType)
    return apply(context, target, namespace, name, await parseYamlOrJson(text, context.limits));
  const body = parseJsonBody(text, context.limits);
  const options: WriteOptions = { ...writeOptions(context), duplicates: body.duplicates };
  return updateObject(context, target, namespace, name, options, async (live) =>
    change(live, patched(context, target, live, body.value, type), target),
  );
}

function patched(
  context: RequestContext,
  target: Target,
  live: ConfigObject,
  patch: unknown,
  type: string,
): unknown {
  if (type === jsonPatchType) return applyJsonPatch(live, patch, context.limits);
  if (!isObject(patch)) throw badRequest('a merge patch is a JSON object with the fields to change');
  if (type === mergePatchType) return applyMergePatch(live, patch);
  return applyStrategicMerge(live, patch, objectSchema(target.version), target.kind.kind);
}

function change(live: ConfigObject, result: unknown, target: Target): Change {
  const object = checkKindOf(result, target, apiVersionOf(target));
  if (!isObject(object.metadata)) throw badRequest('the patch must leave metadata an object');
  // A patch that does not speak of managedFields leaves them to the server.
  const metadata = { ...object.metadata };
  if (metadata.managedFields === live.metadata.managedFields) delete metadata.managedFields;
  return { object: { ...object, metadata } };
}

async function apply(
  context: RequestContext,
  target: Target,
  namespace: string,
  name: string,
  body: ParsedBody,
): Promise<WriteResult> {
  const { query } = context.info;
  const manager = query.get('fieldManager') ?? '';
  if (manager === '') {
    throw new ApiError(
      422,
      'Invalid',
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  }
  const options: WriteOptions = {
    ...writeOptions(context),
    duplicates: body.duplicates,
    locate: body.locate,
  };
  const applied = appliedObject(context, target, namespace, name, body);
  const run = (live: ConfigObject | undefined) =>
    applyObject({
      live,
      applied: withoutUnowned(applied, target, options.subresource),
      schema: objectSchema(target.version),
      manager,
      apiVersion: apiVersionOf(target),
      subresource: options.subresource,
      force: booleanParam(query, 'force'),
      time: timestamp(context),
      maxUpdateManagers: context.limits.updateManagers,
    });
  return updateObject(
    context,
    target,
    namespace,
    name,
    options,
    async (live) => {
      const wanted = applied.metadata.resourceVersion;
      const result = run(live);
      if (wanted !== undefined) result.object.metadata.resourceVersion = wanted;
      return result;
    },
    async () => {
      if (options.subresource !== '') throw notFound(subjectOf(target.kind), name);
      const result = run(undefined);
      return createObject(context, target, namespace, result.object, options, result.managedFields);
    },
  );
}

/** Status is nobody's on the main path where it has a path of its own. */
function withoutUnowned(applied: ConfigObject, target: Target, subresource: string): ConfigObject {
  if (subresource === 'status') {
    const { apiVersion, kind, metadata, status } = applied;
    const {
      labels: _labels,
      annotations: _annotations,
      finalizers: _finalizers,
      ownerReferences: _owners,
      ...rest
    } = metadata;
    return { apiVersion, kind, metadata: rest, ...(status === undefined ? {} : { status }) };
  }
  if (!target.version.statusSubresource) return applied;
  const { status: _status, ...rest } = applied;
  return rest as ConfigObject;
}

function appliedObject(
  context: RequestContext,
  target: Target,
  namespace: string,
  name: string,
  body: ParsedBody,
): ConfigObject {
  const object = checkKindOf(body.value, target, apiVersionOf(target));
  checkMetadataTypes(object.metadata, body.locate);
  if (object.metadata.managedFields && object.metadata.managedFields.length > 0) {
    throw badRequest('metadata.managedFields must be nil');
  }
  const metadata = tidyMetadata({ ...object.metadata, name: object.metadata.name ?? name });
  if (metadata.name !== name) {
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  if (target.kind.namespaced) {
    if (metadata.namespace !== undefined && metadata.namespace !== namespace) {
      throw badRequest(
        `the namespace of the object (${metadata.namespace}) does not match the namespace on the URL (${namespace})`,
      );
    }
    metadata.namespace = namespace;
  }
  void context;
  return { ...object, metadata };
}
