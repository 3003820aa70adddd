import { hasKey, isObject, type JsonObject } from '../../../kit/json.ts';
import type { Issue, Kind } from '../../kind.ts';
import type { ConfigObject, ObjectMeta } from '../../object.ts';
import type { ApiLimits } from '../limits.ts';
import { badRequest } from '../status.ts';
import { isLabelValue, isQualifiedName } from './label-selector.ts';
import { nameProblem } from './names.ts';

/** Makes sure that the parts of metadata this server works with have their types. Throws 400 with the JSON path. */
export function checkMetadataTypes(metadata: unknown, locate?: (path: string) => string | undefined): void {
  const fail: (path: string, what: string) => never = (path, what) => {
    const place = locate?.(path);
    throw badRequest(`${path}: Invalid type: must be ${what}${place ? ` (${place})` : ''}`);
  };
  if (!isObject(metadata)) throw fail('metadata', 'an object');
  for (const name of ['name', 'generateName', 'namespace', 'uid', 'resourceVersion']) {
    if (metadata[name] !== undefined && metadata[name] !== null && typeof metadata[name] !== 'string') {
      fail(`metadata.${name}`, 'a string');
    }
  }
  for (const name of ['labels', 'annotations']) {
    const map = metadata[name];
    if (map === undefined || map === null) continue;
    if (!isObject(map)) throw fail(`metadata.${name}`, 'an object');
    for (const [key, value] of Object.entries(map)) {
      if (typeof value !== 'string')
        fail(`metadata.${name}[${key}]`, 'a string (put numbers and true/false in quotes)');
    }
  }
  for (const name of ['finalizers', 'ownerReferences', 'managedFields']) {
    const list = metadata[name];
    if (list === undefined || list === null) continue;
    if (!Array.isArray(list)) throw fail(`metadata.${name}`, 'a list');
    list.forEach((item, i) => {
      if (name === 'finalizers' ? typeof item !== 'string' : !isObject(item)) {
        fail(`metadata.${name}[${i}]`, name === 'finalizers' ? 'a string' : 'an object');
      }
    });
  }
}

/** Drops nulls and empty maps and lists, as Kubernetes' own types do when they are written. */
export function tidyMetadata(metadata: ObjectMeta): ObjectMeta {
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (value === null || value === undefined || key === 'selfLink') continue;
    if (Array.isArray(value) && value.length === 0) continue;
    if ((key === 'labels' || key === 'annotations') && isObject(value) && Object.keys(value).length === 0)
      continue;
    if ((key === 'generateName' || key === 'namespace') && value === '') continue;
    result[key] = value;
  }
  return result as unknown as ObjectMeta;
}

/** Rules on metadata that hold for every kind. */
export function validateMetadata(
  object: ConfigObject,
  kind: Kind,
  old: ConfigObject | undefined,
  limits: ApiLimits,
): Issue[] {
  const { metadata } = object;
  const issues: Issue[] = [];
  const add = (path: string, message: string, code = 'FieldValueInvalid') =>
    issues.push({ path: `metadata.${path}`, severity: 'error', code, message });
  if (!old) {
    const problem = nameProblem(kind, metadata.name);
    if (problem) add('name', problem);
  }
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (!isQualifiedName(key))
      add(
        'labels',
        `"${key}": a label key is [prefix/]name of letters, digits, '-', '_' and '.', at most 63 of them`,
      );
    if (!isLabelValue(value))
      add(
        'labels',
        `"${value}": a label value has at most 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit`,
      );
  }
  let size = 0;
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    if (!isQualifiedName(key.toLowerCase()))
      add('annotations', `"${key}": an annotation key is [prefix/]name of letters, digits, '-', '_' and '.'`);
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > limits.annotationBytes)
    add('annotations', `may have at most ${limits.annotationBytes} bytes`, 'FieldValueTooLong');
  for (const [i, finalizer] of (metadata.finalizers ?? []).entries()) {
    if (!isQualifiedName(finalizer)) add(`finalizers[${i}]`, `"${finalizer}": a finalizer is [prefix/]name`);
  }
  validateOwners(metadata, add);
  if (old?.metadata.deletionTimestamp) validateNoNewFinalizers(metadata, old.metadata, add);
  return issues;
}

type Add = (path: string, message: string, code?: string) => void;

function validateOwners(metadata: ObjectMeta, add: Add): void {
  let controllers = 0;
  for (const [i, owner] of (metadata.ownerReferences ?? []).entries()) {
    for (const name of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!hasKey(owner as unknown as JsonObject, name) || owner[name] === '') {
        add(`ownerReferences[${i}].${name}`, 'must not be empty', 'FieldValueRequired');
      }
    }
    if (owner.controller) controllers++;
  }
  if (controllers > 1) add('ownerReferences', 'only one reference can have controller set to true');
}

function validateNoNewFinalizers(metadata: ObjectMeta, old: ObjectMeta, add: Add): void {
  const before = new Set(old.finalizers ?? []);
  const added = (metadata.finalizers ?? []).filter((one) => !before.has(one));
  if (added.length > 0) {
    add(
      'finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
      'FieldValueForbidden',
    );
  }
}
