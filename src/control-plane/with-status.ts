import type { ConfigObject, StatusCondition } from '../config/object.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import {
  certificateValid,
  type ObjectStatusPlan,
  type PlannedCondition,
  type StatusEntry,
} from '../plan/object-status.ts';

/** By which a condition says that proxies refused what the object asks for. */
const rejectedReason = 'RejectedByProxy';

type Json = Record<string, unknown>;
type Conditions = StatusCondition[] | undefined;

/** The object with what is ours of its status; the same object where it says so already. */
export function withStatus(
  object: ConfigObject,
  plan: ObjectStatusPlan,
  generation: number | undefined,
  now: Date,
): ConfigObject {
  const old = (object.status ?? {}) as Json;
  const merge = (planned: readonly PlannedCondition[], present: Conditions): StatusCondition[] =>
    mergeConditions(planned, present, generation, now);
  const entry = (planned: StatusEntry, present: Json | undefined): Json => ({
    ...planned,
    conditions: merge(planned.conditions, present?.conditions as Conditions),
  });
  const status: Json = { ...old, ...plan.fields };
  if (plan.conditions) status.conditions = merge(plan.conditions, old.conditions as Conditions);
  for (const [field, entries] of Object.entries(plan.lists ?? {})) {
    const present = (old[field] ?? []) as Json[];
    status[field] = entries.map((planned) =>
      entry(
        planned,
        present.find((one) => one.name === planned.name),
      ),
    );
  }
  if (plan.shared) {
    const { field, by, controllers, entries } = plan.shared;
    const present = (old[field] ?? []) as Json[];
    const isOurs = (one: Json): boolean => controllers.includes(one.controllerName as string);
    const same = (a: Json, b: Json): boolean =>
      a.controllerName === b.controllerName &&
      deepEqual(withDefaults(a[by], object), withDefaults(b[by], object));
    const own = entries.map((planned) =>
      entry(
        planned,
        present.find((one) => same(one, planned)),
      ),
    );
    const foreign = present.filter((one) => !isOurs(one));
    if (foreign.length > 0 || own.length > 0 || field in old) status[field] = [...foreign, ...own];
  }
  return deepEqual(old, status) ? object : { ...object, status };
}

/** References that differ only in whether defaults are written out are one. */
function withDefaults(reference: unknown, object: ConfigObject): unknown {
  return {
    group: 'gateway.networking.k8s.io',
    kind: 'Gateway',
    namespace: object.metadata.namespace,
    ...(reference as Json),
  };
}

/** The planned conditions, each with the time of its last change; those of other types stay as they are. */
function mergeConditions(
  all: readonly PlannedCondition[],
  present: Conditions,
  generation: number | undefined,
  now: Date,
): StatusCondition[] {
  const time = now.getTime();
  const holding = all.flatMap(({ from = time, until = Infinity, ...condition }) =>
    from <= time && time < until ? [condition] : [],
  );
  // Of two certificates that have expired one is told.
  const planned = holding.filter(
    ({ type }, index) => holding.findIndex((one) => one.type === type) === index,
  );
  const others = (present ?? []).filter(
    ({ type }) => !planned.some((one) => one.type === type) && !isPassing(type),
  );
  const own = planned.map((condition) => {
    const old = present?.find(({ type }) => type === condition.type);
    // The ledger knows better, and takes it back itself.
    if (old?.reason === rejectedReason && condition.status === 'True') return old;
    return {
      ...condition,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime:
        old?.status === condition.status && old.lastTransitionTime
          ? old.lastTransitionTime
          : now.toISOString(),
    };
  });
  return [...others, ...own] as StatusCondition[];
}

/** Conditions of ours that are there only while they hold. */
function isPassing(type: string): boolean {
  return (
    type === 'PartiallyInvalid' || type === 'InsecureFrontendValidationMode' || type === certificateValid
  );
}
