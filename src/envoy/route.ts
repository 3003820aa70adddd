import { create } from '@bufbuild/protobuf';
import {
  DirectResponseActionSchema,
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
  RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RedirectAction as RedirectMessage,
  type Route,
  type RouteAction,
  RouteAction_UpgradeConfigSchema,
  RouteActionSchema,
  type RouteMatch,
  RouteMatch_ConnectMatcherSchema,
  RouteMatchSchema,
  RouteSchema,
  type WeightedCluster_ClusterWeight,
  WeightedCluster_ClusterWeightSchema,
  WeightedClusterSchema,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { PerRouteConfigSchema } from '../../gen/proto/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.js';
import {
  RegexMatchAndSubstituteSchema,
  RegexMatcherSchema,
} from '../../gen/proto/envoy/type/matcher/v3/regex_pb.js';
import type {
  Destination,
  ForwardAction,
  RouteMatch as MatchPlan,
  MessageHeaders,
  RedirectAction,
  RoutePlan,
} from '../plan/route-plan.ts';
import { headerOptions } from './header-value.ts';
import { onDemandFilter } from './http-connection-manager.ts';
import { headerMatcher, queryMatcher } from './matcher.ts';
import { duration, originMetadata, pack } from './pack.ts';
import { routeClaimMatcher } from './value-matcher.ts';
import { fittingWeights } from './weights.ts';

/** The route without what decorators add. */
export function buildRoute(plan: RoutePlan): Route {
  const { action } = plan;
  const route = create(RouteSchema, {
    name: plan.name,
    match: buildMatch(plan.match),
    metadata: originMetadata(plan.origin),
    statPrefix: plan.statPrefix ?? '',
  });
  addHeaders(route, plan.headers);
  if (action.type === 'forward') {
    // A route has one place for headers: those of its only destination join the route's own.
    const [only] = action.destinations;
    if (only && action.destinations.length === 1) {
      addHeaders(route, only.headers);
      neverWait(route, only);
    }
    route.action = { case: 'route', value: buildForward(action) };
  } else if (action.type === 'redirect') route.action = { case: 'redirect', value: buildRedirect(action) };
  else
    route.action = {
      case: 'directResponse',
      value: create(DirectResponseActionSchema, {
        status: action.status,
        ...(action.body && hasBody(action.status)
          ? { body: { specifier: { case: 'inlineBytes', value: action.body } } }
          : {}),
      }),
    };
  return route;
}

/** Envoy would write the body of an answer that has none by definition, and a client would take it for the next answer. */
function hasBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

function addHeaders(
  target: Route | WeightedCluster_ClusterWeight,
  headers: MessageHeaders | undefined,
): void {
  if (!headers) return;
  target.requestHeadersToAdd.push(...headerOptions(headers.request));
  target.requestHeadersToRemove.push(...headers.request.remove);
  target.responseHeadersToAdd.push(...headerOptions(headers.response));
  target.responseHeadersToRemove.push(...headers.response.remove);
}

/** Without a source to ask, the filter lets a request go on at once, to the error that it is. */
function neverWait(target: Route | WeightedCluster_ClusterWeight, { absent }: Destination): void {
  if (absent) target.typedPerFilterConfig[onDemandFilter] = pack(PerRouteConfigSchema, {});
}

function buildMatch(match: MatchPlan): RouteMatch {
  const message = create(RouteMatchSchema, {
    headers: match.headers.map(headerMatcher),
    queryParameters: match.queryParams.map(queryMatcher),
    dynamicMetadata: (match.claims ?? []).map(routeClaimMatcher),
    ...(match.ignoreCase ? { caseSensitive: false } : {}),
  });
  const { path } = match;
  if (path.type === 'exact') message.pathSpecifier = { case: 'path', value: path.value };
  else if (path.type === 'prefix') message.pathSpecifier = { case: 'prefix', value: path.value };
  else if (path.type === 'path-prefix')
    message.pathSpecifier = { case: 'pathSeparatedPrefix', value: path.value };
  else if (path.type === 'regex')
    message.pathSpecifier = {
      case: 'safeRegex',
      value: create(RegexMatcherSchema, { regex: path.value }),
    };
  else message.pathSpecifier = { case: 'connectMatcher', value: create(RouteMatch_ConnectMatcherSchema) };
  return message;
}

function buildForward(plan: ForwardAction): RouteAction {
  const action = create(RouteActionSchema, {
    timeout: duration(plan.timeoutMs),
    ...(plan.neverIdle ? { idleTimeout: duration(0) } : {}),
    // A reference to nothing is an error of the configuration, not a destination that is down.
    clusterNotFoundResponseCode: NotFoundCode.INTERNAL_SERVER_ERROR,
  });
  const { destinations } = plan;
  const [only] = destinations;
  // Envoy lets the route's rewrite win over its destinations' own: with one of those, each destination carries its rewrite.
  const apart =
    destinations.length > 1 && destinations.some(({ headers }) => headers?.authority !== undefined);
  setDestinations(action, destinations, apart ? plan.authority : undefined);
  const single = destinations.length === 1 ? only?.headers?.authority : undefined;
  const authority = apart ? undefined : (single ?? plan.authority);
  if (authority !== undefined) action.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: authority };
  if (plan.rewrite?.type === 'prefix') action.prefixRewrite = plan.rewrite.value;
  else if (plan.rewrite) action.regexRewrite = regexRewrite(plan.rewrite);
  if (plan.connect)
    action.upgradeConfigs = [
      create(RouteAction_UpgradeConfigSchema, { upgradeType: 'CONNECT', connectConfig: {} }),
    ];
  return action;
}

function setDestinations(
  action: RouteAction,
  destinations: readonly Destination[],
  authority: string | undefined,
): void {
  const [only] = destinations;
  if (only && destinations.length === 1) {
    action.clusterSpecifier = { case: 'cluster', value: only.cluster };
    return;
  }
  action.clusterSpecifier = {
    case: 'weightedClusters',
    value: create(WeightedClusterSchema, {
      clusters: fittingWeights(destinations).map((destination) => weightedCluster(destination, authority)),
    }),
  };
}

function weightedCluster(
  destination: Destination,
  fallback: string | undefined,
): WeightedCluster_ClusterWeight {
  const { cluster, weight, headers } = destination;
  const message = create(WeightedCluster_ClusterWeightSchema, { name: cluster, weight });
  addHeaders(message, headers);
  neverWait(message, destination);
  const authority = headers?.authority ?? fallback;
  if (authority !== undefined)
    message.hostRewriteSpecifier = { case: 'hostRewriteLiteral', value: authority };
  return message;
}

function regexRewrite({ match, substitution }: { readonly match: string; readonly substitution: string }) {
  return create(RegexMatchAndSubstituteSchema, { pattern: { regex: match }, substitution });
}

const redirectCodes: Readonly<Record<number, RedirectCode>> = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
};

function buildRedirect(plan: RedirectAction): RedirectMessage {
  const message = create(RedirectActionSchema, {
    responseCode: redirectCodes[plan.code] ?? RedirectCode.MOVED_PERMANENTLY,
    hostRedirect: plan.authority ?? '',
    portRedirect: plan.port,
  });
  if (plan.scheme) message.schemeRewriteSpecifier = { case: 'schemeRedirect', value: plan.scheme };
  if (plan.path) message.pathRewriteSpecifier = { case: 'pathRedirect', value: plan.path };
  else if (plan.prefix) message.pathRewriteSpecifier = { case: 'prefixRewrite', value: plan.prefix };
  else if (plan.regex)
    message.pathRewriteSpecifier = { case: 'regexRewrite', value: regexRewrite(plan.regex) };
  return message;
}
