import type { Origin } from '../config/origin.ts';
import { defineSlot, type Slotted } from './slot.ts';

/** How a text must look; `present`: any value will do. Regular expressions are RE2 and match the whole text. */
export type TextMatch =
  | { readonly exact: string }
  | { readonly prefix: string }
  | { readonly regex: string }
  | { readonly present: true };

export interface NamedMatch {
  readonly name: string;
  readonly match: TextMatch;
  /** Matches requests for which `match` does not hold, absent values included. */
  readonly invert?: boolean;
}

export type PathMatch =
  /** `path-prefix` ends at a `/` or with the path, as the Gateway API's prefixes do. */
  | { readonly type: 'prefix' | 'path-prefix' | 'exact' | 'regex'; readonly value: string }
  /** CONNECT requests, which have no path. */
  | { readonly type: 'connect' };

export interface RouteMatch {
  readonly path: PathMatch;
  /** Exact and prefix paths only. */
  readonly ignoreCase: boolean;
  /** Pseudo headers (`:method`, `:authority`, `:scheme`) included. */
  readonly headers: readonly NamedMatch[];
  readonly queryParams: readonly NamedMatch[];
  /** Of the request's verified token: known where tokens are looked at before the route is chosen, at gateways. */
  readonly claims?: readonly ClaimMatch[];
}

/** A claim of a token: a text, or a list that holds it. */
export interface ClaimMatch {
  /** Names from the outermost object in. */
  readonly path: readonly string[];
  readonly match: TextMatch;
  readonly invert?: boolean;
}

/** Holds for every request. */
export function takesEverything({ path, headers, queryParams, claims = [] }: RouteMatch): boolean {
  const anywhere =
    (path.type === 'prefix' && path.value === '/') || (path.type === 'regex' && path.value === '.*');
  return anywhere && headers.length === 0 && queryParams.length === 0 && claims.length === 0;
}

export const anyPath: RouteMatch = Object.freeze<RouteMatch>({
  path: { type: 'prefix', value: '/' },
  ignoreCase: false,
  headers: [],
  queryParams: [],
});

export interface HeaderOperations {
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export interface MessageHeaders {
  readonly request: HeaderOperations;
  readonly response: HeaderOperations;
  /** New `Host`, where a header operation sets it. */
  readonly authority?: string;
}

export interface Destination {
  readonly cluster: string;
  /** Relative to the sum over the route's destinations. */
  readonly weight: number;
  readonly headers?: MessageHeaders;
  /** Nobody defines it: a proxy that loads clusters on demand does not wait for it. */
  readonly absent?: boolean;
  readonly origin: Origin;
}

export type PathRewrite =
  | { readonly type: 'prefix'; readonly value: string }
  | { readonly type: 'regex'; readonly match: string; readonly substitution: string };

export interface ForwardAction {
  readonly type: 'forward';
  readonly destinations: readonly Destination[];
  readonly rewrite?: PathRewrite;
  /** New `Host` towards the destination. */
  readonly authority?: string;
  /** Milliseconds until the response must be complete; 0: no limit. */
  readonly timeoutMs: number;
  /** Streams may idle for as long as they like, whatever the listener says. */
  readonly neverIdle?: boolean;
  /** Terminates CONNECT and tunnels its payload. */
  readonly connect?: boolean;
}

export interface RedirectAction {
  readonly type: 'redirect';
  /** 301, 302, 303, 307 or 308. */
  readonly code: number;
  readonly scheme?: string;
  readonly authority?: string;
  /** 0: the default of the scheme. */
  readonly port: number;
  readonly path?: string;
  readonly prefix?: string;
  readonly regex?: { readonly match: string; readonly substitution: string };
}

export interface DirectResponseAction {
  readonly type: 'direct-response';
  readonly status: number;
  readonly body?: Uint8Array;
}

export type RouteAction = ForwardAction | RedirectAction | DirectResponseAction;

/** One entry of a virtual host. Routes are tried in order; the first whose match holds decides. */
export interface RoutePlan extends Slotted {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  readonly headers?: MessageHeaders;
  readonly statPrefix?: string;
  readonly origin: Origin;
}

export interface VirtualHostPlan extends Slotted {
  /** Unique in its route configuration. */
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly RoutePlan[];
  /** Plain HTTP is redirected to HTTPS. */
  readonly requireTls?: boolean;
  readonly origin: Origin;
}

export interface RouteConfigurationPlan extends Slotted {
  readonly name: string;
  /** Always part of the route configuration itself, never delivered one by one. */
  readonly inlineHosts: readonly VirtualHostPlan[];
  /** Whether the hosts that the shaper lists may travel one by one (VHDS). */
  readonly allowVhds: boolean;
  /** The `:port` of a Host header is no part of the comparison with domains. */
  readonly ignorePort: boolean;
  /** The port that users know it by, where its name says an allocated one. */
  readonly policyPort?: number;
  /** Added to every response that has none of the name. */
  readonly responseHeaders?: readonly (readonly [name: string, value: string])[];
  /** Taken off every response. */
  readonly hiddenResponseHeaders?: readonly string[];
  readonly origin: Origin;
}

export function routePlan(fields: Omit<RoutePlan, 'slots'>): RoutePlan {
  return { ...fields, slots: new Map() };
}

export function virtualHostPlan(fields: Omit<VirtualHostPlan, 'slots'>): VirtualHostPlan {
  return { ...fields, slots: new Map() };
}

export function routeConfigurationPlan(
  fields: Omit<RouteConfigurationPlan, 'slots'>,
): RouteConfigurationPlan {
  return { ...fields, slots: new Map() };
}

/** A plain forward of everything to one cluster. */
export function forwardTo(cluster: string, origin: Origin): ForwardAction {
  return { type: 'forward', destinations: [{ cluster, weight: 1, origin }], timeoutMs: 0 };
}

/**
 * A host of a proxy that loads hosts on demand: its listener ends streams that wait for a host that never comes, and routes that
 * came take the limit off again.
 */
export function patient(host: VirtualHostPlan): VirtualHostPlan {
  const routes = host.routes.map((route) =>
    route.action.type === 'forward' ? { ...route, action: { ...route.action, neverIdle: true } } : route,
  );
  return { ...host, routes };
}

/** The clusters that a virtual host sends requests to, mirrors excluded (a decorator knows them). */
export function clustersOf(host: VirtualHostPlan): string[] {
  const clusters = new Set<string>();
  for (const { action } of host.routes)
    if (action.type === 'forward') for (const { cluster } of action.destinations) clusters.add(cluster);
  return [...clusters].sort();
}

/** Clusters that a host uses beyond its destinations (mirrors): they must exist before the host is sent. */
export const usedClustersSlot = defineSlot<readonly string[]>('usedClusters', { visible: false });

/** The new Host is only the full name of what was called. */
export const fullNameSlot = defineSlot<true>('fullName', { visible: false });
