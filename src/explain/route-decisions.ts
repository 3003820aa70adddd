import type { RouteAction } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { Origin } from '../config/origin.ts';
import type { Model } from '../model/model.ts';
import { parseClusterName } from '../plan/names.ts';
import type { Call, SimulationResult, Step } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { retriesOf } from '../simulate/http.ts';
import { originIn } from '../simulate/walk.ts';
import type { Alternative } from '../simulate/why.ts';
import type { Decision, DecisionPlace, Lost } from './explanation.ts';
import { foundRoute } from './found-route.ts';
import { matchWords } from './match-words.ts';
import { otherVirtualServices } from './other-virtual-services.ts';
import { decidedBy, formatDuration, listed } from './words.ts';

/** Alternatives that are told, at most. */
const mostLost = 4;

export interface RouteContext {
  readonly model: Model;
  readonly at: DecisionPlace;
  readonly resources: DecodedResources;
  readonly call: Call;
  readonly result: SimulationResult;
}

/** Hosts that take whatever nobody named: that they lost needs no telling. */
const catchAll = /\b(allow_any|block_all)$/;

/** The host that takes a request. */
export function virtualHostDecision(context: RouteContext, step: Step): Decision {
  const { model, at, call, resources, result } = context;
  const { host } = foundRoute(resources, result);
  const asked = call.host ?? '';
  const own = step.name.slice(step.name.lastIndexOf('/') + 1);
  const domains = host?.domains ?? [];
  const wildcard = domains.find((domain) => domain.includes('*'));
  const exact = domains.some((domain) => domain.toLowerCase() === asked.toLowerCase());
  const words =
    domains.length === 1 && wildcard === '*'
      ? step.origin?.kind === 'MeshConfig'
        ? 'one that nobody named: any host is taken'
        : 'taken as any other would be'
      : exact || wildcard === undefined
        ? own
        : `covered by ${wildcard}`;
  const others = (step.alternatives?.() ?? []).filter(({ name }) => !catchAll.test(name));
  return {
    at,
    stage: 'virtual-host',
    name: step.name,
    what: `host ${asked} is ${words}`,
    ...(step.origin ? { by: decidedBy(model, step.origin) } : {}),
    lost: others.slice(0, mostLost).map((one) => lostAlternative(model, one, `host ${shortName(one.name)}`)),
  };
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Nobody knows the host, or no route of it takes the request: what came close. */
export function missDecision({ model, at, call, result }: RouteContext): Decision {
  const misses = result.misses?.() ?? [];
  const hosts = result.error === 'no virtual host matched';
  return {
    at,
    stage: hosts ? 'virtual-host' : 'route',
    what: hosts
      ? `nobody knows the host ${call.host ?? ''}`
      : misses.length === 0
        ? 'the host has no routes'
        : `none of ${count(misses.length, 'route')} takes the request`,
    lost: misses
      .slice(0, mostLost)
      .map((one) => lostAlternative(model, one, hosts ? `host ${shortName(one.name)}` : undefined)),
  };
}

function lostAlternative(model: Model, { name, origin, why }: Alternative, what?: string): Lost {
  return {
    what: what ?? (origin ? routeName(origin) : name),
    why,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
  };
}

/** The route that takes a request, and those beside it. */
export function routeDecision(context: RouteContext, step: Step): Decision {
  const { model, at, resources, result } = context;
  const { route } = foundRoute(resources, result);
  const conditions = matchWords(route?.match);
  const name = routeName(step.origin);
  const others = (step.alternatives?.() ?? []).map((one) => lostAlternative(model, one));
  // Gateways put together what several say of a host; sidecars hear one.
  const unheard = at.role === 'client' && step.origin ? otherVirtualServices(model, step.origin) : [];
  const unreached = conditions === '' && step.origin ? neverReached(model, step.origin, name) : [];
  const all = [...unheard, ...others, ...unreached];
  return {
    at,
    stage: 'route',
    ...(step.name === '' ? {} : { name: step.name }),
    what: conditions === '' ? `${name} takes every request` : `${name} takes it: ${conditions}`,
    ...(step.origin ? { by: decidedBy(model, step.origin) } : {}),
    lost: [...Map.groupBy(all, ({ what }) => what).values()]
      .flatMap(([first]) => (first && first.what !== name ? [first] : []))
      .slice(0, mostLost),
  };
}

export function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}

/** `rule 1`, `HTTP route 0`, or what else the origin's path says. */
export function routeName(origin: Origin | undefined): string {
  if (!origin) return 'the route';
  const { kind, path, name } = origin;
  const http = /^spec\.(http|tls|tcp)\[(\d+)\]/.exec(path);
  if (http) return `${http[1]?.toUpperCase()} route ${http[2]} of ${kind} ${name}`;
  const rule = /^spec\.rules\[(\d+)\]/.exec(path);
  if (rule) return `rule ${rule[1]} of ${kind} ${name}`;
  return kind === 'MeshConfig' ? 'the outbound policy of the mesh' : `the default route of ${kind} ${name}`;
}

/** Routes of the same VirtualService that no request comes to: what stands behind a route for every request is not sent to proxies. */
function neverReached(model: Model, origin: Origin, by: string): Lost[] {
  const taken = /^spec\.http\[(\d+)\]/.exec(origin.path);
  const id = `networking.istio.io/VirtualService|${origin.namespace}/${origin.name}`;
  if (origin.kind !== 'VirtualService' || !taken) return [];
  const { http = [] } = (model.objects.get(id)?.object.spec ?? {}) as { http?: readonly unknown[] };
  const first = Number(taken[1]) + 1;
  return http.slice(first).map((_, index): Lost => {
    const behind = { ...origin, path: `spec.http[${first + index}]` };
    return {
      what: routeName(behind),
      why: `never reached: ${by} takes every request before it`,
      by: decidedBy(model, behind),
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

function retryWords(action: RouteAction, { method = 'GET' }: Call): string[] {
  const retries = retriesOf(action);
  if (!retries) return [];
  const { attempts, on: conditions } = retries;
  const perTryTimeout = action.retryPolicy?.perTryTimeout;
  const each = perTryTimeout
    ? `, each within ${formatDuration(Number(perTryTimeout.seconds) * 1_000 + perTryTimeout.nanos / 1e6)}`
    : '';
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
