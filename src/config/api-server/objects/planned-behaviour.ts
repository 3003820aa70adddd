import { cloneJson, equalJson, getAt, isObject, type JsonObject } from '../../../kit/json.ts';
import type { ConfigObject, StatusCondition } from '../../object.ts';
import type { Target } from '../context.ts';

const controllerName = 'ostria.io/mesh';
/** Where a kind's schema has no place for a condition. */
const behaviourAnnotation = 'ostria.io/behaviour';

/**
 * An object whose kind the mesh does not act on yet says so in its status, wherever its schema has room for a condition
 * (`status.conditions`, Gateway API's `status.parents` and `status.ancestors`), else in an annotation. Kinds that are built,
 * or only ever stored, are left alone.
 */
export function markPlannedBehaviour(
  object: ConfigObject,
  target: Target,
  now: Date,
  warn: (message: string) => void,
): ConfigObject {
  if (target.kind.behaviour !== 'planned') return object;
  const message = `${target.kind.kind} is stored, but this version of Ostria does not act on it yet`;
  warn(message);
  const condition: StatusCondition = {
    type: 'Accepted',
    status: 'False',
    reason: 'NotImplemented',
    message,
    lastTransitionTime: now.toISOString().replace(/\.\d+Z$/, 'Z'),
    ...(object.metadata.generation === undefined ? {} : { observedGeneration: object.metadata.generation }),
  };
  const schema = getAt(target.version.schema, 'properties', 'status');
  const status = isObject(object.status) ? cloneJson(object.status) : {};
  if (setCondition(status, schema, object, condition)) return { ...object, status };
  const annotations = { ...object.metadata.annotations, [behaviourAnnotation]: 'NotImplemented' };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function setCondition(
  status: JsonObject,
  schema: unknown,
  object: ConfigObject,
  condition: StatusCondition,
): boolean {
  if (getAt(schema, 'properties', 'conditions') !== undefined || keepsUnknown(schema)) {
    // Istio's conditions know no observedGeneration of their own.
    const known = getAt(schema, 'properties', 'conditions', 'items', 'properties');
    status.conditions = upsert(status.conditions, fitCondition(condition, known));
    return true;
  }
  const parents = getAt(object.spec, 'parentRefs');
  if (getAt(schema, 'properties', 'parents') !== undefined && Array.isArray(parents)) {
    status.parents = entries(status.parents, 'parentRef', parents, condition);
    return true;
  }
  const targets = getAt(object.spec, 'targetRefs');
  if (getAt(schema, 'properties', 'ancestors') !== undefined && Array.isArray(targets)) {
    const references = targets.slice(0, 16).map((one) => ({
      group: getAt(one, 'group'),
      kind: getAt(one, 'kind'),
      name: getAt(one, 'name'),
    }));
    status.ancestors = entries(status.ancestors, 'ancestorRef', references, condition);
    return true;
  }
  return false;
}

/** Gateway API keeps one entry per reference and controller: ours are written, those of others stay. */
function entries(
  before: unknown,
  field: 'parentRef' | 'ancestorRef',
  references: readonly unknown[],
  condition: StatusCondition,
): unknown[] {
  const list: unknown[] = Array.isArray(before) ? before : [];
  const own = references.map((reference) => {
    const old = list.find(
      (one) => getAt(one, 'controllerName') === controllerName && equalJson(getAt(one, field), reference),
    );
    const conditions = upsert(getAt(old, 'conditions'), condition);
    return { [field]: reference, controllerName, conditions };
  });
  return [...list.filter((one) => getAt(one, 'controllerName') !== controllerName), ...own];
}

function keepsUnknown(schema: unknown): boolean {
  return getAt(schema, 'x-kubernetes-preserve-unknown-fields') === true;
}

function fitCondition(condition: StatusCondition, known: unknown): StatusCondition {
  if (!isObject(known)) return condition;
  return Object.fromEntries(
    Object.entries(condition).filter(([name]) => name in known),
  ) as unknown as StatusCondition;
}

function upsert(conditions: unknown, condition: StatusCondition): unknown[] {
  const list = Array.isArray(conditions) ? conditions : [];
  const before = list.find((one) => getAt(one, 'type') === condition.type) as StatusCondition | undefined;
  const unchanged = before?.status === condition.status && before.reason === condition.reason;
  const time = unchanged ? before?.lastTransitionTime : condition.lastTransitionTime;
  const next = { ...condition, ...(time === undefined ? {} : { lastTransitionTime: time }) };
  return [...list.filter((one) => getAt(one, 'type') !== condition.type), next];
}
