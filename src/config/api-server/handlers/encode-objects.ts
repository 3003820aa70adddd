import { setImmediate } from 'node:timers/promises';
import type { ConfigObject } from '../../object.ts';
import { apiVersionOf, type RequestContext, type Target } from '../context.ts';
import type { Representation } from '../request/negotiate.ts';
import type { Answer } from '../request/respond.ts';
import { badRequest } from '../status.ts';
import { type IncludeObject, type ListMeta, toPartial, toTable } from '../table/table.ts';
import type { ListPage } from './read-list.ts';

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? '';
  if (value === '' || value === 'Metadata') return 'Metadata';
  if (value === 'None' || value === 'Object') return value;
  throw badRequest(`includeObject: "${value}": use None, Metadata or Object`);
}

/** One object in the form that the client asked for. */
export function objectAnswer(
  context: RequestContext,
  target: Target,
  object: ConfigObject,
  representation: Representation,
  code = 200,
): Answer {
  const { type, form, metaVersion } = representation;
  if (form === 'object') return { code, body: object, type };
  if (form === 'partial') return { code, body: toPartial(object, metaVersion), type };
  if (form === 'table') {
    const metadata = tableMeta(object.metadata.resourceVersion);
    return { code, type, body: table(context, target, [object], metadata, representation, true) };
  }
  throw badRequest('a single object cannot be shown as PartialObjectMetadataList');
}

function tableMeta(resourceVersion: string | undefined): ListMeta {
  return resourceVersion === undefined ? {} : { resourceVersion };
}

export function table(
  context: RequestContext,
  target: Target,
  objects: readonly ConfigObject[],
  metadata: ListMeta,
  representation: Representation,
  definitions: boolean,
): unknown {
  return toTable(target, objects, metadata, includeObjectOf(context.info.query), {
    now: context.clock.now(),
    definitions,
    metaVersion: representation.metaVersion,
  });
}

const encoded = new WeakMap<ConfigObject, string>();

/** An object's JSON; many watchers and lists send the same one, so it is encoded once. */
export function encodeObject(object: ConfigObject): string {
  let text = encoded.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    encoded.set(object, text);
  }
  return text;
}

export async function listAnswer(
  context: RequestContext,
  target: Target,
  page: ListPage,
  representation: Representation,
): Promise<Answer> {
  const { type, form, metaVersion } = representation;
  const metadata: ListMeta = {
    resourceVersion: String(page.revision),
    ...(page.continue === undefined ? {} : { continue: page.continue }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  };
  if (form === 'table') {
    return { code: 200, type, body: table(context, target, page.items, metadata, representation, true) };
  }
  if (form === 'object') {
    const head = { kind: `${target.kind.kind}List`, apiVersion: apiVersionOf(target), metadata };
    if (type === 'application/yaml') return { code: 200, type, body: { ...head, items: page.items } };
    const parts: string[] = [];
    for (const [i, object] of page.items.entries()) {
      if (i % context.limits.pageSize === context.limits.pageSize - 1) await setImmediate();
      parts.push(encodeObject(object));
    }
    const body = `${JSON.stringify(head).slice(0, -1)},"items":[${parts.join(',')}]}\n`;
    return { code: 200, type, body };
  }
  return {
    code: 200,
    type,
    body: {
      kind: 'PartialObjectMetadataList',
      apiVersion: `meta.k8s.io/${metaVersion}`,
      metadata,
      items: page.items.map((object) => toPartial(object, metaVersion)),
    },
  };
}
