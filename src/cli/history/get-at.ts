import type { ConfigObject } from '../../config/object.ts';
import type { ApiClient } from '../api/api-client.ts';
import type { ApiResource } from '../api/discovery.ts';
import { objectsAt } from './objects-at.ts';
import type { When } from './parse-when.ts';

export interface Wanted {
  readonly resource: Pick<ApiResource, 'group' | 'kind' | 'namespaced'>;
  readonly name?: string;
}

/** The objects that are asked for, as they were. `namespace` absent: of all. */
export async function getAt(
  client: ApiClient,
  when: When,
  wanted: readonly Wanted[],
  namespace: string | undefined,
): Promise<ConfigObject[]> {
  const { objects } = await objectsAt(client, when);
  return wanted.flatMap((one) => objects.filter((object) => isWanted(object, one, namespace)));
}

function isWanted(
  { apiVersion, kind, metadata }: ConfigObject,
  { resource, name }: Wanted,
  namespace: string | undefined,
): boolean {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return (
    kind === resource.kind &&
    group === resource.group &&
    (name === undefined || metadata.name === name) &&
    (!resource.namespaced || namespace === undefined || metadata.namespace === namespace)
  );
}
