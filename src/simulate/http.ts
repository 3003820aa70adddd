import type { RouteAction } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { HttpConnectionManager } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { SimulationResult } from './call.ts';
import { type ChosenRoute, chooseRoute, type NoRoute } from './choose-route.ts';
import { chosenIndex, hasEndpoint, toClusters } from './clusters.ts';
import { walkFilter } from './http-filters.ts';
import { clientAddress, withForwardedFor } from './remote-address.ts';
import { forwarded, normalizedPath, redirectLocation } from './rewrite.ts';
import { answer, fail, type Walk } from './walk.ts';

/** What a proxy says of a request that it could not read. */
export const codecError = 'codec_error';

/** One request through an HTTP connection manager: the route is chosen, the filters have their say, the router does what is left. */
export function walkHttp(walk: Walk, manager: HttpConnectionManager): SimulationResult {
  // What a rewrite before made of a path need not be one.
  const { path = '/', method } = walk.call;
  if (!path.startsWith('/') && method !== 'CONNECT') {
    // HTTP/2 ends the whole connection for it.
    if (walk.call.protocol === 'http2') return fail(walk, 'protocol error');
    // The codec refuses it before anybody sees that a gRPC client asks.
    Object.assign(walk.result, { status: 400, details: codecError });
    return walk.result;
  }
  if (manager.normalizePath) walk.call = { ...walk.call, path: normalizedPath(path) };
  walk.client = clientAddress(manager, walk.call);
  walk.call = withForwardedFor(manager, walk.call);
  let choice = chooseRoute(walk, manager);
  for (const filter of manager.httpFilters) {
    if (!walkFilter(walk, filter, { choice })) return walk.result;
    if (walk.routeIsStale) choice = chooseRoute(walk, manager);
  }
  return 'route' in choice ? applyAction(walk, choice) : withoutRoute(walk, choice);
}

/** HTTP is answered whatever goes wrong. */
function withoutRoute(walk: Walk, { error, config, misses }: NoRoute): SimulationResult {
  const secured = error === 'tls required, sending 301';
  const { host = '', path = '/' } = walk.call;
  if (secured) walk.result.redirect = { code: 301, location: `https://${host}${path}` };
  if (config) answer(walk, secured ? 301 : 404);
  if (misses) walk.result.misses = misses;
  return fail(walk, error);
}

function applyAction(walk: Walk, choice: ChosenRoute): SimulationResult {
  const { action } = choice.route;
  switch (action.case) {
    case 'directResponse':
      walk.result.directResponse = { status: action.value.status };
      return answer(walk, action.value.status);
    case 'redirect': {
      const code = [301, 302, 303, 307, 308][action.value.responseCode] ?? 301;
      walk.result.redirect = { code, location: redirectLocation(walk.call, choice.route, action.value) };
      return answer(walk, code);
    }
    case 'route':
      return forward(walk, choice, action.value);
    default:
      return walk.result;
  }
}

function forward(walk: Walk, choice: ChosenRoute, action: RouteAction): SimulationResult {
  const { clusterSpecifier } = action;
  const clusters =
    clusterSpecifier.case === 'cluster'
      ? [{ cluster: clusterSpecifier.value, weight: 1 }]
      : clusterSpecifier.case === 'weightedClusters'
        ? clusterSpecifier.value.clusters.map(({ name, weight }) => ({ cluster: name, weight: weight ?? 0 }))
        : [];
  toClusters(walk, clusters);
  const chosen = walk.resources.cluster(walk.result.cluster ?? '');
  if (!chosen) return answer(walk, missingStatus(action));
  if (!hasEndpoint(walk, chosen)) return answer(walk, 503, 'no_healthy_upstream');
  const retries = retriesOf(action);
  if (retries) walk.result.retries = retries;
  walk.result.forwarded = forwarded(walk.call, choice, action, chosenIndex(walk.call, clusters));
  return walk.result;
}

function missingStatus(action: RouteAction): number {
  return [503, 404, 500][action.clusterNotFoundResponseCode] ?? 503;
}

/** Undefined: the request is sent once. */
export function retriesOf({ retryPolicy }: RouteAction): SimulationResult['retries'] {
  const attempts = retryPolicy?.numRetries ?? 1;
  if (!retryPolicy || retryPolicy.retryOn === '' || attempts === 0) return undefined;
  return { attempts, on: retryPolicy.retryOn.split(',') };
}
