import type { SourceObject } from '../../analyze/analyzer.ts';
import type { ConfigObject } from '../../config/object.ts';
import { pooled } from '../../kit/pooled.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { discover, resourcePath } from '../api/discovery.ts';

/** Requests on the way at a time. */
const inFlight = 8;

/** The objects of some kinds (`Kind.group`) in every namespace. Kinds that the user may not read are named in `unread`. */
export async function readMesh(
  client: ApiClient,
  kinds: ReadonlySet<string>,
): Promise<{ readonly sources: readonly SourceObject[]; readonly unread: readonly string[] }> {
  const all = await discover(client);
  // A kind is served in several versions: one shows every object.
  const byKind = Map.groupBy(all, ({ kind, group }) => (group === '' ? kind : `${kind}.${group}`));
  const wanted = [...byKind].flatMap(([kind, [resource]]) => (resource && kinds.has(kind) ? resource : []));
  const unread: string[] = [];
  const lists = await pooled(wanted, inFlight, async (resource): Promise<SourceObject[]> => {
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
    try {
      const list = await client.get<{ readonly items?: readonly ConfigObject[] }>(resourcePath(resource));
      return (list.items ?? []).map((item) => ({ object: { ...item, apiVersion, kind: resource.kind } }));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 403) throw error;
      unread.push(resource.plural);
      return [];
    }
  });
  return { sources: lists.flat(), unread };
}
