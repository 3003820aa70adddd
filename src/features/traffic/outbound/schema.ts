import { splitKey } from '../../../config/object.ts';
import { isLazy } from '../../../plan/lazy.ts';
import { seenServices, servicesOnPort, visibleHosts } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { extraHosts, httpPortsOf } from './extra-hosts.ts';
import { lazyHttpHosts } from './lazy-hosts.ts';
import { isOwnPort } from './own-places.ts';

export { broughtHost, withAbsentMarked } from './absent-clusters.ts';
export { hostOfName } from './authority.ts';
export { isNear } from './domains.ts';
export { extraHosts } from './extra-hosts.ts';
export { groupOfKey, unknownDomains, unknownGroupKey, unknownOnPort } from './lazy-hosts.ts';
export { outboundHost, outboundHostRoutes } from './outbound-host.ts';

/** Every port on which some visible service speaks HTTP, or may. */
export const httpPorts = defineQuery('outbound.http-ports', (view): readonly string[] => {
  const ports = new Set<string>();
  for (const host of view.call(visibleHosts))
    for (const { service, sees } of seenServices(view, host))
      for (const port of view.call(httpPortsOf, service))
        if (sees(port) && !isOwnPort(view, port)) ports.add(port);
  return [...ports].sort();
});

/** The hosts that answer HTTP on a port, sorted. */
export const httpHosts = defineQuery('outbound.http-hosts', (view, port: Key): readonly string[] =>
  view.call(isLazy) ? view.call(lazyHttpHosts, port) : view.call(allHttpHosts, port),
);

const allHttpHosts = defineQuery('outbound.all-http-hosts', (view, port: Key): readonly string[] => {
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
