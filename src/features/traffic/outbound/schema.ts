import { splitKey } from '../../../config/object.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import {
  authorityOfAddress,
  domainVariants,
  hostCovers,
  hostKeys,
  isWildcard,
  shortName,
} from '../../../plan/hosts.ts';
import {
  addressesFor,
  isHttp,
  isSniffed,
  ownsVirtualIp,
  portsOf,
  serviceFor,
  servicesOnPort,
  visibleHosts,
} from '../../../plan/service-scope.ts';
import { serviceKind, servicesByHost } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  inPrecedence,
  meshVirtualServices,
  virtualServiceFacts,
  virtualServicesByHost,
} from '../virtual-service/schema.ts';

/** The HTTP ports of a service, as text; sniffed ones too. */
const httpPortsOf = defineQuery('outbound.http-ports-of', (view, service: Key): readonly string[] =>
  view
    .call(portsOf, service)
    .filter((port) => isHttp(port) || isSniffed(port))
    .map((port) => String(port.port)),
);

/** Every port on which some visible service speaks HTTP, or may. */
export const httpPorts = defineQuery('outbound.http-ports', (view): readonly string[] => {
  const ports = new Set<string>();
  for (const host of view.call(visibleHosts))
    for (const port of view.call(httpPortsOf, view.call(serviceFor, host))) ports.add(port);
  return [...ports].sort();
});

/** Hosts that only virtual services know, as `port|host`: on the ports of the services that their object names, else on 80. */
export const extraHosts = defineQuery('outbound.extra-hosts', (view): readonly string[] => {
  const found = new Set<string>();
  for (const key of inPrecedence(view, view.list(meshVirtualServices, '')))
    for (const entry of view.call(extraHostsOf, key)) found.add(entry);
  return [...found].sort();
});

/** A wildcard that covers services speaks of them alone; one that covers none is a host of its own. */
const coversService = defineQuery('outbound.covers-service', (view, pattern: Key): boolean =>
  view.call(visibleHosts).some((host) => hostCovers(pattern, host)),
);

const extraHostsOf = defineQuery('outbound.extra-hosts-of', (view, key: Key): readonly string[] => {
  const facts = view.call(virtualServiceFacts, key);
  if (!facts?.hasHttp) return [];
  const isExtra = (host: string): boolean =>
    host !== '*' && (isWildcard(host) ? !view.call(coversService, host) : view.call(serviceFor, host) === '');
  const extra = facts.hosts.filter(isExtra);
  if (extra.length === 0) return [];
  const ports = new Set(
    facts.hosts
      .filter((host) => !isExtra(host) && host !== '*')
      .flatMap((host) => view.call(httpPortsOf, view.call(serviceFor, host))),
  );
  return extra.flatMap((host) => [...(ports.size > 0 ? ports : ['80'])].map((port) => `${port}|${host}`));
});

/** The hosts that answer HTTP on a port, sorted. */
export const httpHosts = defineQuery('outbound.http-hosts', (view, port: Key): readonly string[] => {
  const hosts = new Set(
    servicesOnPort(view, port)
      .filter((key) => view.call(httpPortsOf, key).includes(port))
      .map((key) => splitKey(key).name),
  );
  for (const entry of view.call(extraHosts)) {
    const [extraPort, host] = entry.split('|');
    if (extraPort === port && host) hosts.add(host);
  }
  return [...hosts].sort();
});

/** Whether short names of the host lead to it from the asking proxy's namespace: `1` or ''. */
export function isNear(view: View, host: string): Key {
  const short = shortName(host, view.mesh('domainSuffix'));
  return short && view.attribute(inNamespace(short.namespace)) ? '1' : '';
}

/**
 * The names under which applications call a host. A variant that is another host's own name belongs to that one: Envoy refuses a
 * whole update in which a domain occurs twice.
 */
export function hostDomains(view: View, host: string, service: Key, near: Key): string[] {
  const suffix = view.mesh('domainSuffix');
  const names = domainVariants(host, suffix, near !== '').filter(
    (name) => name === host || name === `${host}.` || !isNamed(view, name, suffix),
  );
  const found = service === '' ? undefined : view.get(serviceKind, service);
  const addresses = (found ? addressesFor(view, found) : [])
    .filter(
      (address) =>
        !address.includes('/') && ownsVirtualIp(view, service, address) && !isNamed(view, address, suffix),
    )
    .map(authorityOfAddress);
  return [...new Set([...names, ...addresses])];
}

/** Another visible service or virtual service has the name as its own host. */
function isNamed(view: View, name: string, suffix: string): boolean {
  if (view.list(servicesByHost, name).length > 0 && view.call(serviceFor, name) !== '') return true;
  return hostKeys(name, suffix).some((key) => {
    const named = view.list(virtualServicesByHost, key);
    return named.length > 0 && inPrecedence(view, named).length > 0;
  });
}
