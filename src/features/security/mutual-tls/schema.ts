import type { MeshConfig } from '../../../registry/mesh-config.ts';
import { endpointsKind, serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';

export type MtlsMode = MeshConfig['defaultMtlsMode'];

/**
 * What the asking proxy demands of callers of a port. PeerAuthentication objects will be read here, and nowhere else.
 */
export const inboundMtlsMode = defineQuery(
  'mutual-tls.inbound-mode',
  (view, _port: Key): MtlsMode => view.mesh('defaultMtlsMode'),
);

/** Whether the endpoints of a service port take mTLS: `mixed` needs a choice per connection. */
export type EndpointTls = 'mesh' | 'mixed' | 'plain';

/**
 * A service of the mesh without endpoints counts as `mesh`: its first endpoint will have a sidecar more likely than not, and the
 * answer changes with the endpoints anyway.
 */
export const endpointTls = defineQuery(
  'mutual-tls.endpoints',
  (view, service: Key, port: Key): EndpointTls => {
    const endpoints = (view.get(endpointsKind, service)?.endpoints ?? []).filter(
      (endpoint) => String(endpoint.servicePort) === port,
    );
    if (endpoints.length === 0) return view.get(serviceKind, service)?.external ? 'plain' : 'mesh';
    const secured = endpoints.filter((endpoint) => endpoint.tlsMode === 'istio').length;
    if (secured === 0) return 'plain';
    return secured === endpoints.length ? 'mesh' : 'mixed';
  },
);
