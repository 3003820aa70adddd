import type { JsonObject } from '../../../kit/json.ts';
import type { Kind, KindVersion } from '../../kind.ts';
import { isBuiltinGroup } from '../context.ts';
import { subresourcesOf } from '../discovery/resources.ts';
import { deleteOptionsName, patchName, schemaName, statusName } from './names.ts';

/** One operation, before it is written as OpenAPI 2 or 3. */
export interface Operation {
  path: string;
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  id: string;
  action: string;
  group: string;
  version: string;
  kind: string;
  query: readonly string[];
  pathParameters: readonly string[];
  /** Schema name and media types of the body. */
  body: { schema: string; types: readonly string[] } | undefined;
  response: string;
}

const listQuery = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
];
const writeQuery = ['dryRun', 'fieldManager', 'fieldValidation'];
const deleteQuery = ['dryRun', 'gracePeriodSeconds', 'orphanDependents', 'propagationPolicy'];
const json = ['application/json', 'application/yaml'];

/** Every operation on a kind in one version. */
export function operationsOf(kind: Kind, version: KindVersion): Operation[] {
  const { group, plural, namespaced } = kind;
  const base = group === '' ? `/api/${version.name}` : `/apis/${group}/${version.name}`;
  const schema = schemaName(group, version.name, kind.kind);
  const scope = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`;
  const space = namespaced ? ['namespace'] : [];
  const title = `${capital(group.replaceAll('.', ' '))}${capital(version.name)}${namespaced ? 'Namespaced' : ''}${kind.kind}`;
  const common = { group, version: version.name, kind: kind.kind };
  const make = (
    path: string,
    method: Operation['method'],
    action: string,
    query: readonly string[],
    pathParameters: readonly string[],
    body: Operation['body'],
    response: string,
    suffix = '',
  ): Operation => ({
    ...common,
    path,
    method,
    id: `${verbId(action)}${title}${suffix}`,
    action,
    query,
    pathParameters,
    body,
    response,
  });
  const object = { schema, types: json };
  const patch = {
    schema: patchName,
    types: [
      'application/json-patch+json',
      'application/merge-patch+json',
      ...(isBuiltinGroup(group) ? ['application/strategic-merge-patch+json'] : []),
      'application/apply-patch+yaml',
    ],
  };
  const one = `${scope}/{name}`;
  const named = [...space, 'name'];
  const removal = { schema: deleteOptionsName, types: json };
  const operations = [
    make(scope, 'get', 'list', listQuery, space, undefined, `${schema}List`),
    make(scope, 'post', 'post', writeQuery, space, object, schema),
    make(
      scope,
      'delete',
      'deletecollection',
      [...listQuery, ...deleteQuery],
      space,
      removal,
      statusName,
      'Collection',
    ),
    make(one, 'get', 'get', ['resourceVersion'], named, undefined, schema),
    make(one, 'put', 'put', writeQuery, named, object, schema),
    make(one, 'patch', 'patch', [...writeQuery, 'force'], named, patch, schema),
    make(one, 'delete', 'delete', deleteQuery, named, removal, statusName),
  ];
  if (namespaced)
    operations.push(
      make(`${base}/${plural}`, 'get', 'list', listQuery, [], undefined, `${schema}List`, 'AllNamespaces'),
    );
  for (const sub of subresourcesOf(kind, version)) {
    if (sub.name === 'token') continue;
    const path = `${one}/${sub.name}`;
    const suffix = capital(sub.name);
    if (sub.verbs.includes('get'))
      operations.push(make(path, 'get', 'get', [], named, undefined, schema, suffix));
    operations.push(make(path, 'put', 'put', writeQuery, named, object, schema, suffix));
    if (sub.verbs.includes('patch'))
      operations.push(make(path, 'patch', 'patch', [...writeQuery, 'force'], named, patch, schema, suffix));
  }
  return operations;
}

const queryTypes: Record<string, JsonObject> = {
  limit: { type: 'integer' },
  timeoutSeconds: { type: 'integer' },
  gracePeriodSeconds: { type: 'integer' },
  watch: { type: 'boolean' },
  allowWatchBookmarks: { type: 'boolean' },
  sendInitialEvents: { type: 'boolean' },
  orphanDependents: { type: 'boolean' },
  force: { type: 'boolean' },
};

export function queryType(name: string): JsonObject {
  return queryTypes[name] ?? { type: 'string' };
}

function verbId(action: string): string {
  const verbs: Record<string, string> = {
    get: 'read',
    post: 'create',
    put: 'replace',
    deletecollection: 'delete',
  };
  return verbs[action] ?? action;
}

function capital(text: string): string {
  return text
    .split(' ')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
