import { isObject } from '../../kit/json.ts';
import type { User } from '../access/user.ts';
import type { ApiContext, RequestContext } from './context.ts';
import { handleResource } from './handlers/resource-handler.ts';
import type { createSystemPaths } from './handlers/system-paths.ts';
import { type ApiRequest, parseObjectBody, readBody } from './request/body.ts';
import type { RequestInfo } from './request/request-info.ts';
import type { Answer } from './request/respond.ts';
import type { VirtualResource } from './reviews/virtual-resource.ts';
import { badRequest, methodNotAllowed, unknownPath } from './status.ts';

export interface RoutedRequest {
  request: ApiRequest;
  info: RequestInfo;
  user: User;
}

/** The context of one request; its body is read when first asked for. */
export function requestContext(api: ApiContext, routed: RoutedRequest): RequestContext {
  const { request, info, user } = routed;
  let body: Promise<Buffer> | undefined;
  const agent =
    String(request.headers['user-agent'] ?? '')
      .split('/')[0]
      ?.slice(0, 128) ?? '';
  return {
    ...api,
    info,
    user,
    agent: agent === '' ? 'unknown' : agent,
    warnings: [],
    headers: request.headers,
    readBody: () => {
      body ??= readBody(request, api.limits);
      return body;
    },
  };
}

/** Finds who answers a request that is not a watch. */
export async function route(
  context: RequestContext,
  virtual: readonly VirtualResource[],
  system: ReturnType<typeof createSystemPaths>,
): Promise<Answer> {
  const { info, headers } = context;
  const text = (name: string) => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  };
  if (!info.resource) {
    if (info.method === 'POST') {
      const body = async () =>
        (await parseObjectBody(await context.readBody(), text('content-type'), context.limits)).value;
      return system.act(info.path, info.query, body);
    }
    if (info.method !== 'GET' && info.method !== 'HEAD') throw methodNotAllowed(undefined, info.verb);
    return system.answer({
      path: info.path,
      method: info.method,
      query: info.query,
      user: context.user,
      accept: text('accept'),
      ifNoneMatch: text('if-none-match'),
      host: text(':authority') ?? text('host') ?? 'localhost',
    });
  }
  const { group, version, resource } = info.resource;
  const review = virtual.find(
    (one) => one.group === group && one.version === version && one.plural === resource,
  );
  if (review) return answerReview(context, review);
  const target = context.kinds.byResource(group, version, resource);
  if (!target) throw unknownPath();
  return handleResource(context, target);
}

async function answerReview(context: RequestContext, review: VirtualResource): Promise<Answer> {
  const { resource, verb } = context.info;
  if (verb !== 'create' || resource?.name !== '' || resource.inNamespace !== review.namespaced) {
    throw methodNotAllowed({ group: review.group, resource: review.plural }, verb);
  }
  const type = context.headers['content-type'];
  const { value } = await parseObjectBody(
    await context.readBody(),
    type === undefined ? undefined : String(type),
    context.limits,
  );
  if (!isObject(value)) throw badRequest(`the body must be a ${review.kind}`);
  const apiVersion = `${review.group}/${review.version}`;
  if (value.kind !== undefined && value.kind !== review.kind)
    throw badRequest(
      `the kind in the data (${String(value.kind)}) does not match the expected kind (${review.kind})`,
    );
  if (value.apiVersion !== undefined && value.apiVersion !== apiVersion) {
    throw badRequest(
      `the API version in the data (${String(value.apiVersion)}) does not match the expected API version (${apiVersion})`,
    );
  }
  const answer = await review.answer(context, value);
  return {
    code: 201,
    body: { metadata: {}, ...value, apiVersion, kind: review.kind, ...answer },
  };
}
