import { splitKey } from '../config/object.ts';
import { allServices, serviceKind } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';
import { exportedServices, preferredService } from './exports.ts';
import { hostCovers, hostKeys, isWildcard } from './hosts.ts';
import { pinnedHosts } from './pinned-hosts.ts';
import {
  type EgressListener,
  egressListeners,
  importsService,
  importsVirtualService,
  outboundPolicy,
} from './sidecar.ts';
import {
  inPrecedence,
  meshVirtualServices,
  virtualServiceDestinations,
  virtualServiceFacts,
  virtualServicesByHost,
  virtualServicesByNamespace,
  wildcardVirtualServices,
} from './virtual-services.ts';

/*
 * What the egress listeners of a Sidecar let in. Arguments are a scope (see scopeOf) and the position of one of its listeners:
 * never the proxy, so that all proxies of a scope share the answers.
 */

/** Namespace → services. */
const servicesByNamespace = defineIndex('services-by-namespace', serviceKind, (service) => [
  service.namespace,
]);

const hasPort = defineQuery(
  'sidecar.has-port',
  (view, service: Key, port: Key): boolean =>
    view.get(serviceKind, service)?.ports.some((candidate) => String(candidate.port) === port) ?? false,
);

function listenerAt(view: View, scope: Key, position: Key): EgressListener | undefined {
  return view.call(egressListeners, scope)[Number(position)];
}

/** The service that a host means to one listener, '' where it does not let one in. */
export const importedService = defineQuery(
  'sidecar.imported-service',
  (view, scope: Key, position: Key, host: Key): Key => {
    const listener = listenerAt(view, scope, position);
    if (!listener) return '';
    const found = exportedServices(view, host).filter(
      (key) =>
        importsService(listener, splitKey(key).namespace, host) &&
        (!listener.matchPort || view.call(hasPort, key, String(listener.port))),
    );
    return preferredService(view, found);
  },
);

/** The service that a host means in a scope: the first that a listener lets in, else one that a virtual service leads to. */
export const scopedService = defineQuery('sidecar.service', (view, scope: Key, host: Key): Key => {
  for (const position of view.call(egressListeners, scope).keys()) {
    const found = view.call(importedService, scope, String(position), host);
    if (found !== '') return found;
  }
  return view.call(isPulled, scope, host) ? preferredService(view, exportedServices(view, host)) : '';
});

/** Whether some listener lets in all ports of a host, or one: clusters of other ports would never be used. */
export const scopedPort = defineQuery(
  'sidecar.port',
  (view, scope: Key, host: Key, port: Key): boolean =>
    view.call(isPulled, scope, host) ||
    view
      .call(egressListeners, scope)
      .some(
        (listener, position) =>
          (!listener.matchPort || String(listener.port) === port) &&
          view.call(importedService, scope, String(position), host) !== '',
      ),
);

/** The hosts to which imported virtual services lead, the one that takes what nobody configured, and what the proxy itself calls. */
const pulledHosts = defineQuery('sidecar.pulled-hosts', (view, scope: Key): readonly string[] => {
  const found = new Set<string>(view.call(pinnedHosts));
  const { proxy } = view.call(outboundPolicy);
  if (proxy) found.add(proxy.host);
  for (const position of view.call(egressListeners, scope).keys())
    for (const key of view.call(importedVirtualServices, scope, String(position)))
      for (const host of view.call(virtualServiceDestinations, key)) found.add(host);
  return [...found].sort();
});

const isPulled = defineQuery('sidecar.is-pulled', (view, scope: Key, host: Key): boolean =>
  view.call(pulledHosts, scope).includes(host),
);

/** Hosts that a scope may let in, sorted; some of them may mean nothing to the asking proxy. */
export const scopedHosts = defineQuery('sidecar.hosts', (view, scope: Key): readonly string[] => {
  const found = new Set<string>(view.call(pulledHosts, scope));
  for (const listener of view.call(egressListeners, scope))
    for (const { namespace, host } of listener.imports) {
      if (!isWildcard(host)) found.add(host);
      else
        for (const key of namespace === '*'
          ? view.list(allServices, '')
          : view.list(servicesByNamespace, namespace)) {
          const { name } = splitKey(key);
          if (hostCovers(host, name)) found.add(name);
        }
    }
  return [...found].sort();
});

/** The virtual services of the mesh that one listener lets in, in order of precedence. */
export const importedVirtualServices = defineQuery(
  'sidecar.virtual-services',
  (view, scope: Key, position: Key): readonly Key[] => {
    const listener = listenerAt(view, scope, position);
    return listener ? onlyImported(view, listener, inPrecedence(view, candidates(view, listener))) : [];
  },
);

function candidates(view: View, listener: EgressListener): Key[] {
  const found = new Set<Key>();
  for (const { namespace, host } of listener.imports) {
    const lists =
      namespace !== '*'
        ? [view.list(virtualServicesByNamespace, namespace)]
        : isWildcard(host)
          ? [view.list(meshVirtualServices, '')]
          : [
              ...hostKeys(host, view.mesh('domainSuffix')).map((key) =>
                view.list(virtualServicesByHost, key),
              ),
              view.list(wildcardVirtualServices, ''),
            ];
    for (const list of lists) for (const key of list) found.add(key);
  }
  return [...found];
}

/** Of some virtual services those that a listener lets in. */
function onlyImported(view: View, listener: EgressListener, keys: readonly Key[]): Key[] {
  return keys.filter((key) => {
    const facts = view.call(virtualServiceFacts, key);
    return facts !== undefined && importsVirtualService(listener, facts.namespace, facts.hosts);
  });
}

/** Of some virtual services those that the listener at a position lets in. */
export function importedOf(view: View, scope: Key, position: number, keys: readonly Key[]): Key[] {
  const listener = listenerAt(view, scope, String(position));
  return listener ? onlyImported(view, listener, keys) : [];
}
