import type { Origin } from '../../../config/origin.ts';
import type { RouteShaper } from '../../../plan/feature.ts';
import {
  anyPath,
  type RouteConfigurationPlan,
  routeConfigurationPlan,
  routePlan,
  type VirtualHostPlan,
  virtualHostPlan,
} from '../../../plan/route-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hiddenAtEdges } from '../../telemetry/refusals/schema.ts';
import { type BoundRoutes, boundRoutes } from './bound.ts';
import { type DomainSources, domainsOf } from './domains.ts';
import { planRules } from './http-rules.ts';
import { originIn } from './kinds.ts';
import { inOrderOfPrecedence } from './precedence.ts';

const routeNames = defineQuery('gateway-api.route-configurations', (view): readonly Key[] =>
  view.call(boundRoutes).map(({ name }) => name),
);

function bound(view: View, name: Key): BoundRoutes | undefined {
  return view.call(boundRoutes).find((routes) => routes.name === name);
}

/** gateways, port, listener: what domainsOf asks for */
function idsOf({ gateways, listenerPort, listener }: BoundRoutes): readonly [Key, Key, Key] {
  return [gateways.join(','), String(listenerPort), listener];
}

/** Hosts that may travel alone: all but `*`, which is part of the route configuration. */
const hostNames = defineQuery('gateway-api.hosts', (view, name: Key): readonly Key[] => {
  const found = bound(view, name);
  if (!found) return [];
  return Object.keys(view.call(domainsOf, ...idsOf(found)))
    .filter((host) => host !== '*')
    .sort();
});

/** domain, its sources as text, port, `tls` or '' */
function resolveHost(view: View, name: Key, host: Key): readonly Key[] | undefined {
  const found = bound(view, name);
  const sources = found && view.call(domainsOf, ...idsOf(found))[host];
  return (
    sources && [host, JSON.stringify(sources), String(found.listenerPort), found.listener === '' ? '' : 'tls']
  );
}

function planHost(view: View, domain: Key, text: Key, port: Key, tls: Key): VirtualHostPlan {
  const { listener, routes, misdirected } = JSON.parse(text) as DomainSources;
  const origin = listenerOrigin(listener);
  const context = { port: Number(port), tls: tls !== '' };
  return virtualHostPlan({
    name: `${domain}:${port}`,
    domains: [domain],
    routes: misdirected
      ? [
          routePlan({
            name: 'misdirected',
            match: anyPath,
            action: { type: 'direct-response', status: 421 },
            origin,
          }),
        ]
      : inOrderOfPrecedence(routes.flatMap((route) => planRules(view, route, context))),
    origin,
  });
}

function listenerOrigin(listener: string): Origin {
  const [owner = '', name] = listener.split('#');
  return originIn(owner, name === undefined ? '' : `spec.listeners[name=${name}]`);
}

/** name, gateways, listener, port, tls, sources of `*` */
function resolveRoutes(view: View, name: Key): readonly Key[] | undefined {
  const found = bound(view, name);
  if (!found) return undefined;
  const domains = view.call(domainsOf, ...idsOf(found));
  const star = domains['*'];
  return [
    name,
    found.gateways[0] ?? '',
    String(found.listenerPort),
    found.listener === '' ? '' : 'tls',
    star ? JSON.stringify(star) : Object.keys(domains).length > 0 ? 'none' : '',
  ];
}

function planRoutes(
  view: View,
  name: Key,
  gateway: Key,
  port: Key,
  tls: Key,
  star: Key,
): RouteConfigurationPlan {
  const origin = originIn(`Gateway/${gateway}`, 'spec.listeners');
  const inlineHosts =
    star === 'none'
      ? []
      : star === ''
        ? [virtualHostPlan({ name: `blackhole:${port}`, domains: ['*'], routes: [], origin })]
        : [planHost(view, '*', star, port, tls)];
  return routeConfigurationPlan({
    name,
    inlineHosts,
    allowVhds: true,
    ignorePort: true,
    ...hiddenAtEdges(view),
    origin,
  });
}

export const gatewayApiRoutes: RouteShaper = {
  name: 'gateway-api',
  keys: routeNames,
  resolve: resolveRoutes,
  plan: planRoutes,
  hosts: hostNames,
  resolveHost,
  planHost,
};
