import type { ConfigObject } from '../../config/object.ts';
import { originId } from '../../config/origin.ts';
import type { ObjectPositions } from '../../config/source-map.ts';
import type { ApiClient } from '../api/api-client.ts';
import { localMeshOf } from '../apply/wait/local-mesh.ts';
import { appliedObjects } from './locate.ts';

/**
 * Where objects of a running mesh stand in the files that were applied from here. An object whose file says something else by now has no
 * place: its lines would be those of another object.
 */
export function appliedPositions(client: ApiClient): (object: ConfigObject) => ObjectPositions | undefined {
  const { access } = client;
  const index = appliedObjects({ paths: localMeshOf(access), server: access.server });
  return (object) => {
    const { kind, metadata } = object;
    const { namespace = '', name } = metadata;
    const found = index.get(originId({ kind, namespace, name, path: '' }));
    return found && isPartOf(found.object.spec, object.spec) ? found.positions : undefined;
  };
}

/** Whether everything that is written stands in what the server keeps, which may have defaults beside it. */
function isPartOf(written: unknown, kept: unknown): boolean {
  if (typeof written !== 'object' || written === null) return Object.is(written, kept);
  if (typeof kept !== 'object' || kept === null) return false;
  if (Array.isArray(written) && written.length !== (kept as readonly unknown[]).length) return false;
  return Object.entries(written).every(([key, value]) =>
    isPartOf(value, (kept as Readonly<Record<string, unknown>>)[key]),
  );
}
