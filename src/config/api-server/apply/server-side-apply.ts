import { isObject, type JsonObject, setKey } from '../../../kit/json.ts';
import type { ConfigObject, ManagedFieldsEntry } from '../../object.ts';
import type { SchemaNode } from '../../schema/schema-node.ts';
import { ApiError } from '../status.ts';
import { compareValues, isSame, toFieldSet } from './compare.ts';
import { FieldSet, printPath } from './field-set.ts';
import {
  decodeManagers,
  encodeManagers,
  type Manager,
  type Managers,
  managerId,
  mergeOldUpdates,
  ownableFields,
  releaseChanged,
} from './managed-fields.ts';
import { mergeApplied, removeItems, withNamedParents } from './merge.ts';

export interface ApplyRequest {
  live: ConfigObject | undefined;
  applied: ConfigObject;
  schema: SchemaNode;
  manager: string;
  apiVersion: string;
  subresource: string;
  force: boolean;
  time: string;
  maxUpdateManagers: number;
}

interface Conflict {
  holder: Manager;
  path: string[];
}

/**
 * Server-side apply (Kubernetes documentation, "Server-Side Apply"): the applier owns exactly the fields it sends. Fields
 * that it sent last time and not now go, unless someone else owns them. Changing what another owns is a conflict, 409,
 * unless forced. Throws that `ApiError`.
 */
export function applyObject(request: ApplyRequest): {
  object: ConfigObject;
  managedFields: ManagedFieldsEntry[];
} {
  const { live, schema, manager } = request;
  const managers = decodeManagers(live?.metadata.managedFields) ?? new Map();
  if (live && managers.size === 0) addBeforeFirstApply(managers, live, request);
  const applied = withoutNulls(ownableFields(request.applied)) as JsonObject;
  const liveFields = live ? ownableFields(live) : {};
  const set = toFieldSet(applied, schema);
  const own: Manager = {
    manager,
    operation: 'Apply',
    apiVersion: request.apiVersion,
    subresource: request.subresource,
    time: request.time,
    fields: set,
  };
  const id = managerId(own);
  const last = managers.get(id);
  managers.set(id, { ...own, time: last?.time });
  let next = mergeApplied(liveFields, applied, schema) as JsonObject;
  if (last) next = pruneDropped(next, last.fields, managers, schema);
  const comparison = compareValues(liveFields, next, schema);
  const conflicts = findConflicts(managers, id, comparison.added.union(comparison.modified));
  refuseConflicts(conflicts, request);
  releaseChanged(managers, comparison, id);
  const entry = managers.get(id);
  if (entry && (!isSame(comparison) || !last)) managers.set(id, { ...entry, time: request.time });
  mergeOldUpdates(managers, request.maxUpdateManagers);
  return { object: assemble(request, next), managedFields: encodeManagers(managers) };
}

/** Objects that nobody manages yet belong, as they are, to a manager of that name. */
function addBeforeFirstApply(managers: Managers, live: ConfigObject, request: ApplyRequest): void {
  const manager: Manager = {
    manager: 'before-first-apply',
    operation: 'Update',
    apiVersion: request.apiVersion,
    subresource: '',
    time: undefined,
    fields: toFieldSet(ownableFields(live), request.schema),
  };
  managers.set(managerId(manager), manager);
}

function assemble(request: ApplyRequest, fields: JsonObject): ConfigObject {
  const base = request.live ?? request.applied;
  const system: JsonObject = {};
  const owned = isObject(fields.metadata) ? fields.metadata : {};
  for (const [name, value] of Object.entries(base.metadata)) {
    if (
      !['labels', 'annotations', 'finalizers', 'ownerReferences', 'managedFields', 'generateName'].includes(
        name,
      )
    ) {
      system[name] = value;
    }
  }
  return {
    apiVersion: request.apiVersion,
    kind: base.kind,
    ...fields,
    metadata: { ...system, ...owned } as unknown as ConfigObject['metadata'],
  };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, item] of Object.entries(value)) if (item !== null) setKey(result, key, withoutNulls(item));
  return result;
}

/** Removes what the applier sent last time and not now, except what others own or nobody ever did. */
function pruneDropped(
  merged: JsonObject,
  last: FieldSet,
  managers: Managers,
  schema: SchemaNode,
): JsonObject {
  const lastNamed = withNamedParents(last, schema);
  const mergedSet = withNamedParents(toFieldSet(merged, schema), schema);
  const namedSet = (value: unknown) => withNamedParents(toFieldSet(value, schema), schema);
  let pruned = removeItems(merged, lastNamed, schema);
  let managed = new FieldSet();
  for (const manager of managers.values()) managed = managed.union(manager.fields);
  const owned = namedSet(pruned).union(withNamedParents(managed, schema));
  pruned = removeItems(merged, mergedSet.difference(owned), schema);
  return removeItems(
    merged,
    mergedSet.difference(namedSet(pruned)).intersection(lastNamed),
    schema,
  ) as JsonObject;
}

function findConflicts(managers: Managers, self: string, changed: FieldSet): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const [id, holder] of managers) {
    if (id === self) continue;
    for (const path of holder.fields.intersection(changed).paths()) conflicts.push({ holder, path });
  }
  return conflicts;
}

function refuseConflicts(conflicts: readonly Conflict[], request: ApplyRequest): void {
  if (request.force || conflicts.length === 0) return;
  const remaining =
    request.manager === 'kubectl'
      ? conflicts.filter((one) => !isFromClientSideApply(one, request))
      : conflicts;
  if (remaining.length > 0) throw conflictError(remaining);
}

const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** kubectl may take over from its own client-side apply without force: fields of the last-applied annotation. */
function isFromClientSideApply(conflict: Conflict, request: ApplyRequest): boolean {
  const text = request.live?.metadata.annotations?.[lastAppliedAnnotation];
  if (text === undefined) return false;
  try {
    const before = JSON.parse(text) as ConfigObject;
    if (!isObject(before) || before.apiVersion !== request.apiVersion) return false;
    const allowed = toFieldSet(ownableFields(before), request.schema);
    const wanted = new FieldSet();
    wanted.insert(conflict.path);
    return wanted.difference(allowed).empty;
  } catch {
    return false;
  }
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const causes = conflicts.map(({ holder, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${printHolder(holder)}`,
    field: printPath(path),
  }));
  const [first] = causes;
  if (causes.length === 1 && first) {
    return new ApiError(409, 'Conflict', `Apply failed with 1 conflict: ${first.message}: ${first.field}`, {
      causes,
    });
  }
  const byHolder = new Map<string, string[]>();
  for (const cause of causes) {
    byHolder.set(cause.message, [...(byHolder.get(cause.message) ?? []), `- ${cause.field}`]);
  }
  const lines = [...byHolder].flatMap(([message, fields]) => [
    `${message.replace(/^conflict /, 'conflicts ')}:`,
    ...fields,
  ]);
  return new ApiError(409, 'Conflict', `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`, {
    causes,
  });
}

function printHolder(holder: Manager): string {
  const subresource = holder.subresource === '' ? '' : ` with subresource "${holder.subresource}"`;
  const name = `${JSON.stringify(holder.manager)}${subresource}`;
  if (holder.operation === 'Apply') return name;
  return `${name} using ${holder.apiVersion}${holder.time === undefined ? '' : ` at ${holder.time}`}`;
}
