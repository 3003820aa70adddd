import { setImmediate } from 'node:timers/promises';
import { getAt } from '../../../kit/json.ts';
import { resourceName } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { type ListOptions, StoreError } from '../../store/store.ts';
import type { RequestContext, Target } from '../context.ts';
import { type FieldSelector, parseFieldSelector } from '../objects/field-selector.ts';
import { type LabelMatcher, parseLabelSelector } from '../objects/label-selector.ts';
import { readStored } from '../objects/stored.ts';
import { badRequest, expired } from '../status.ts';
import { awaitRevision, listRevision, type RevisionWish } from './read-revision.ts';

export interface Selection {
  namespace: string | undefined;
  labels: LabelMatcher | undefined;
  fields: FieldSelector | undefined;
}

/** What the query and the path select. `namespace` undefined: all. */
export function selectionOf(context: RequestContext, target: Target): Selection {
  const { query, resource } = context.info;
  const fields = parseFieldSelector(query.get('fieldSelector'), target.kind);
  const labels = parseLabelSelector(query.get('labelSelector'));
  const namespace = target.kind.namespaced && resource?.inNamespace ? resource.namespace : undefined;
  if (resource?.name) return { namespace, labels, fields: nameSelector(resource.name, fields) };
  return { namespace: namespace ?? (target.kind.namespaced ? fields?.namespace : undefined), labels, fields };
}

function nameSelector(name: string, fields: FieldSelector | undefined): FieldSelector {
  const matches = (object: ConfigObject) =>
    object.metadata.name === name && (fields?.matches(object) ?? true);
  return { ...fields, name, matches };
}

export function selects(selection: Selection, object: ConfigObject): boolean {
  if (selection.namespace !== undefined && object.metadata.namespace !== selection.namespace) return false;
  if (selection.labels && !selection.labels(object.metadata.labels)) return false;
  return selection.fields?.matches(object) ?? true;
}

export interface ListPage {
  items: ConfigObject[];
  revision: number;
  continue?: string;
  remaining?: number;
}

/** Where the next page starts: in the store's page that its own token opens, after `skip` of its items. */
interface PageToken {
  store?: string;
  revision?: number;
  skip: number;
  size: number;
}

/** One page of a list, filtered. Pages of filtered lists are full as long as there is something to fill them with. */
export async function readList(
  context: RequestContext,
  target: Target,
  selection: Selection,
): Promise<ListPage> {
  const { query } = context.info;
  const limit = parseLimit(query.get('limit'));
  const wish = listRevision(query);
  if (wish.type === 'atLeast') await awaitRevision(context, wish.revision);
  try {
    return await collect(context, target, selection, limit, wish, parseToken(query.get('continue')));
  } catch (error) {
    throw readError(error);
  }
}

export function readError(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  if (error.code === 'RevisionCompacted') {
    return expired(
      'The resourceVersion for the provided list is too old: it was compacted; list again without one',
    );
  }
  if (error.code === 'ContinueExpired') {
    return expired(
      'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
    );
  }
  return error;
}

async function collect(
  context: RequestContext,
  target: Target,
  selection: Selection,
  limit: number | undefined,
  wish: RevisionWish,
  token: PageToken | undefined,
): Promise<ListPage> {
  const filtered = selection.labels !== undefined || selection.fields !== undefined;
  const size =
    token?.size ??
    (limit !== undefined && !filtered ? limit : limit === undefined ? undefined : context.limits.pageSize);
  const base: ListOptions = { resource: resourceName(target.kind) };
  if (selection.namespace !== undefined) base.namespace = selection.namespace;
  if (size !== undefined) base.limit = size;
  const page: ListPage = { items: [], revision: 0 };
  let at: PageToken = token ?? { skip: 0, size: size ?? 0 };
  for (;;) {
    const options: ListOptions = { ...base };
    if (at.store !== undefined) options.continue = at.store;
    else if (at.revision !== undefined) options.revision = at.revision;
    else if (wish.type === 'exactly') options.revision = wish.revision;
    const result = await context.store.list(options);
    page.revision = result.revision;
    for (let i = at.skip; i < result.items.length; i++) {
      const stored = result.items[i];
      if (!stored) continue;
      if (limit !== undefined && page.items.length === limit) {
        const rest: PageToken = { ...at, skip: i, size: size ?? 0 };
        if (rest.store === undefined) rest.revision = result.revision;
        return { ...page, continue: printToken(rest) };
      }
      // A long list must not keep watchers and other requests waiting.
      if (i % context.limits.pageSize === context.limits.pageSize - 1) await setImmediate();
      const object = readStored(context, stored, target);
      if (selects(selection, object)) page.items.push(object);
    }
    if (result.continue === undefined) return page;
    at = { store: result.continue, skip: 0, size: size ?? 0 };
    if (limit !== undefined && page.items.length === limit) {
      const remaining = filtered || result.remaining === undefined ? {} : { remaining: result.remaining };
      return { ...page, continue: printToken(at), ...remaining };
    }
  }
}

function parseLimit(text: string | null): number | undefined {
  if (text === null || text === '' || text === '0') return undefined;
  if (!/^\d{1,9}$/.test(text)) throw badRequest(`limit: Invalid value: "${text}": must be a number`);
  return Number(text);
}

function printToken(token: PageToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function parseToken(text: string | null): PageToken | undefined {
  if (text === null || text === '') return undefined;
  try {
    const token: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    const skip = getAt(token, 'skip');
    const size = getAt(token, 'size');
    if (Number.isInteger(skip) && Number.isInteger(size) && Number(skip) >= 0 && Number(size) > 0)
      return token as PageToken;
  } catch {
    // Said below.
  }
  throw badRequest('continue key is not valid: send the continue token exactly as the previous page gave it');
}
