import { inNamespace } from '../../../plan/attributes.ts';
import { authorityOfAddress, domainVariants, hostKeys, shortName } from '../../../plan/hosts.ts';
import { addressesFor, ownsVirtualIp, serviceFor } from '../../../plan/service-scope.ts';
import { serviceKind, servicesByHost } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { inPrecedence, virtualServicesByHost } from '../virtual-service/schema.ts';

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
