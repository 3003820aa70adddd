import { hostCovers, isWildcard } from '../../../plan/hosts.ts';
import { isHttp, isSniffed, portsOf, serviceFor, visibleHosts } from '../../../plan/service-scope.ts';
import { egressListeners, listenerOfPort, scopeOf } from '../../../plan/sidecar.ts';
import { importedService, importedVirtualServices, scopedHosts } from '../../../plan/sidecar-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { inPrecedence, meshVirtualServices, virtualServiceFacts } from '../virtual-service/schema.ts';

/** The HTTP ports of a service, as text; sniffed ones too. */
export const httpPortsOf = defineQuery('outbound.http-ports-of', (view, service: Key): readonly string[] =>
  view
    .call(portsOf, service)
    .filter((port) => isHttp(port) || isSniffed(port))
    .map((port) => String(port.port)),
);

/** Hosts that only virtual services know, as `port|host`: on the ports of the services that their object names, else on 80. */
export const extraHosts = defineQuery('outbound.extra-hosts', (view): readonly string[] => {
  const scope = view.call(scopeOf);
  const found = new Set<string>();
  if (scope === '')
    for (const key of inPrecedence(view, view.list(meshVirtualServices, '')))
      for (const entry of view.call(extraHostsOf, key)) found.add(entry);
  else
    for (const position of view.call(egressListeners, scope).keys())
      for (const key of view.call(importedVirtualServices, scope, String(position)))
        for (const entry of view.call(scopedExtraHosts, scope, String(position), key)) found.add(entry);
  return [...found].sort();
});

/** A wildcard that covers services speaks of them alone; one that covers none is a host of its own. */
const coversService = defineQuery('outbound.covers-service', (view, pattern: Key): boolean =>
  view.call(visibleHosts).some((host) => hostCovers(pattern, host)),
);

const extraHostsOf = defineQuery('outbound.extra-hosts-of', (view, key: Key): readonly string[] =>
  extraOf(view, key, {
    serviceOf: (host) => view.call(serviceFor, host),
    covers: (pattern) => view.call(coversService, pattern),
    sees: () => true,
    otherwise: ['80'],
  }),
);

const coversImported = defineQuery(
  'outbound.covers-imported',
  (view, scope: Key, position: Key, pattern: Key): boolean =>
    view
      .call(scopedHosts, scope)
      .some((host) => hostCovers(pattern, host) && view.call(importedService, scope, position, host) !== ''),
);

/** The same through one egress listener of a Sidecar: on its port, or on the ports that no other listener has. */
const scopedExtraHosts = defineQuery(
  'outbound.scoped-extra-hosts',
  (view, scope: Key, position: Key, key: Key): readonly string[] => {
    const listeners = view.call(egressListeners, scope);
    const own = listeners[Number(position)]?.port;
    const sees = (port: string): boolean => listenerOfPort(listeners, Number(port)) === Number(position);
    return extraOf(view, key, {
      serviceOf: (host) => view.call(importedService, scope, position, host),
      covers: (pattern) => view.call(coversImported, scope, position, pattern),
      sees,
      otherwise: [String(own ?? 80)].filter(sees),
    });
  },
);

interface Sight {
  readonly serviceOf: (host: string) => Key;
  readonly covers: (pattern: string) => boolean;
  readonly sees: (port: string) => boolean;
  readonly otherwise: readonly string[];
}

function extraOf(view: View, key: Key, { serviceOf, covers, sees, otherwise }: Sight): readonly string[] {
  const facts = view.call(virtualServiceFacts, key);
  if (!facts?.hasHttp) return [];
  const isExtra = (host: string): boolean =>
    host !== '*' && (isWildcard(host) ? !covers(host) : serviceOf(host) === '');
  const extra = facts.hosts.filter(isExtra);
  if (extra.length === 0) return [];
  const ports = new Set(
    facts.hosts
      .filter((host) => !isExtra(host) && host !== '*')
      .flatMap((host) => view.call(httpPortsOf, serviceOf(host)).filter(sees)),
  );
  return extra.flatMap((host) => [...(ports.size > 0 ? ports : otherwise)].map((port) => `${port}|${host}`));
}
