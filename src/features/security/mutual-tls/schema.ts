import { mixedEndpoints } from '../../../plan/names.ts';
import type { Endpoint } from '../../../registry/service.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { endpointMode } from '../peer-authentication/schema.ts';

/** Whether mTLS is what an endpoint gets: it has a sidecar, and no PeerAuthentication turns mTLS off there. */
export function takesMtls(view: View, endpoint: Endpoint): boolean {
  return endpoint.tlsMode === 'istio' && endpointMode(view, endpoint) !== 'DISABLE';
}

/** Whether the endpoints of a service port take mTLS: `mixed` needs a choice per connection. */
export type EndpointTls = 'mesh' | 'mixed' | 'plain';

/**
 * The name under which a cluster of a service port gets its endpoints. A cluster that chooses mTLS per endpoint shares no list with one
 * that does not: Envoy serves with the old cluster until the new one is warm, and gives it what comes under its list's name. The first
 * endpoint without mTLS would be called with it, until the cluster that knows better is warm.
 */
export function endpointSet(view: View, service: Key, port: number, cluster: string): string {
  return view.call(endpointTls, service, String(port)) === 'mixed' ? mixedEndpoints(cluster) : cluster;
}

function endpointsOn(view: View, service: Key, port: Key): Endpoint[] {
  return (view.get(endpointsKind, service)?.endpoints ?? []).filter(
    (endpoint) => String(endpoint.servicePort) === port,
  );
}

/** Whether anything is known of who answers on a port. */
export const hasEndpoints = defineQuery(
  'mutual-tls.has-endpoints',
  (view, service: Key, port: Key): boolean => endpointsOn(view, service, port).length > 0,
);

/**
 * A service of the mesh without endpoints counts as `mesh`: its first endpoint will have a sidecar more likely than not, and the
 * answer changes with the endpoints anyway.
 */
export const endpointTls = defineQuery(
  'mutual-tls.endpoints',
  (view, service: Key, port: Key): EndpointTls => {
    const endpoints = endpointsOn(view, service, port);
    if (endpoints.length === 0) return view.get(serviceKind, service)?.external ? 'plain' : 'mesh';
    const secured = endpoints.filter((endpoint) => takesMtls(view, endpoint)).length;
    if (secured === 0) return 'plain';
    return secured === endpoints.length ? 'mesh' : 'mixed';
  },
);
