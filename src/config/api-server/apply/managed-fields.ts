import { isObject, type JsonObject } from '../../../kit/json.ts';
import type { ConfigObject, ManagedFieldsEntry } from '../../object.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { type Comparison, compareValues } from './compare.ts';
import { FieldSet } from './field-set.ts';

/** One owner of fields. Appliers are one owner whatever the version they apply in. */
export interface Manager {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource: string;
  time: string | undefined;
  fields: FieldSet;
}

export type Managers = Map<string, Manager>;

export function managerId(
  manager: Pick<Manager, 'manager' | 'operation' | 'apiVersion' | 'subresource'>,
): string {
  const version = manager.operation === 'Apply' ? '' : manager.apiVersion;
  return JSON.stringify([manager.operation, manager.manager, manager.subresource, version]);
}

/** Undefined when the entries are malformed. */
export function decodeManagers(entries: unknown): Managers | undefined {
  const managers: Managers = new Map();
  if (entries === undefined || entries === null) return managers;
  if (!Array.isArray(entries)) return undefined;
  for (const entry of entries as ManagedFieldsEntry[]) {
    if (!isObject(entry) || (entry.operation !== 'Apply' && entry.operation !== 'Update')) return undefined;
    const fields = FieldSet.fromFieldsV1(entry.fieldsV1 ?? {});
    if (!fields) return undefined;
    const manager: Manager = {
      manager: String(entry.manager ?? ''),
      operation: entry.operation,
      apiVersion: String(entry.apiVersion ?? ''),
      subresource: String(entry.subresource ?? ''),
      time: typeof entry.time === 'string' ? entry.time : undefined,
      fields,
    };
    managers.set(managerId(manager), manager);
  }
  return managers;
}

/** Sorted as Kubernetes does: appliers first, then by time and name. */
export function encodeManagers(managers: Managers): ManagedFieldsEntry[] {
  const sorted = [...managers.values()].filter((manager) => !manager.fields.empty);
  sorted.sort(
    (a, b) =>
      compareText(a.operation, b.operation) ||
      compareText(a.time ?? '', b.time ?? '') ||
      compareText(a.manager, b.manager) ||
      compareText(a.apiVersion, b.apiVersion) ||
      compareText(a.subresource, b.subresource),
  );
  return sorted.map((manager) => ({
    manager: manager.manager,
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    ...(manager.time === undefined ? {} : { time: manager.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: manager.fields.toFieldsV1(),
    ...(manager.subresource === '' ? {} : { subresource: manager.subresource }),
  }));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const unowned = new Set([
  'name',
  'namespace',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'selfLink',
  'uid',
  'clusterName',
  'generation',
  'managedFields',
  'resourceVersion',
]);

/** The object without what the API itself sets: nobody owns these fields. */
export function ownableFields(object: ConfigObject | JsonObject): JsonObject {
  const { apiVersion: _version, kind: _kind, metadata, ...rest } = object as JsonObject;
  if (!isObject(metadata)) return rest;
  const kept = Object.entries(metadata).filter(([name]) => !unowned.has(name));
  return kept.length === 0 ? rest : { metadata: Object.fromEntries(kept), ...rest };
}

const metadataMember = new FieldSet();
metadataMember.insert(['f:metadata']);

/** Taking fields away from everyone but `except`. Changes `managers`. */
export function releaseChanged(managers: Managers, comparison: Comparison, except?: string): void {
  const lost = comparison.added.union(comparison.modified).union(comparison.removed);
  for (const [id, manager] of managers) {
    const fields = id === except ? manager.fields : manager.fields.difference(lost);
    if (fields.empty) managers.delete(id);
    else managers.set(id, { ...manager, fields });
  }
}

export interface UpdateRecord {
  live: ConfigObject | undefined;
  next: ConfigObject;
  schema: SchemaNode;
  manager: string;
  apiVersion: string;
  subresource: string;
  /** RFC 3339. */
  time: string;
  /** `Update` entries kept; the oldest beyond are merged. */
  maxUpdateManagers: number;
}

/** managedFields after a create, replace or patch: the writer owns what it changed. */
export function recordUpdate(record: UpdateRecord): ManagedFieldsEntry[] {
  const managers = startingManagers(record);
  const comparison = compareValues(
    record.live ? ownableFields(record.live) : {},
    ownableFields(record.next),
    record.schema,
  );
  releaseChanged(managers, comparison);
  const took = comparison.added.union(comparison.modified).difference(metadataMember);
  if (!took.empty) {
    const entry: Manager = {
      manager: record.manager,
      operation: 'Update',
      apiVersion: record.apiVersion,
      subresource: record.subresource,
      time: record.time,
      fields: took,
    };
    const previous = managers.get(managerId(entry));
    if (previous) entry.fields = previous.fields.union(took);
    managers.set(managerId(entry), entry);
  }
  mergeOldUpdates(managers, record.maxUpdateManagers);
  return encodeManagers(managers);
}

/** A writer may set managedFields itself; what cannot be read, or is empty, leaves the live ones in force. */
function startingManagers(record: UpdateRecord): Managers {
  const live = decodeManagers(record.live?.metadata.managedFields) ?? new Map();
  if (record.subresource !== '') return live;
  const given = record.next.metadata.managedFields;
  if (isReset(given)) return new Map();
  const own = given === undefined ? undefined : decodeManagers(given);
  return own && own.size > 0 ? own : live;
}

/** `[{}]` is how one clears managedFields. */
function isReset(entries: unknown): boolean {
  return (
    Array.isArray(entries) &&
    entries.length === 1 &&
    isObject(entries[0]) &&
    Object.keys(entries[0]).length === 0
  );
}

/** Too many `Update` entries of the past become one, `ancient-changes`, as Kubernetes names it. */
export function mergeOldUpdates(managers: Managers, max: number): void {
  const updates = [...managers.entries()].filter(([, one]) => one.operation === 'Update');
  if (updates.length <= max) return;
  updates.sort(([, a], [, b]) => compareText(a.time ?? '', b.time ?? ''));
  const surplus = updates.slice(0, updates.length - max + 1);
  for (const [id, one] of surplus) {
    managers.delete(id);
    const ancient: Manager = { ...one, manager: 'ancient-changes', time: undefined };
    const ancientId = managerId(ancient);
    const before = managers.get(ancientId);
    const time = [before?.time, one.time]
      .filter((value) => value !== undefined)
      .sort()
      .at(-1);
    managers.set(ancientId, {
      ...ancient,
      time,
      fields: before ? before.fields.union(one.fields) : one.fields,
    });
  }
}
