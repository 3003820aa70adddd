import { isObject, type JsonObject } from '../../../kit/json.ts';
import type { Kind, KindVersion } from '../../kind.ts';
import { metadataSchema } from '../../schema/metadata-schema.ts';
import {
  deleteOptionsName,
  listMetaName,
  objectMetaName,
  patchName,
  schemaName,
  statusName,
} from './names.ts';

export const metaGroup = 'x-kubernetes-group-version-kind';

const metaDescriptions: Record<string, string> = {
  name: 'Unique within the namespace; cannot be changed.',
  namespace: 'The space within which names are unique.',
  labels: 'Key and value pairs to select objects by.',
  annotations: 'Key and value pairs for tools; nothing selects by them.',
  finalizers: 'Who must act before the object goes once it is deleted.',
  ownerReferences: 'Objects with which this one is removed.',
  generation: 'Counts the changes of the wanted state.',
  resourceVersion: 'Changes with every write; send it back to make sure that nobody else wrote in between.',
};

/** Schemas that every document shares, with references written by `ref`. */
export function commonSchemas(): Record<string, JsonObject> {
  const properties = Object.fromEntries(
    Object.entries(metadataSchema.properties ?? {}).map(([name, schema]) => [
      name,
      metaDescriptions[name] === undefined ? schema : { description: metaDescriptions[name], ...schema },
    ]),
  );
  const text = { type: 'string' };
  return {
    [objectMetaName]: { description: 'What every object has.', type: 'object', properties },
    [listMetaName]: {
      description: 'What every list has.',
      type: 'object',
      properties: {
        continue: text,
        remainingItemCount: { type: 'integer', format: 'int64' },
        resourceVersion: text,
        selfLink: text,
      },
    },
    [statusName]: {
      description: 'The answer to a request that returns no object.',
      type: 'object',
      properties: {
        apiVersion: text,
        kind: text,
        code: { type: 'integer', format: 'int32' },
        message: text,
        reason: text,
        status: text,
        details: { type: 'object' },
        metadata: { type: 'object' },
      },
      [metaGroup]: [{ group: '', kind: 'Status', version: 'v1' }],
    },
    [deleteOptionsName]: {
      description: 'How an object is to be deleted.',
      type: 'object',
      properties: {
        apiVersion: text,
        kind: text,
        dryRun: { type: 'array', items: text },
        gracePeriodSeconds: { type: 'integer', format: 'int64' },
        orphanDependents: { type: 'boolean' },
        preconditions: { type: 'object', properties: { resourceVersion: text, uid: text } },
        propagationPolicy: text,
      },
      [metaGroup]: [{ group: '', kind: 'DeleteOptions', version: 'v1' }],
    },
    [patchName]: { description: 'A change to an object, in one of the patch formats.', type: 'object' },
  };
}

/** The schema of one kind and that of its list. `prefix`: `#/components/schemas/` or `#/definitions/`. */
export function kindSchemas(kind: Kind, version: KindVersion, prefix: string): Record<string, JsonObject> {
  const own = version.schema as JsonObject;
  const properties = isObject(own.properties) ? own.properties : {};
  const name = schemaName(kind.group, version.name, kind.kind);
  const gvk = (suffix: string) => [{ group: kind.group, kind: kind.kind + suffix, version: version.name }];
  const text = (description: string) => ({ description, type: 'string' });
  const apiVersion = text('The group and version that this form of the object is of.');
  return {
    [name]: {
      ...own,
      type: 'object',
      properties: {
        ...properties,
        apiVersion,
        kind: text('What sort of object this is.'),
        metadata: reference(prefix, objectMetaName),
      },
      [metaGroup]: gvk(''),
    },
    [`${name}List`]: {
      description: `A list of ${kind.kind} objects.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion,
        kind: text('What sort of object this is.'),
        metadata: reference(prefix, listMetaName),
        items: { type: 'array', items: reference(prefix, name) },
      },
      [metaGroup]: gvk('List'),
    },
  };
}

/** A reference that may carry siblings only inside `allOf`, as OpenAPI 3.0 wants it. */
export function reference(prefix: string, name: string): JsonObject {
  return { $ref: prefix + name };
}
