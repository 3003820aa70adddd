import { equalJson, isObject } from '../../../kit/json.ts';
import type { Kind, KindVersion } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import { isBuiltinGroup } from '../context.ts';

/** Built-in kinds without a `spec` (ConfigMap, Role, …) carry no generation; everything else does. */
export function hasGeneration(kind: Kind, version: KindVersion): boolean {
  if (!isBuiltinGroup(kind.group)) return true;
  const properties = version.schema.properties;
  return isObject(properties) && 'spec' in properties && kind.kind !== 'Namespace' && kind.kind !== 'Lease';
}

/** True when something that describes the wanted state changed: anything but metadata and, where it is apart, status. */
export function desiredStateChanged(
  version: KindVersion,
  before: ConfigObject,
  after: ConfigObject,
): boolean {
  const relevant = (object: ConfigObject) => {
    const { metadata: _metadata, apiVersion: _apiVersion, kind: _kind, ...rest } = object;
    if (version.statusSubresource) delete (rest as { status?: unknown }).status;
    return rest;
  };
  return !equalJson(relevant(before), relevant(after));
}
