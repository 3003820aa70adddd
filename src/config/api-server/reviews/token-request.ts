import { getAt, isObject, type JsonObject } from '../../../kit/json.ts';
import type { RequestContext } from '../context.ts';
import { parseObjectBody } from '../request/body.ts';
import { ApiError, badRequest, conflict, notFound } from '../status.ts';

const serviceAccounts = { group: '', resource: 'serviceaccounts' };
const defaultSeconds = 3600;
const bindable: Record<string, string> = { Pod: 'pods', Secret: 'secrets' };

/** `POST …/serviceaccounts/NAME/token`: a bearer token of that account. */
export async function requestToken(context: RequestContext): Promise<JsonObject> {
  const { namespace, name } = context.info.resource ?? { namespace: '', name: '' };
  const type = context.headers['content-type'];
  const { value } = await parseObjectBody(
    await context.readBody(),
    type === undefined ? undefined : String(type),
    context.limits,
  );
  if (!isObject(value)) throw badRequest('the body must be a TokenRequest of authentication.k8s.io/v1');
  const account = await context.store.get({ resource: 'serviceaccounts', namespace, name });
  const uid = account?.object.metadata.uid;
  if (!account || uid === undefined) throw notFound(serviceAccounts, name);
  const spec = isObject(value.spec) ? value.spec : {};
  const audiences = Array.isArray(spec.audiences) ? spec.audiences.map(String) : [];
  const seconds = spec.expirationSeconds ?? defaultSeconds;
  if (typeof seconds !== 'number' || !Number.isInteger(seconds) || seconds < 600) {
    throw new ApiError(
      422,
      'Invalid',
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes',
    );
  }
  const boundTo = await boundObject(context, namespace, spec.boundObjectRef);
  const issued = await context.tokens.issue({
    namespace,
    name,
    uid,
    audiences,
    expirationSeconds: seconds,
    ...(boundTo ? { boundTo } : {}),
  });
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {
      name,
      namespace,
      creationTimestamp: new Date(context.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
    },
    spec: { ...spec, audiences: issued.audiences, expirationSeconds: seconds },
    status: {
      token: issued.token,
      expirationTimestamp: issued.expires.toISOString().replace(/\.\d+Z$/, 'Z'),
    },
  };
}

async function boundObject(
  context: RequestContext,
  namespace: string,
  reference: unknown,
): Promise<{ kind: string; name: string; uid: string } | undefined> {
  if (!isObject(reference)) return undefined;
  const kind = String(reference.kind ?? '');
  const name = String(reference.name ?? '');
  const resource = bindable[kind];
  if (resource === undefined)
    throw badRequest(`spec.boundObjectRef.kind: "${kind}": a token can be bound to a Pod or a Secret`);
  const stored = await context.store.get({ resource, namespace, name });
  const uid = getAt(stored?.object, 'metadata', 'uid');
  if (typeof uid !== 'string') throw notFound({ group: '', resource }, name);
  if (reference.uid !== undefined && reference.uid !== '' && reference.uid !== uid) {
    throw conflict(
      { group: '', resource },
      name,
      `the UID in the bound object reference (${String(reference.uid)}) does not match the UID in record`,
    );
  }
  return { kind, name, uid };
}
