import type { ConfigObject } from '../../config/object.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { deepEqual } from '../../kit/deep-equal.ts';
import { pooled } from '../../kit/pooled.ts';
import { type ApiClient, ApiError } from '../api/api-client.ts';
import { isNotFound } from '../api/discovery.ts';
import { rollbackManager } from '../apply/apply-objects.ts';

/** An object that is to be as it was. */
export interface Restore {
  /** `virtualservice.networking.istio.io/reviews`. */
  readonly name: string;
  /** Of the object in the API. */
  readonly path: string;
  /** Undefined: it was not there. */
  readonly wanted: ConfigObject | undefined;
  /** What it should be now: where it is something else, somebody changed it meanwhile and it is left alone. */
  readonly expected: ConfigObject | undefined;
}

export interface Restored {
  readonly name: string;
  readonly outcome: 'restored' | 'created' | 'deleted' | 'unchanged' | 'left';
  /** Of `left`. */
  readonly why?: string;
  /** resourceVersion of the write; 0 where nothing was written. */
  readonly revision: number;
}

/** Writes on the way at a time. */
const inFlight = 16;

/**
 * Brings objects back to what they were: first what was there before, then away with what was not, so that nothing in force names what
 * is gone. Writes through the API as any client does, so that its checks and rights hold.
 */
export async function restoreObjects(client: ApiClient, items: readonly Restore[]): Promise<Restored[]> {
  const kept = items.filter(({ wanted }) => wanted !== undefined);
  const gone = items.filter(({ wanted }) => wanted === undefined).toReversed();
  const one = (item: Restore) => restoreOne(client, item);
  return [...(await pooled(kept, inFlight, one)), ...(await pooled(gone, inFlight, one))];
}

/** Writes of statuses come in between; a person's change is found when it is looked at again. */
const attempts = 5;

async function restoreOne(client: ApiClient, item: Restore): Promise<Restored> {
  for (let attempt = 1; ; attempt++)
    try {
      return { name: item.name, ...(await tryOnce(client, item)) };
    } catch (error) {
      const isRace = error instanceof ApiError && error.status === 409 && attempt < attempts;
      if (!isRace) return { name: item.name, outcome: 'left', revision: 0, why: messageOf(error) };
    }
}

async function tryOnce(
  client: ApiClient,
  { path, wanted, expected }: Restore,
): Promise<Omit<Restored, 'name'>> {
  const present = await readOrNone(client, path);
  const isThere = present === undefined ? wanted === undefined : wanted && sameContent(present, wanted);
  if (isThere) return { outcome: 'unchanged', revision: 0 };
  if (!present && expected)
    return {
      outcome: 'left',
      revision: 0,
      why: 'it is not in the API any more, or never was: it comes from a file',
    };
  if (present && !(expected && sameContent(present, expected)))
    return { outcome: 'left', revision: 0, why: `${lastWriter(present)} has changed it meanwhile` };
  return write(client, path, present, wanted);
}

async function write(
  client: ApiClient,
  path: string,
  present: ConfigObject | undefined,
  wanted: ConfigObject | undefined,
): Promise<Pick<Restored, 'outcome' | 'revision'>> {
  const manager = `fieldManager=${rollbackManager}`;
  if (!wanted) {
    const { uid, resourceVersion } = present?.metadata ?? {};
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
    const { json } = await client.request({ method: 'DELETE', path, body });
    return { outcome: 'deleted', revision: revisionOf(json) };
  }
  const {
    managedFields: _owners,
    generation: _generation,
    resourceVersion: _version,
    ...metadata
  } = wanted.metadata;
  if (!present) {
    const { uid: _uid, creationTimestamp: _created, ...fresh } = metadata;
    const collection = path.slice(0, path.lastIndexOf('/'));
    const { json } = await client.request({
      method: 'POST',
      path: `${collection}?${manager}`,
      body: { ...wanted, metadata: fresh },
    });
    return { outcome: 'created', revision: revisionOf(json) };
  }
  const { uid, resourceVersion } = present.metadata;
  const { json } = await client.request({
    method: 'PUT',
    path: `${path}?${manager}`,
    body: { ...wanted, metadata: { ...metadata, uid, resourceVersion } },
  });
  return { outcome: 'restored', revision: revisionOf(json) };
}

function revisionOf(json: unknown): number {
  return Number((json as Partial<ConfigObject> | undefined)?.metadata?.resourceVersion ?? 0) || 0;
}

export async function readOrNone(client: ApiClient, path: string): Promise<ConfigObject | undefined> {
  try {
    return await client.get<ConfigObject>(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** Whether people would call them the same: without what the server keeps, and what others than people say in the status. */
function sameContent(a: ConfigObject, b: ConfigObject): boolean {
  return deepEqual(content(a), content(b));
}

function content({ status: _status, metadata, ...rest }: ConfigObject): unknown {
  const { name, namespace, labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = metadata;
  const { [lastApplied]: _applied, ...notes } = annotations;
  return { ...rest, metadata: { name, namespace, labels, annotations: notes, finalizers, ownerReferences } };
}

function lastWriter({ metadata }: ConfigObject): string {
  const own = (metadata.managedFields ?? []).filter(({ subresource }) => !subresource);
  const [newest] = own.toSorted((a, b) => ((a.time ?? '') < (b.time ?? '') ? 1 : -1));
  return newest?.manager ?? 'somebody';
}
