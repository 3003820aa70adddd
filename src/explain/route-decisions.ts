import type {
  Route,
  RouteAction,
  VirtualHost,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Origin } from '../config/origin.ts';
import type { Model } from '../model/model.ts';
import { parseClusterName } from '../plan/names.ts';
import type { Call, SimulationResult } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import type { Decision, DecisionPlace, Lost } from './explanation.ts';
import { foundRoute } from './found-route.ts';
import { matchWords, whyMissed } from './match-words.ts';
import { suggest } from './suggest.ts';
import { decidedBy, formatDuration, listed, originIn } from './words.ts';

/** Alternatives that are told, at most. */
const mostLost = 4;

export interface RouteContext {
  readonly model: Model;
  readonly at: DecisionPlace;
  readonly resources: DecodedResources;
  readonly call: Call;
  readonly result: SimulationResult;
}

/** The host that takes a request, or none. */
export function virtualHostDecision(context: RouteContext): Decision {
  const { model, at, call, resources, result } = context;
  const { hosts, host } = foundRoute(resources, result);
  const asked = call.host ?? '';
  if (!host)
    return {
      at,
      stage: 'virtual-host',
      what: `nobody knows the host ${asked}`,
      lost: nearestHosts(model, hosts, asked),
    };
  const origin = originIn(host.metadata);
  return {
    at,
    stage: 'virtual-host',
    name: host.name,
    what: `host ${asked} is ${hostWords(host, asked)}`,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    lost: [],
  };
}

function hostWords({ name, domains }: VirtualHost, asked: string): string {
  const own = name.slice(name.lastIndexOf('/') + 1);
  if (domains.includes('*'))
    return domains.length === 1 ? 'one that nobody named: any host is taken' : `taken by ${own}`;
  const exact = domains.some((domain) => domain.toLowerCase() === asked.toLowerCase());
  const wildcard = domains.find((domain) => domain.includes('*'));
  return exact || wildcard === undefined ? own : `covered by ${wildcard}`;
}

function nearestHosts(model: Model, hosts: readonly VirtualHost[], asked: string): Lost[] {
  const owners = new Map<string, VirtualHost>();
  for (const host of hosts) for (const domain of host.domains) if (domain !== '*') owners.set(domain, host);
  return suggest(asked, owners.keys()).map((domain): Lost => {
    const origin = originIn(owners.get(domain)?.metadata);
    return {
      what: `host ${domain}`,
      why: `it is another name than ${asked}`,
      ...(origin ? { by: decidedBy(model, origin) } : {}),
    };
  });
}

/** The route that takes a request, or none, and those beside it. */
export function routeDecision(context: RouteContext): Decision {
  const { model, at, call, resources, result } = context;
  const { host, route } = foundRoute(resources, result);
  const routes = host?.routes ?? [];
  if (!route)
    return {
      at,
      stage: 'route',
      what:
        routes.length === 0
          ? 'the host has no routes'
          : `none of ${count(routes.length, 'route')} takes the request`,
      lost: nearest(routes, call, model),
    };
  const origin = originIn(route.metadata);
  const conditions = matchWords(route.match);
  return {
    at,
    stage: 'route',
    ...(route.name === '' ? {} : { name: route.name }),
    what:
      conditions === ''
        ? `${routeName(origin)} takes every request`
        : `${routeName(origin)} takes it: ${conditions}`,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    lost: [
      ...nearest(routes.slice(0, routes.indexOf(route)), call, model),
      ...behind(routes.slice(routes.indexOf(route) + 1), route, call, model),
    ].slice(0, mostLost),
  };
}

export function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}

/** `rule 1`, `HTTP route 0`, or what else the origin's path says. */
export function routeName(origin: Origin | undefined): string {
  if (!origin) return 'the route';
  const { kind, path } = origin;
  const http = /^spec\.(http|tls|tcp)\[(\d+)\]/.exec(path);
  if (http) return `${http[1]?.toUpperCase()} route ${http[2]} of ${kind} ${origin.name}`;
  const rule = /^spec\.rules\[(\d+)\]/.exec(path);
  if (rule) return `rule ${rule[1]} of ${kind} ${origin.name}`;
  if (kind === 'MeshConfig') return 'the outbound policy of the mesh';
  return `the default route of ${kind} ${origin.name}`;
}

/** Those that came closest to taking it, in the order in which they were looked at. */
function nearest(routes: readonly Route[], call: Call, model: Model): Lost[] {
  return routes.slice(-mostLost).flatMap((route): Lost[] => {
    const why = whyMissed(route.match, call);
    if (why === undefined && (route.match?.runtimeFraction?.defaultValue?.numerator ?? 1) > 0) return [];
    return [lostRoute(route, why ?? 'its share of the requests is zero', model)];
  });
}

function lostRoute(route: Route, why: string, model: Model): Lost {
  const origin = originIn(route.metadata);
  const conditions = matchWords(route.match);
  return {
    what: `${routeName(origin)}${conditions === '' ? '' : ` (${conditions})`}`,
    why,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
  };
}

/** Routes behind the one that took it: would they have, had they been asked? */
function behind(routes: readonly Route[], taken: Route, call: Call, model: Model): Lost[] {
  const origin = originIn(taken.metadata);
  const name = routeName(origin);
  // What stands behind a route for every request is not sent to proxies at all.
  if (matchWords(taken.match) === '') return origin ? neverReached(model, origin, name) : [];
  return routes.flatMap((route): Lost[] => {
    if (whyMissed(route.match, call) !== undefined) return [];
    const other = routeName(originIn(route.metadata));
    return other === name
      ? []
      : [lostRoute(route, `it would take it too, and ${name} stands before it`, model)];
  });
}

/** Routes of the same VirtualService that no request comes to. */
function neverReached(model: Model, origin: Origin, by: string): Lost[] {
  const taken = /^spec\.http\[(\d+)\]/.exec(origin.path);
  const id = `networking.istio.io/VirtualService|${origin.namespace}/${origin.name}`;
  if (origin.kind !== 'VirtualService' || !taken) return [];
  const { http = [] } = (model.objects.get(id)?.object.spec ?? {}) as { http?: readonly unknown[] };
  return http.slice(Number(taken[1]) + 1).map((_, index): Lost => {
    const behindIt = { ...origin, path: `spec.http[${Number(taken[1]) + 1 + index}]` };
    return {
      what: routeName(behindIt),
      why: `it is never reached: ${by} stands before it and takes every request`,
      by: decidedBy(model, behindIt),
    };
  });
}

/** What a route does besides choosing a destination: limits, attempts, copies, another path. */
export function routeExtras({ model, at, resources, call, result }: RouteContext): Decision[] {
  const { route } = foundRoute(resources, result);
  if (route?.action.case !== 'route') return [];
  const action = route.action.value;
  const origin = originIn(route.metadata);
  const by = origin ? { by: decidedBy(model, origin) } : {};
  const decision = (stage: Decision['stage'], what: string): Decision => ({
    at,
    stage,
    what,
    ...by,
    lost: [],
  });
  return [
    ...rewriteWords(call, result).map((what) => decision('rewrite', what)),
    ...timeoutWords(action).map((what) => decision('timeout', what)),
    ...retryWords(action, call).map((what) => decision('retries', what)),
    ...mirrorWords(action).map((what) => decision('mirror', what)),
  ];
}

function rewriteWords({ host, path }: Call, { forwarded }: SimulationResult): string[] {
  if (!forwarded) return [];
  return [
    ...(forwarded.path !== path ? [`the path becomes ${forwarded.path}`] : []),
    ...(forwarded.authority !== host ? [`the host becomes ${forwarded.authority}`] : []),
  ];
}

function timeoutWords({ timeout }: RouteAction): string[] {
  if (!timeout) return [];
  const ms = Number(timeout.seconds) * 1_000 + timeout.nanos / 1e6;
  return ms === 0 ? [] : [`an answer must come within ${formatDuration(ms)}, else 504`];
}

/** Methods that may be sent twice. */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

function retryWords({ retryPolicy }: RouteAction, { method = 'GET' }: Call): string[] {
  const attempts = retryPolicy?.numRetries ?? 1;
  if (!retryPolicy || retryPolicy.retryOn === '' || attempts === 0) return [];
  const { perTryTimeout } = retryPolicy;
  const each = perTryTimeout
    ? `, each within ${formatDuration(Number(perTryTimeout.seconds) * 1_000 + perTryTimeout.nanos / 1e6)}`
    : '';
  const conditions = retryPolicy.retryOn.split(',');
  const safe = conditions.every((condition) => neverProcessed.has(condition));
  const twice =
    idempotent.has(method) || safe
      ? ''
      : `; a ${method} that the destination has begun to act on may be sent again`;
  return [`up to ${count(attempts, 'more attempt')}${each} on ${listed(conditions)}${twice}`];
}

/** Conditions under which the destination cannot have seen the request. */
const neverProcessed: ReadonlySet<string> = new Set([
  'connect-failure',
  'refused-stream',
  'reset-before-request',
]);

function mirrorWords({ requestMirrorPolicies }: RouteAction): string[] {
  return requestMirrorPolicies.map(({ cluster, runtimeFraction }) => {
    const { numerator = 100, denominator = 0 } = runtimeFraction?.defaultValue ?? {};
    const percent = runtimeFraction
      ? (numerator * 100) / ([100, 10_000, 1_000_000][denominator] ?? 100)
      : 100;
    return `a copy of ${percent === 100 ? 'each request' : `${percent} % of the requests`} goes to ${clusterWords(cluster)}; its answer is dropped`;
  });
}

/** `reviews.default.svc.cluster.local:9080, subset v1`. */
export function clusterWords(name: string): string {
  const parsed = parseClusterName(name);
  if (!parsed) return name;
  if (parsed.direction === 'inbound') return `the application, port ${parsed.port}`;
  return `${parsed.host}:${parsed.port}${parsed.subset === '' ? '' : `, subset ${parsed.subset}`}`;
}
