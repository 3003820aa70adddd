import type { ConfigObject } from '../../object.ts';
import { isCertificateRequest } from '../certificate-requests.ts';
import { apiVersionOf, type RequestContext, subjectOf, type Target } from '../context.ts';
import { checkKindOf } from '../objects/admission.ts';
import { checkMetadataTypes } from '../objects/metadata.ts';
import { readStored, refOf } from '../objects/stored.ts';
import { parseObjectBody } from '../request/body.ts';
import { negotiate, type Representation } from '../request/negotiate.ts';
import type { Answer } from '../request/respond.ts';
import { requestToken } from '../reviews/token-request.ts';
import { badRequest, methodNotAllowed, notFound, unknownPath } from '../status.ts';
import { type Deleted, deletedAnswer, deleteObject, deleteOptions } from './delete-object.ts';
import { listAnswer, objectAnswer } from './encode-objects.ts';
import { patchObject } from './patch-object.ts';
import { readList, selectionOf } from './read-list.ts';
import { awaitRevision, parseRevision } from './read-revision.ts';
import { createObject, updateObject } from './write-object.ts';
import { type WriteOptions, writeOptions } from './write-options.ts';

/** Answers every request on a stored kind but watches. */
export async function handleResource(context: RequestContext, target: Target): Promise<Answer> {
  const { resource, verb } = context.info;
  if (!resource) throw unknownPath();
  checkScope(context, target);
  const representation = negotiate(headerText(context.headers.accept));
  if (resource.subresource !== '') return handleSubresource(context, target, representation);
  switch (verb) {
    case 'get':
      return objectAnswer(context, target, await readObject(context, target), representation);
    case 'list':
      return listAnswer(
        context,
        target,
        await readList(context, target, selectionOf(context, target)),
        representation,
      );
    case 'create':
      return create(context, target, representation);
    case 'update':
      return update(context, target, representation);
    case 'patch':
      return patch(context, target, representation);
    case 'delete':
      return remove(context, target);
    case 'deletecollection':
      return removeAll(context, target, representation);
    default:
      throw methodNotAllowed(subjectOf(target.kind), verb);
  }
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

/** Namespaced kinds are read across namespaces, but single objects and writes live below their namespace. */
function checkScope(context: RequestContext, target: Target): void {
  const { resource, verb } = context.info;
  if (!resource) return;
  if (!target.kind.namespaced && resource.inNamespace) throw unknownPath();
  if (target.kind.namespaced && !resource.inNamespace) {
    if (resource.name !== '') throw unknownPath();
    if (verb !== 'list' && verb !== 'watch') throw methodNotAllowed(subjectOf(target.kind), verb);
  }
  if (resource.name !== '' && verb === 'create' && resource.subresource === '')
    throw methodNotAllowed(subjectOf(target.kind), verb);
  if (resource.name === '' && (verb === 'update' || verb === 'patch'))
    throw methodNotAllowed(subjectOf(target.kind), verb);
}

async function handleSubresource(
  context: RequestContext,
  target: Target,
  representation: Representation,
): Promise<Answer> {
  const { resource, verb } = context.info;
  const { kind, version } = target;
  const subresource = resource?.subresource ?? '';
  const isNamespace = kind.group === '' && kind.kind === 'Namespace';
  if (subresource === 'token' && kind.group === '' && kind.kind === 'ServiceAccount') {
    if (verb !== 'create') throw methodNotAllowed(subjectOf(kind), verb);
    return { code: 201, body: await requestToken(context) };
  }
  const known =
    (subresource === 'status' && (version.statusSubresource || isNamespace)) ||
    (subresource === 'approval' && isCertificateRequest(kind)) ||
    (subresource === 'finalize' && isNamespace);
  if (!known) throw unknownPath();
  if (verb === 'get') return objectAnswer(context, target, await readObject(context, target), representation);
  if (verb === 'update') return update(context, target, representation);
  if (verb === 'patch' && subresource !== 'finalize') return patch(context, target, representation);
  throw methodNotAllowed(subjectOf(kind), verb);
}

async function readObject(context: RequestContext, target: Target): Promise<ConfigObject> {
  const { namespace = '', name = '' } = context.info.resource ?? {};
  const wanted = context.info.query.get('resourceVersion') ?? '';
  if (wanted !== '' && wanted !== '0') await awaitRevision(context, parseRevision(wanted));
  const stored = await context.store.get(refOf(target.kind, namespace, name));
  if (!stored) throw notFound(subjectOf(target.kind), name);
  return readStored(context, stored, target);
}

async function readBodyObject(
  context: RequestContext,
  target: Target,
): Promise<{ object: ConfigObject; options: WriteOptions }> {
  const type = headerText(context.headers['content-type']);
  const body = await parseObjectBody(await context.readBody(), type, context.limits);
  const object = checkKindOf(body.value, target, apiVersionOf(target));
  checkMetadataTypes(object.metadata, body.locate);
  return { object, options: { ...writeOptions(context), duplicates: body.duplicates, locate: body.locate } };
}

async function create(
  context: RequestContext,
  target: Target,
  representation: Representation,
): Promise<Answer> {
  const { object, options } = await readBodyObject(context, target);
  const { namespace = '' } = context.info.resource ?? {};
  const result = await createObject(
    context,
    target,
    target.kind.namespaced ? namespace : '',
    object,
    options,
  );
  return objectAnswer(context, target, result.object, representation, 201);
}

async function update(
  context: RequestContext,
  target: Target,
  representation: Representation,
): Promise<Answer> {
  const { object, options } = await readBodyObject(context, target);
  const { namespace = '', name = '' } = context.info.resource ?? {};
  if (object.metadata.name === undefined) throw badRequest('metadata.name: is required');
  const result = await updateObject(context, target, namespace, name, options, async () => ({ object }));
  return objectAnswer(context, target, result.object, representation);
}

async function patch(
  context: RequestContext,
  target: Target,
  representation: Representation,
): Promise<Answer> {
  const result = await patchObject(context, target);
  return objectAnswer(context, target, result.object, representation, result.created ? 201 : 200);
}

async function remove(context: RequestContext, target: Target): Promise<Answer> {
  const { namespace = '', name = '' } = context.info.resource ?? {};
  const options = await deleteOptions(context);
  return deletedAnswer(target, await deleteObject(context, target, namespace, name, options));
}

async function removeAll(
  context: RequestContext,
  target: Target,
  representation: Representation,
): Promise<Answer> {
  if (target.kind.namespaced && !context.info.resource?.inNamespace)
    throw methodNotAllowed(subjectOf(target.kind), 'deletecollection');
  if (target.kind.group === '' && target.kind.kind === 'Namespace')
    throw methodNotAllowed(subjectOf(target.kind), 'deletecollection');
  const options = await deleteOptions(context);
  const page = await readList(context, target, selectionOf(context, target));
  const deleted: Deleted[] = [];
  for (const { metadata } of page.items) {
    try {
      deleted.push(await deleteObject(context, target, metadata.namespace ?? '', metadata.name, options));
    } catch (error) {
      // Someone else was faster: gone is what was wanted.
      if ((error as { code?: string }).code !== 'NotFound') throw error;
    }
  }
  return listAnswer(context, target, { ...page, items: deleted.map((one) => one.object) }, representation);
}
