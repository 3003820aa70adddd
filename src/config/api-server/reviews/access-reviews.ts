import { getAt, isObject, type JsonObject } from '../../../kit/json.ts';
import { type AccessAttributes, allAuthenticated, type PolicyRule, type User } from '../../access/user.ts';
import type { RequestContext } from '../context.ts';
import { badRequest } from '../status.ts';
import type { VirtualResource } from './virtual-resource.ts';

const authorization = { group: 'authorization.k8s.io', version: 'v1' };
const authentication = { group: 'authentication.k8s.io', version: 'v1' };

/** The questions that Kubernetes clients ask about access, such as `kubectl auth can-i` and `kubectl auth whoami`. */
export const accessReviews: readonly VirtualResource[] = [
  {
    ...authorization,
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
    answer: (context, body) => accessReview(context, context.user, body),
  },
  {
    ...authorization,
    plural: 'subjectaccessreviews',
    kind: 'SubjectAccessReview',
    namespaced: false,
    answer: (context, body) => accessReview(context, subjectOf(body), body),
  },
  {
    ...authorization,
    plural: 'localsubjectaccessreviews',
    kind: 'LocalSubjectAccessReview',
    namespaced: true,
    answer: (context, body) => {
      const asked = getAt(body, 'spec', 'resourceAttributes', 'namespace');
      if (asked !== context.info.resource?.namespace) {
        throw badRequest('spec.resourceAttributes.namespace: must be the namespace of the review');
      }
      return accessReview(context, subjectOf(body), body);
    },
  },
  {
    ...authorization,
    plural: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
    namespaced: false,
    answer: rulesReview,
  },
  { ...authentication, plural: 'tokenreviews', kind: 'TokenReview', namespaced: false, answer: tokenReview },
  {
    ...authentication,
    plural: 'selfsubjectreviews',
    kind: 'SelfSubjectReview',
    namespaced: false,
    answer: async (context) => ({ status: { userInfo: userInfo(context.user) } }),
  },
];

async function accessReview(context: RequestContext, user: User, body: JsonObject): Promise<JsonObject> {
  const { allowed, reason } = await context.authorizer.authorize(user, attributesOf(body));
  return { status: { allowed, ...(reason === '' ? {} : { reason }) } };
}

function attributesOf(body: JsonObject): AccessAttributes {
  const asked = getAt(body, 'spec', 'resourceAttributes');
  const path = getAt(body, 'spec', 'nonResourceAttributes');
  if (isObject(asked) === isObject(path)) {
    throw badRequest('spec: give either resourceAttributes or nonResourceAttributes');
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  if (isObject(path)) return { verb: text(path.verb), path: text(path.path) };
  const { verb, group, version, resource, subresource, namespace, name } = isObject(asked) ? asked : {};
  return {
    verb: text(verb),
    resource: {
      group: text(group),
      version: text(version),
      resource: text(resource),
      subresource: text(subresource),
      namespace: text(namespace),
      name: text(name),
    },
  };
}

function subjectOf(body: JsonObject): User {
  const { user, groups, uid } = isObject(body.spec) ? body.spec : {};
  if (typeof user !== 'string' && !Array.isArray(groups)) throw badRequest('spec: give user or groups');
  return {
    name: typeof user === 'string' ? user : '',
    groups: Array.isArray(groups) ? groups.filter((one) => typeof one === 'string') : [],
    ...(typeof uid === 'string' ? { uid } : {}),
  };
}

async function rulesReview(context: RequestContext, body: JsonObject): Promise<JsonObject> {
  const namespace = getAt(body, 'spec', 'namespace');
  if (typeof namespace !== 'string' || namespace === '') throw badRequest('spec.namespace: is required');
  const rules = await context.authorizer.rulesFor(context.user, namespace);
  const isPath = (rule: PolicyRule) => (rule.nonResourceURLs?.length ?? 0) > 0;
  return {
    status: {
      resourceRules: rules
        .filter((rule) => !isPath(rule))
        .map(({ verbs, apiGroups, resources, resourceNames }) => ({
          verbs,
          apiGroups,
          resources,
          ...(resourceNames ? { resourceNames } : {}),
        })),
      nonResourceRules: rules
        .filter(isPath)
        .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: false,
    },
  };
}

async function tokenReview(context: RequestContext, body: JsonObject): Promise<JsonObject> {
  const token = getAt(body, 'spec', 'token');
  if (typeof token !== 'string' || token === '') throw badRequest('spec.token: is required');
  const asked = getAt(body, 'spec', 'audiences');
  const audiences = Array.isArray(asked) && asked.length > 0 ? asked.map(String) : undefined;
  const verdict = await context.tokens.verify(token, audiences);
  if ('error' in verdict) return { status: { authenticated: false, error: verdict.error, user: {} } };
  const user = { ...verdict.user, groups: [...verdict.user.groups, allAuthenticated] };
  return { status: { authenticated: true, user: userInfo(user), audiences: verdict.audiences } };
}

function userInfo(user: User): JsonObject {
  return {
    username: user.name,
    groups: user.groups,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}
