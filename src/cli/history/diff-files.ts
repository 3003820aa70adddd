import type { ConfigObject } from '../../config/object.ts';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import type { ObjectPair } from '../../control-plane/history/history-entry.ts';
import { pooled } from '../../kit/pooled.ts';
import type { ApiClient } from '../api/api-client.ts';
import { discover, isNotFound, resourceOfObject } from '../api/discovery.ts';
import { type ApplyOptions, applyBody, placeOf } from '../apply/apply-objects.ts';
import { checkObjects } from '../apply/check-objects.ts';
import { readOrNone } from '../rollback/restore-objects.ts';

/** Dry runs on the way at a time. */
const inFlight = 16;

export interface FilesDifference {
  /** Lines for people; not empty: the server would refuse, and `pairs` is empty. */
  readonly problems: readonly string[];
  readonly pairs: readonly ObjectPair[];
}

/** What applying objects would make of those of the mesh, as the server says it: defaults and other managers' fields count. */
export async function diffFiles(
  client: ApiClient,
  objects: readonly ParsedObject[],
  options: ApplyOptions,
): Promise<FilesDifference> {
  const checked = await checkObjects(client, objects, options);
  if (checked.refused > 0) return { problems: checked.problems, pairs: [] };
  const resources = await discover(client);
  const pairs = await pooled(objects, inFlight, async (one): Promise<ObjectPair> => {
    const { object } = one;
    const resource = resourceOfObject(resources, object);
    // Its CustomResourceDefinition or namespace comes with the same files: nothing of it can be there yet.
    if (!resource) return pairOf(object, undefined, object);
    const { path, body } = placeOf(object, resource, options.namespace);
    const present = await readOrNone(client, path);
    const isNew = checked.verdicts.get(one)?.before === undefined;
    const after = await dryRun(client, path, body, options).catch((error: unknown) => {
      if (isNew && isNotFound(error)) return body;
      throw error;
    });
    return pairOf(body, present, after);
  });
  return { problems: [], pairs };
}

async function dryRun(
  client: ApiClient,
  path: string,
  body: ConfigObject,
  options: ApplyOptions,
): Promise<ConfigObject> {
  const { json } = await applyBody(client, path, body, { ...options, dryRun: true });
  return json as ConfigObject;
}

function pairOf(
  { apiVersion, kind, metadata }: ConfigObject,
  before: ConfigObject | undefined,
  after: ConfigObject,
): ObjectPair {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return withoutSecrets({
    kind: `${group}/${kind}`,
    key: `${metadata.namespace ?? ''}/${metadata.name}`,
    ...(before ? { before: comparable(before) } : {}),
    after: comparable(after),
  });
}

/** Of a Secret's values it is shown only which differ. */
function withoutSecrets(pair: ObjectPair): ObjectPair {
  if (pair.kind !== '/Secret') return pair;
  const [before, after] = [valuesOf(pair.before), valuesOf(pair.after)];
  const masked = (object: ConfigObject, own: Values, other: Values, side: string): ConfigObject => ({
    ...object,
    ...(Object.keys(own).length === 0
      ? {}
      : {
          data: Object.fromEntries(
            Object.entries(own).map(([name, value]) => [
              name,
              value === other[name] ? '***' : `*** (${side})`,
            ]),
          ),
        }),
  });
  return {
    ...pair,
    ...(pair.before ? { before: masked(pair.before, before, after, 'before') } : {}),
    ...(pair.after ? { after: masked(pair.after, after, before, 'after') } : {}),
  };
}

type Values = Readonly<Record<string, unknown>>;

const valuesOf = (secret: ConfigObject | undefined): Values => (secret?.data ?? {}) as Values;

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** Without what no file says, and without the values of Secrets: this is printed. */
function comparable({ status: _status, ...object }: ConfigObject): ConfigObject {
  const {
    managedFields: _owners,
    resourceVersion: _version,
    generation: _generation,
    annotations,
    ...metadata
  } = object.metadata;
  const notes = Object.entries(annotations ?? {}).filter(([name]) => name !== lastApplied);
  return {
    ...object,
    metadata: { ...metadata, ...(notes.length > 0 ? { annotations: Object.fromEntries(notes) } : {}) },
  };
}
