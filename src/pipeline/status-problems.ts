import type { ConfigObject } from '../config/object.ts';
import { objectKey } from '../config/object.ts';
import type { Feature, Problem } from '../plan/feature.ts';
import { certificateValid, type PlannedCondition, type StatusEntry } from '../plan/object-status.ts';
import type { View } from '../snapshot/view.ts';

/** Conditions that tell what their owner has to mend; of these False is bad. */
const telling: ReadonlySet<string> = new Set(['Accepted', 'ResolvedRefs', certificateValid]);

/**
 * What the status of an object will complain of, in the words of problems: for kinds whose API has a whole status (`Feature.statuses`).
 * `kind`: as the world names it.
 */
export function statusProblems(
  features: readonly Feature[],
  view: View,
  kind: string,
  object: ConfigObject,
): Problem[] {
  const shaper = features.flatMap((feature) => feature.statuses ?? []).find((one) => one.kind === kind);
  const plan = shaper?.plan(view, objectKey(object));
  if (!plan) return [];
  const problems = (conditions: readonly PlannedCondition[], path: string): Problem[] =>
    conditions.filter(isBad).map(({ reason, message, from, until }) => ({
      origin: { kind, namespace: object.metadata.namespace ?? 'default', name: object.metadata.name, path },
      code: reason,
      message,
      ...(from === undefined ? {} : { from }),
      ...(until === undefined ? {} : { until }),
    }));
  const entries = [...Object.values(plan.lists ?? {}).flat(), ...(plan.shared?.entries ?? [])];
  const all = [
    ...problems(plan.conditions ?? [], ''),
    ...entries.flatMap((entry) => problems(entry.conditions, placeOf(object, entry))),
  ];
  // Each of a route's parents repeats what is wrong with the route itself.
  const seen = new Set<string>();
  return all.filter(({ code, message }) => {
    const id = `${code} ${message}`;
    return !seen.has(id) && seen.add(id);
  });
}

function isBad({ type, status }: PlannedCondition): boolean {
  return (telling.has(type) && status === 'False') || (type === 'PartiallyInvalid' && status === 'True');
}

/** The listener or parent of the object that an entry of its status speaks of, as a path; '' where it is none. */
function placeOf({ spec }: ConfigObject, { name, parentRef }: StatusEntry): string {
  const { listeners = [], parentRefs = [] } = (spec ?? {}) as {
    readonly listeners?: readonly { readonly name?: string }[];
    readonly parentRefs?: readonly unknown[];
  };
  const listener = listeners.findIndex((one) => one.name === name);
  if (name !== undefined && listener >= 0) return `spec.listeners[${listener}]`;
  const parent = parentRef === undefined ? -1 : parentRefs.indexOf(parentRef);
  return parent >= 0 ? `spec.parentRefs[${parent}]` : '';
}
