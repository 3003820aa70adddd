import type { GRPCRouteRules } from '../../../../gen/crd/types/gateway-api/grpc-route.ts';
import type {
  HTTPRouteRules,
  HTTPRouteRulesBackendRefs,
} from '../../../../gen/crd/types/gateway-api/http-route.ts';
import { parseDuration } from '../../../plan/duration.ts';
import {
  type Destination,
  type HeaderOperations,
  type MessageHeaders,
  type RouteAction,
  type RouteMatch,
  type RoutePlan,
  routePlan,
} from '../../../plan/route-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { routeAuthorizersSlot } from '../../security/external-authorization/schema.ts';
import { corsSlot } from '../cors/schema.ts';
import { type PickerPlan, pickersSlot } from '../inference/schema.ts';
import { mirrorSlot } from '../mirror/schema.ts';
import { type RetryPlan, retrySlot } from '../retry/schema.ts';
import { sessionSlot } from '../session-persistence/schema.ts';
import { authorizerAt, authorizerFault } from './authorizers.ts';
import { clusterOf, invalidBackend, resolveBackend } from './backends.ts';
import {
  type Filters,
  mirrorPercent,
  planCors,
  planPathRewrite,
  planRedirect,
  type RouteContext,
  readFilters,
} from './filters.ts';
import {
  ageOrder,
  grpcRouteKind,
  httpRouteKind,
  originIn,
  type RouteId,
  routeObject,
  splitId,
} from './kinds.ts';
import type { RankedRoute } from './precedence.ts';
import type { Fault } from './references.ts';
import { grpcMatch, httpMatch, type RuleMatch } from './rule-matches.ts';
import { planSession } from './sessions.ts';
import { sessionOf } from './traffic-policy.ts';

/** A rule of an HTTPRoute, or of a GRPCRoute put in its words. */
export interface Rule {
  readonly name: string;
  readonly matches: readonly RuleMatch[];
  readonly filters: Filters;
  readonly backends: readonly HTTPRouteRulesBackendRefs[];
  readonly timeouts: HTTPRouteRules['timeouts'];
  readonly retry: HTTPRouteRules['retry'];
  readonly session: HTTPRouteRules['sessionPersistence'];
  readonly grpc: boolean;
}

/** The rules of an HTTPRoute or GRPCRoute, in order. */
export function rulesOf(view: View, id: RouteId): readonly Rule[] {
  const { kind, key } = splitId(id);
  if (kind === 'HTTPRoute') return (view.get(httpRouteKind, key)?.spec?.rules ?? []).map(httpRule);
  if (kind === 'GRPCRoute') return (view.get(grpcRouteKind, key)?.spec?.rules ?? []).map(grpcRule);
  return [];
}

function httpRule(rule: HTTPRouteRules): Rule {
  const matches = rule.matches?.length ? rule.matches : [{}];
  return {
    name: rule.name ?? '',
    matches: matches.map(httpMatch),
    filters: readFilters(rule.filters),
    backends: rule.backendRefs ?? [],
    timeouts: rule.timeouts,
    retry: rule.retry,
    session: rule.sessionPersistence,
    grpc: false,
  };
}

function grpcRule(rule: GRPCRouteRules): Rule {
  const matches = rule.matches?.length ? rule.matches : [{}];
  return {
    name: rule.name ?? '',
    matches: matches.map(grpcMatch),
    filters: readFilters(rule.filters as HTTPRouteRules['filters']),
    backends: (rule.backendRefs ?? []) as HTTPRouteRulesBackendRefs[],
    timeouts: undefined,
    retry: undefined,
    session: rule.sessionPersistence as HTTPRouteRules['sessionPersistence'],
    grpc: true,
  };
}

/** The entries that an HTTPRoute or GRPCRoute makes of itself for a listener or service. */
export function planRules(view: View, id: RouteId, context: RouteContext): RankedRoute[] {
  const object = routeObject(view, id);
  if (!object) return [];
  const age = ageOrder(object);
  return rulesOf(view, id).flatMap((rule, index) =>
    rule.matches.map((match, at) => ({ age, plan: planEntry(view, id, rule, index, match, at, context) })),
  );
}

const utf8 = new TextEncoder();

function refusal(message: string): RouteAction {
  return { type: 'direct-response', status: 500, body: utf8.encode(message) };
}

function planEntry(
  view: View,
  id: RouteId,
  rule: Rule,
  index: number,
  { match, badRegex }: RuleMatch,
  at: number,
  context: RouteContext,
): RoutePlan {
  const path = `spec.rules[${index}]`;
  const { kind, namespace, name } = splitId(id);
  const single = onlyBackend(rule);
  const filters = single ? merged(rule.filters, readFilters(single.filters)) : rule.filters;
  const action =
    badRegex === undefined
      ? planAction(view, id, rule, filters, path, match, context)
      : refusal('a route of this host has an invalid regular expression');
  const plan = routePlan({
    name: `${namespace}.${name}.${rule.name || index}${at > 0 ? `.${at}` : ''}`,
    match,
    action,
    ...(filters.headers ? { headers: filters.headers } : {}),
    origin: originIn(id, rule.matches.length > 1 ? `${path}.matches[${at}]` : path),
  });
  decorate(view, id, plan, rule, filters, path, `${kind}/${namespace}/${name}/${rule.name || index}`);
  if (action.type !== 'direct-response') fillAuthorizers(view, id, plan, rule, path);
  return plan;
}

/** Redirects are asked about too: a filter of a rule concerns whatever the rule does. */
function fillAuthorizers(view: View, id: RouteId, plan: RoutePlan, rule: Rule, path: string): void {
  const own = authorizerAt(view, id, rule.filters, path);
  const weighted = [...rule.backends.entries()].filter(([, { weight }]) => weight !== 0);
  const asked = weighted.map(([at, ref]) =>
    authorizerAt(view, id, readFilters(ref.filters), `${path}.backendRefs[${at}]`),
  );
  const backends = Object.fromEntries(
    [...asked.entries()].flatMap(([index, one]) => (one ? [[index, one]] : [])),
  );
  if (own || asked.some((one) => one))
    fill(plan, routeAuthorizersSlot, { ...(own ? { rule: own } : {}), backends }, originIn(id, path));
}

/** What siblings' slots can say of the entry. */
function decorate(
  view: View,
  id: RouteId,
  plan: RoutePlan,
  rule: Rule,
  filters: Filters,
  path: string,
  identity: string,
): void {
  const origin = originIn(id, `${path}.filters`);
  if (filters.cors) fill(plan, corsSlot, planCors(filters.cors), origin);
  if (plan.action.type !== 'forward') return;
  const mirrors = filters.mirrors.flatMap((mirror) => {
    const backend = resolveBackend(view, id, mirror.backendRef);
    const percent = mirrorPercent(mirror);
    return backend.ok && percent > 0 ? [{ cluster: backend.value.cluster, percent }] : [];
  });
  if (mirrors.length > 0) fill(plan, mirrorSlot, mirrors, origin);
  const pickers = pickersOf(view, id, rule);
  if (Object.keys(pickers).length > 0) fill(plan, pickersSlot, pickers, originIn(id, `${path}.backendRefs`));
  if (rule.retry) fill(plan, retrySlot, planRetry(rule), originIn(id, `${path}.retry`));
  if (rule.session)
    fill(plan, sessionSlot, planSession(rule.session, identity), originIn(id, `${path}.sessionPersistence`));
  else fillBackendSession(view, id, plan, rule);
}

/** The endpoint pickers of the pools among a rule's backends, by cluster. */
function pickersOf(view: View, id: RouteId, rule: Rule): Record<string, PickerPlan> {
  const found: Record<string, PickerPlan> = {};
  for (const ref of rule.backends) {
    if (ref.kind !== 'InferencePool') continue;
    const backend = resolveBackend(view, id, ref);
    if (backend.ok && backend.value.picker) found[backend.value.cluster] = backend.value.picker;
  }
  return found;
}

/** What a policy of the rule's only backend says of sessions; the rule's own word goes first. */
function fillBackendSession(view: View, id: RouteId, plan: RoutePlan, rule: Rule): void {
  const found = backendSession(view, id, rule);
  if (!found) return;
  const { policy, session } = found;
  const origin = originIn(`XBackendTrafficPolicy/${policy}`, 'spec.sessionPersistence');
  fill(plan, sessionSlot, planSession(session, `XBackendTrafficPolicy/${policy}`), origin);
}

function backendSession(view: View, id: RouteId, rule: Rule): ReturnType<typeof sessionOf> {
  const only = onlyBackend(rule);
  const backend = only && resolveBackend(view, id, only);
  return backend?.ok ? sessionOf(view, backend.value.service) : undefined;
}

/** Whether a rule keeps sessions, by its own word or by its backend's. */
export function keepsSessions(view: View, id: RouteId, rule: Rule): boolean {
  return rule.session !== undefined || backendSession(view, id, rule) !== undefined;
}

/** A rule's only backend: its filters can be the route's own. */
function onlyBackend({ backends }: Rule): HTTPRouteRulesBackendRefs | undefined {
  const weighted = backends.filter(({ weight }) => weight !== 0);
  return weighted.length === 1 ? weighted[0] : undefined;
}

function merged(rule: Filters, backend: Filters): Filters {
  const { headers: _, authorizers: __, ...others } = backend;
  return {
    ...rule,
    ...others,
    mirrors: [...rule.mirrors, ...backend.mirrors],
    ...((rule.unsupported ?? backend.unsupported)
      ? { unsupported: (rule.unsupported ?? backend.unsupported) as Fault }
      : {}),
  };
}

function planAction(
  view: View,
  id: RouteId,
  rule: Rule,
  filters: Filters,
  path: string,
  match: RouteMatch,
  context: RouteContext,
): RouteAction {
  const single = readFilters(onlyBackend(rule)?.filters);
  const fault =
    filters.unsupported ?? authorizerFault(view, id, filters) ?? authorizerFault(view, id, single);
  if (fault) return refusal(fault.message);
  if (filters.redirect) return planRedirect(filters.redirect, match.path, context);
  const destinations = planDestinations(view, id, rule, path, context);
  if (destinations.every(({ cluster }) => cluster === invalidBackend))
    return refusal(`${splitId(id).key} has no usable backend here`);
  const rewrite = planPathRewrite(filters.rewrite, match.path);
  const authority = filters.rewrite?.hostname ?? filters.headers?.authority;
  return {
    type: 'forward',
    destinations,
    timeoutMs: requestTimeout(rule),
    ...(authority ? { authority } : {}),
    ...(rewrite ? { rewrite } : {}),
  };
}

/** Backends by weight; one that leads nowhere keeps its share, which is answered 500. */
function planDestinations(
  view: View,
  id: RouteId,
  rule: Rule,
  path: string,
  context: RouteContext,
): Destination[] {
  return rule.backends.flatMap((ref, at): Destination[] => {
    const { weight = 1 } = ref;
    if (weight === 0) return [];
    const backend = resolveBackend(view, id, ref);
    const filters = readFilters(ref.filters);
    const isLost = context.mesh === true && backend.ok && backend.value.picker !== undefined;
    const usable = backendError(rule, ref) === undefined && !authorizerFault(view, id, filters) && !isLost;
    const absent = !backend.ok && backend.reason === 'BackendNotFound';
    const cluster = backend.ok ? backend.value.cluster : absent ? clusterOf(view, id, ref) : invalidBackend;
    return [
      {
        cluster: usable ? cluster : invalidBackend,
        weight,
        ...(filters.headers || filters.rewrite?.hostname ? { headers: backendHeaders(filters) } : {}),
        origin: originIn(id, `${path}.backendRefs[${at}]`),
      },
    ];
  });
}

const noOperations: HeaderOperations = { add: [], set: [], remove: [] };

function backendHeaders(filters: Filters): MessageHeaders {
  const base: MessageHeaders = filters.headers ?? { request: noOperations, response: noOperations };
  return filters.rewrite?.hostname ? { ...base, authority: filters.rewrite.hostname } : base;
}

/** What Envoy cannot do for one of several backends. */
export function backendError(rule: Rule, ref: HTTPRouteRulesBackendRefs): Fault | undefined {
  if (onlyBackend(rule)) return undefined;
  const filters = readFilters(ref.filters);
  if (filters.unsupported) return filters.unsupported;
  return filters.redirect || filters.rewrite?.path || filters.mirrors.length > 0 || filters.cors
    ? {
        reason: 'UnsupportedValue',
        message: `backend ${ref.name}: of several backends each can change headers and host name only; move other filters to the rule`,
      }
    : undefined;
}

/** Without retries the limit of one try is the limit of the whole. */
function requestTimeout({ timeouts, retry }: Rule): number {
  const request = parseDuration(timeouts?.request) ?? 0;
  const each = retry ? 0 : (parseDuration(timeouts?.backendRequest) ?? 0);
  return request === 0 || each === 0 ? request + each : Math.min(request, each);
}

/** Codes that are named, and, as the API recommends, whatever breaks the connection. */
function planRetry({ retry, timeouts }: Rule): RetryPlan {
  const perTryTimeoutMs = parseDuration(timeouts?.backendRequest) ?? 0;
  const backoffMs = parseDuration(retry?.backoff);
  const codes = retry?.codes ?? [];
  return {
    attempts: retry?.attempts ?? 1,
    on: [
      'connect-failure',
      'refused-stream',
      'reset',
      ...(codes.length > 0 ? ['retriable-status-codes'] : []),
    ].join(','),
    statusCodes: codes,
    ...(perTryTimeoutMs > 0 ? { perTryTimeoutMs } : {}),
    ...(backoffMs ? { backoffMs } : {}),
    avoidTriedHosts: true,
    remoteLocalities: false,
  };
}
