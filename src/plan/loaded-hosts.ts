import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { meantHosts, splitAuthority } from './authority.ts';
import { hostCovers, hostKeys, isWildcard } from './hosts.ts';
import { usage } from './lazy.ts';
import { pinnedHosts } from './pinned-hosts.ts';
import { isHttp, portsOf, serviceFor, visibleHosts } from './service-scope.ts';
import { outboundPolicy } from './sidecar.ts';
import { unknownDomain, unknownGroups, unknownIn } from './unknown-hosts.ts';
import {
  inPrecedence,
  virtualServiceDestinations,
  virtualServiceFacts,
  virtualServicesByHost,
  wildcardVirtualServices,
} from './virtual-services.ts';

/** Hosts with a port that is not HTTP alone: connections say nothing to load them by. Independent of what was asked for. */
const eagerHosts = defineQuery('lazy.eager-hosts', (view): readonly string[] =>
  view.call(visibleHosts).filter((host) => view.call(hasOtherPort, view.call(serviceFor, host))),
);

const hasOtherPort = defineQuery('lazy.has-other-port', (view, service: Key): boolean =>
  view.call(portsOf, service).some((port) => !isHttp(port)),
);

/** The virtual services of a host. */
const routesOf = defineQuery('lazy.routes-of', (view, host: Key): readonly Key[] =>
  inPrecedence(view, [
    ...hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => view.list(virtualServicesByHost, key)),
    ...view
      .list(wildcardVirtualServices, '')
      .filter((key) =>
        view
          .call(virtualServiceFacts, key)
          ?.hosts.some((pattern) => isWildcard(pattern) && hostCovers(pattern, host)),
      ),
  ]),
);

/** Where they may send what comes for it. */
const routedFrom = defineQuery('lazy.routed-from', (view, host: Key): readonly string[] => {
  const found = new Set(
    view.call(routesOf, host).flatMap((key) => view.call(virtualServiceDestinations, key)),
  );
  return [...found].sort();
});

/**
 * The hosts that were asked for and mean something to the asking proxy, sorted. Envoy asks for a name once: one that meant nothing
 * then and means something now belongs to them. `stage`: a `UsageStage`.
 */
export const usedHosts = defineQuery('lazy.used-hosts', (view, stage: Key): readonly string[] => {
  const { hosts } = view.call(usage, stage);
  const found = new Set(hosts.filter((host) => view.call(isConfigured, host)));
  for (const group of unknownGroups) for (const host of view.call(knownBy, stage, group)) found.add(host);
  return [...found].sort();
});

/*
 * The lists below are made anew for each host that is asked for, while a request waits: they make one call a host, and a query a host
 * remembers the rest.
 */

const isConfigured = defineQuery(
  'lazy.is-configured',
  // A redirect, or an answer of the route's own, leads nowhere and is configured all the same.
  (view, host: Key): boolean => isService(view, host) || view.call(routesOf, host).length > 0,
);

/** The configured hosts that may be meant by members of a group of unknown hosts. */
const knownBy = defineQuery('lazy.known-by', (view, stage: Key, group: Key): readonly string[] => [
  ...new Set(
    view
      .call(unknownIn, stage, group)
      .flatMap((entry) => view.call(configuredMeanings, splitAuthority(unknownDomain(entry)).name)),
  ),
]);

/** The configured hosts that a name may mean. */
const configuredMeanings = defineQuery('lazy.configured-meanings', (view, name: Key): readonly string[] =>
  [...meantHosts(view, name)].filter((host) => view.call(isConfigured, host)),
);

/** A used host, and where its routes lead, as far as they are services. */
const broughtBy = defineQuery('lazy.brought-by', (view, host: Key): readonly string[] =>
  [...new Set([host, ...view.call(routedFrom, host)])].filter((name) => isService(view, name)),
);

function isService(view: View, host: string): boolean {
  return view.call(serviceFor, host) !== '';
}

/** A host whose clusters a proxy has. */
export interface LoadedHost {
  readonly host: string;
  /** Clusters of HTTP ports are there too. */
  readonly whole: boolean;
}

/** The hosts whose clusters the asking proxy, a lazy one, has; sorted. */
export const loadedHosts = defineQuery('lazy.loaded-hosts', (view): readonly LoadedHost[] => {
  const loaded = new Map<string, boolean>();
  for (const host of view.call(eagerHosts)) {
    loaded.set(host, loaded.get(host) ?? false);
    for (const target of view.call(routedFrom, host)) if (isService(view, target)) loaded.set(target, true);
  }
  const { proxy } = view.call(outboundPolicy);
  for (const host of [...(proxy ? [proxy.host] : []), ...view.call(pinnedHosts)])
    if (isService(view, host)) loaded.set(host, true);
  for (const host of view.call(usedHosts, 'clusters'))
    for (const brought of view.call(broughtBy, host)) loaded.set(brought, true);
  return [...loaded].map(([host, whole]) => ({ host, whole })).sort((a, b) => (a.host < b.host ? -1 : 1));
});
