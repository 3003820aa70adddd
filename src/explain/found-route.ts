import type { Route, VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { SimulationResult } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { originIn } from '../simulate/walk.ts';
import { sameOrigin } from './words.ts';

/** What the walk chose, as the messages that hold it. */
export interface FoundRoute {
  readonly hosts: readonly VirtualHost[];
  readonly host?: VirtualHost;
  readonly route?: Route;
}

export function foundRoute(resources: DecodedResources, result: SimulationResult): FoundRoute {
  const config = resources.routeConfiguration(result.routeConfig ?? '');
  const hosts = config ? resources.virtualHosts(config) : [];
  const host = hosts.find(({ name }) => name === result.virtualHost);
  const chosen = result.steps.find(({ stage }) => stage === 'route');
  const named = host?.routes.filter(({ name }) => name === chosen?.name) ?? [];
  const route =
    chosen && (named.find(({ metadata }) => sameOrigin(originIn(metadata), chosen.origin)) ?? named[0]);
  return { hosts, ...(host ? { host } : {}), ...(route ? { route } : {}) };
}
