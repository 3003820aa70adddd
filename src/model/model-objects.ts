import type { ConfigObject } from '../config/object.ts';
import type { ObjectPositions } from '../config/source-map.ts';

/** An object of a model, and where it stands in files. */
export interface ModelObject {
  readonly object: ConfigObject;
  readonly positions?: ObjectPositions;
}

/** `group/Kind|namespace/name` of an object; those of cluster-wide kinds have no namespace. */
export type ObjectId = string;

/** Objects by id. */
export type ObjectMap = ReadonlyMap<ObjectId, ModelObject>;

const clusterWide: ReadonlySet<string> = new Set([
  '/Namespace',
  '/Node',
  '/PersistentVolume',
  'gateway.networking.k8s.io/GatewayClass',
  'networking.k8s.io/IngressClass',
  'apiextensions.k8s.io/CustomResourceDefinition',
  'rbac.authorization.k8s.io/ClusterRole',
  'rbac.authorization.k8s.io/ClusterRoleBinding',
]);

export function groupOf({ apiVersion }: Pick<ConfigObject, 'apiVersion'>): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

/** The object as it would be stored: one that names no namespace is in `default`, unless its kind has none. */
export function inNamespaceOf(object: ConfigObject, fallback = 'default'): ConfigObject {
  const namespace = clusterWide.has(`${groupOf(object)}/${object.kind}`)
    ? ''
    : object.metadata.namespace || fallback;
  if (namespace === (object.metadata.namespace ?? '')) return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}

/** `object` names its namespace. */
export function idOf(object: ConfigObject): ObjectId {
  return `${groupOf(object)}/${object.kind}|${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

export function splitId(id: ObjectId): { group: string; kind: string; key: string } {
  const bar = id.indexOf('|');
  const slash = id.lastIndexOf('/', bar);
  return { group: id.slice(0, slash), kind: id.slice(slash + 1, bar), key: id.slice(bar + 1) };
}

/** The objects of a kind, written `group/Kind`. */
export function* objectsOfKind<T extends ConfigObject>(objects: ObjectMap, kind: string): Generator<T> {
  const prefix = `${kind}|`;
  for (const [id, { object }] of objects) if (id.startsWith(prefix)) yield object as T;
}
