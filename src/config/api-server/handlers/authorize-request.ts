import { authenticated } from '../../access/authenticator.ts';
import { type AccessAttributes, allServiceAccounts, type User } from '../../access/user.ts';
import type { Authorizer } from '../context.ts';
import type { RequestInfo } from '../request/request-info.ts';
import { ApiError, badRequest, forbidden } from '../status.ts';

export function attributesOf(info: RequestInfo): AccessAttributes {
  const { verb, path, resource } = info;
  if (!resource) return { verb, path };
  return {
    verb,
    resource: {
      group: resource.group,
      version: resource.version,
      resource: resource.resource,
      subresource: resource.subresource,
      namespace: resource.namespace,
      name: resource.name,
    },
  };
}

/** Throws 403 in Kubernetes' words when the user may not do what the request asks. */
export async function authorizeRequest(authorizer: Authorizer, user: User, info: RequestInfo): Promise<void> {
  const attributes = attributesOf(info);
  const { allowed } = await authorizer.authorize(user, attributes);
  if (!allowed) throw denial(user, attributes);
}

export function denial(user: User, attributes: AccessAttributes): ApiError {
  const { resource, verb } = attributes;
  if (!resource) {
    const message = `forbidden: User "${user.name}" cannot ${verb} path "${attributes.path ?? ''}"`;
    return new ApiError(403, 'Forbidden', message, {});
  }
  const what =
    resource.subresource === '' ? resource.resource : `${resource.resource}/${resource.subresource}`;
  const where =
    resource.namespace === '' ? 'at the cluster scope' : `in the namespace "${resource.namespace}"`;
  const why = `User "${user.name}" cannot ${verb} resource "${what}" in API group "${resource.group}" ${where}`;
  return forbidden({ group: resource.group, resource: resource.resource }, resource.name, why);
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The user that the caller acts as (`kubectl --as`), once it is clear that the caller may. */
export async function impersonated(authorizer: Authorizer, caller: User, headers: Headers): Promise<User> {
  const one = (name: string) => {
    const value = headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const name = one('impersonate-user');
  // Node joins repeated headers with a comma and a blank; group names hold no comma.
  const groupText = headers['impersonate-group'];
  const groups = (Array.isArray(groupText) ? groupText : (groupText ?? '').split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (name === undefined) {
    if (groups.length > 0) throw badRequest('Impersonate-Group needs Impersonate-User');
    return caller;
  }
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  const required: AccessAttributes[] = [
    account
      ? impersonation('serviceaccounts', account[2] ?? '', account[1] ?? '')
      : impersonation('users', name, ''),
    ...groups.map((group) => impersonation('groups', group, '')),
  ];
  for (const attributes of required) {
    const { allowed } = await authorizer.authorize(caller, attributes);
    if (!allowed) throw denial(caller, attributes);
  }
  const implied = account ? [allServiceAccounts, `${allServiceAccounts}:${account[1] ?? ''}`] : [];
  return authenticated({ name, groups: [...new Set([...implied, ...groups])] });
}

function impersonation(resource: string, name: string, namespace: string): AccessAttributes {
  return {
    verb: 'impersonate',
    resource: { group: '', version: 'v1', resource, subresource: '', namespace, name },
  };
}
