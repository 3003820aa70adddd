import type { Any } from '@bufbuild/protobuf/wkt';
import {
  FilterConfigSchema,
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
} from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RouteConfiguration } from '../../gen/proto/envoy/config/route/v3/route_pb.js';
import type { HttpConnectionManager } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import type { Call } from './call.ts';
import { chosenIndex } from './clusters.ts';
import { unpack } from './decoded-resources.ts';
import { matchRoute, matchVirtualHost } from './route.ts';
import { hostMetadata, step, type Walk } from './walk.ts';
import { type Alternative, otherHosts, otherRoutes } from './why.ts';

/** What a request's headers lead to. */
export interface ChosenRoute {
  readonly config: RouteConfiguration;
  readonly host: VirtualHost;
  readonly route: Route;
}

/** A choice that came to an end before a route. */
export interface NoRoute {
  readonly config?: RouteConfiguration;
  readonly host?: VirtualHost;
  readonly misses?: () => readonly Alternative[];
  readonly error: 'no virtual host matched' | 'no route matched' | 'tls required, sending 301';
}

/** Envoy chooses before the first filter, and again where a filter says that the choice is stale. */
export function chooseRoute(walk: Walk, manager: HttpConnectionManager): ChosenRoute | NoRoute {
  const { result } = walk;
  walk.routeIsStale = false;
  delete result.route;
  delete result.virtualHost;
  result.steps = result.steps.filter(({ stage }) => !choices.has(stage));
  const config = configurationOf(walk, manager);
  if (!config) return { error: 'no virtual host matched' };
  step(walk, 'route-configuration', config.name, config.metadata);
  const hosts = walk.resources.virtualHosts(config);
  const host = matchVirtualHost(hosts, walk.call.host ?? '', config.ignorePortInHostMatching);
  const authority = walk.call.host ?? '';
  const otherwise = () => otherHosts(hosts, authority, config.ignorePortInHostMatching);
  if (!host) return { config, error: 'no virtual host matched', misses: otherwise };
  result.virtualHost = host.name;
  step(walk, 'virtual-host', host.name, hostMetadata(host), otherwise);
  if (host.requireTls === VirtualHost_TlsRequirementType.ALL && walk.call.tls === 'plaintext')
    return { config, host, error: 'tls required, sending 301' };
  const route = matchRoute(host.routes, walk.call, walk.metadata);
  const { call, metadata } = walk;
  const claims = { ...metadata };
  const others = () => otherRoutes(host, call, claims);
  if (!route) return { config, host, error: 'no route matched', misses: others };
  result.route = route.name;
  step(walk, 'route', route.name, route.metadata, others);
  return { config, host, route };
}

const choices: ReadonlySet<string> = new Set(['route-configuration', 'virtual-host', 'route']);

function configurationOf(
  walk: Walk,
  { routeSpecifier }: HttpConnectionManager,
): RouteConfiguration | undefined {
  if (routeSpecifier.case === 'rds') {
    walk.result.routeConfig = routeSpecifier.value.routeConfigName;
    return walk.resources.routeConfiguration(routeSpecifier.value.routeConfigName);
  }
  if (routeSpecifier.case !== 'routeConfig') return undefined;
  walk.result.routeConfig = routeSpecifier.value.name;
  return routeSpecifier.value;
}

/** What routes say of a filter: the most specific word. */
export interface FilterSetting {
  readonly config?: Any;
  readonly disabled: boolean;
}

export function filterSetting(
  choice: ChosenRoute | NoRoute,
  name: string,
  call: Call,
): FilterSetting | undefined {
  const route = 'route' in choice ? choice.route : undefined;
  const specifier = route?.action.case === 'route' ? route.action.value.clusterSpecifier : undefined;
  const weighted =
    specifier?.case === 'weightedClusters'
      ? specifier.value.clusters[
          chosenIndex(
            call,
            specifier.value.clusters.map(({ weight }) => ({ weight: weight ?? 0 })),
          )
        ]
      : undefined;
  for (const level of [weighted, route, choice.host, choice.config]) {
    const any = level?.typedPerFilterConfig[name];
    if (!any) continue;
    const wrapped = unpack(any, FilterConfigSchema);
    if (!wrapped) return { config: any, disabled: false };
    return { ...(wrapped.config ? { config: wrapped.config } : {}), disabled: wrapped.disabled };
  }
  return undefined;
}
