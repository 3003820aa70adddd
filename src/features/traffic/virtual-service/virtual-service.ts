import type {
  VirtualServiceHttp,
  VirtualServiceHttpMatch,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import type { Origin } from '../../../config/origin.ts';
import { hostCovers, hostKeys, isWildcard } from '../../../plan/hosts.ts';
import { egressListeners, listenerOfPort, scopeOf } from '../../../plan/sidecar.ts';
import { importedOf } from '../../../plan/sidecar-scope.ts';
import { defineSlot } from '../../../plan/slot.ts';
import {
  inPrecedence,
  namespaceOf,
  type VirtualService,
  virtualServiceFacts,
  virtualServicesByHost,
  wildcardVirtualServices,
} from '../../../plan/virtual-services.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

export {
  gatewayKey,
  gatewaysOf,
  inPrecedence,
  isPublic,
  meshVirtualServices,
  namespaceOf,
  type VirtualService,
  type VirtualServiceFacts,
  virtualServiceFacts,
  virtualServiceKind,
  virtualServicesByGateway,
  virtualServicesByHost,
} from '../../../plan/virtual-services.ts';

export type HttpRoute = VirtualServiceHttp;
export type HttpMatch = VirtualServiceHttpMatch;

export function originIn(service: VirtualService, path: string): Origin {
  return {
    kind: 'VirtualService',
    namespace: namespaceOf(service),
    name: service.metadata.name,
    path,
  };
}

const virtualServiceFor = defineQuery(
  'virtual-service.for',
  (view, host: Key): Key => choose(view, host, (keys) => inPrecedence(view, keys)),
);

const scopedVirtualServiceFor = defineQuery(
  'virtual-service.scoped-for',
  (view, scope: Key, position: Key, host: Key): Key =>
    choose(view, host, (keys) => importedOf(view, scope, Number(position), inPrecedence(view, keys))),
);

/**
 * The virtual service that decides for what the asking proxy sends to a host and port, '' for none: the first, in
 * order of precedence, that names the host, else the first of those with the longest wildcard that covers it. Of a Sidecar's listeners the one in charge of the
 * port must let it in.
 */
export function virtualServiceOn(view: View, host: string, port: number | string): Key {
  const scope = view.call(scopeOf);
  if (scope === '') return view.call(virtualServiceFor, host);
  const position = listenerOfPort(view.call(egressListeners, scope), Number(port));
  return position < 0 ? '' : virtualServiceAt(view, scope, position, host);
}

/** The same for one listener of a Sidecar. */
export function virtualServiceAt(view: View, scope: Key, position: number, host: string): Key {
  return view.call(scopedVirtualServiceFor, scope, String(position), host);
}

function choose(view: View, host: Key, inForce: (keys: readonly Key[]) => Key[]): Key {
  const exact = hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => [
    ...view.list(virtualServicesByHost, key),
  ]);
  const [first] = inForce(exact);
  if (first !== undefined) return first;
  let best = '';
  let length = 0;
  for (const key of inForce(view.list(wildcardVirtualServices, '')))
    for (const pattern of view.call(virtualServiceFacts, key)?.hosts ?? [])
      if (isWildcard(pattern) && pattern.length > length && hostCovers(pattern, host)) {
        best = key;
        length = pattern.length;
      }
  return best;
}

/** On routes made from an HTTP route: its text, for the decorators; the origin is the HTTP route's. */
export const httpRouteSlot = defineSlot<HttpRoute>('httpRoute', { visible: false });
