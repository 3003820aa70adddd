import type { ObjectStatusPlan, PlannedCondition } from '../../../../plan/object-status.ts';
import { defineQuery, type Key } from '../../../../snapshot/query.ts';
import type { View } from '../../../../snapshot/view.ts';
import { attachmentsOf } from '../attachments.ts';
import { authorizerFault } from '../authorizers.ts';
import { type BackendRef, resolveBackend, worst } from '../backends.ts';
import { connectionBackends } from '../connections.ts';
import { type Filters, readFilters } from '../filters.ts';
import { backendError, type Rule, rulesOf } from '../http-rules.ts';
import { controllerName, type ParentId, type RouteId, routeObject, splitId } from '../kinds.ts';
import type { Fault } from '../references.ts';
import { poolsOfRoute } from '../rule-backends.ts';
import { accepted, resolvedRefs } from './conditions.ts';

/** What is wrong with a route wherever it is attached. */
interface RouteProblems {
  readonly unresolved?: Fault;
  /** Rules that cannot be carried out, of how many. */
  readonly invalid: readonly string[];
  readonly rules: number;
}

const problemsOf = defineQuery('gateway-api.route-problems', (view, id: Key): RouteProblems => {
  const { kind } = splitId(id);
  if (kind !== 'HTTPRoute' && kind !== 'GRPCRoute') {
    const error = worst(connectionBackends(view, id).map((ref) => errorOf(view, id, ref)));
    return { invalid: [], rules: 1, ...(error ? { unresolved: error } : {}) };
  }
  const rules = rulesOf(view, id);
  const error = worst(rules.flatMap((rule) => ruleErrors(view, id, rule)));
  return {
    ...(error ? { unresolved: error } : {}),
    invalid: rules.flatMap((rule, index) =>
      invalidity(view, id, rule).map((why) => `spec.rules[${index}]: ${why}`),
    ),
    rules: rules.length,
  };
});

/** Sidecars have no inference pools: what a route of the mesh sends there is answered 500. */
function poolsInMesh(view: View, id: RouteId, parent: ParentId): Fault | undefined {
  if (!parent.startsWith('Service') || poolsOfRoute(view, id).length === 0) return undefined;
  return {
    reason: 'UnsupportedValue',
    message:
      'inference pools are reached through Gateways: what is sent there inside the mesh is answered 500',
  };
}

function errorOf(view: View, id: RouteId, ref: BackendRef): Fault | undefined {
  const backend = resolveBackend(view, id, ref);
  return backend.ok ? undefined : backend;
}

/** The filters of a rule and of each of its backends. */
function allFilters(rule: Rule): Filters[] {
  return [rule.filters, ...rule.backends.map(({ filters }) => readFilters(filters))];
}

function ruleErrors(view: View, id: RouteId, rule: Rule): (Fault | undefined)[] {
  const faults = allFilters(rule).flatMap((filters) => [
    ...filters.mirrors.map(({ backendRef }) => errorOf(view, id, backendRef)),
    authorizerFault(view, id, filters),
    filters.unsupported,
  ]);
  return [
    ...rule.backends.map((ref) => errorOf(view, id, ref)),
    ...faults.filter((fault) => fault?.reason !== 'UnsupportedValue'),
  ];
}

/** What Envoy cannot do: such rules answer 500. */
function invalidity(view: View, id: RouteId, rule: Rule): string[] {
  return [
    ...allFilters(rule).flatMap((filters) => {
      const fault = authorizerFault(view, id, filters);
      return fault?.reason === 'UnsupportedValue' ? [fault.message] : [];
    }),
    ...rule.matches.flatMap(({ badRegex }) =>
      badRegex === undefined ? [] : [`${JSON.stringify(badRegex)} is not an RE2 expression`],
    ),
    ...rule.backends.flatMap((ref) => backendError(rule, ref)?.message ?? []),
  ];
}

export function routeStatus(view: View, id: RouteId): ObjectStatusPlan | undefined {
  const route = routeObject(view, id);
  if (!route) return undefined;
  const attachments = view.call(attachmentsOf, id);
  const problems = attachments.length > 0 ? view.call(problemsOf, id) : undefined;
  return {
    shared: {
      field: 'parents',
      by: 'parentRef',
      controllers: [controllerName],
      entries: attachments.map(({ ref, error, parent }) => ({
        controllerName,
        parentRef: ref,
        conditions: conditionsFor(error ?? poolsInMesh(view, id, parent), problems),
      })),
    },
  };
}

function conditionsFor(error: Fault | undefined, problems: RouteProblems | undefined): PlannedCondition[] {
  const { unresolved, invalid = [], rules = 1 } = problems ?? {};
  const message = `${invalid.join('; ')}; what they match is answered 500`.slice(0, 1_000);
  const whole =
    invalid.length > 0 && invalid.length >= rules ? { reason: 'UnsupportedValue', message } : undefined;
  const partly: PlannedCondition[] =
    invalid.length > 0 && !whole
      ? [{ type: 'PartiallyInvalid', status: 'True', reason: 'UnsupportedValue', message }]
      : [];
  return [accepted(error ?? whole), resolvedRefs(unresolved), ...partly];
}
