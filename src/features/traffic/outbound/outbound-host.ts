import { type RoutePlan, type VirtualHostPlan, virtualHostPlan } from '../../../plan/route-plan.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hostRoutes, originIn, virtualServiceKind } from '../virtual-service/schema.ts';
import { hostDomains } from './domains.ts';

/** A host as its proxy sees it. */
export interface OutboundHost {
  readonly host: Key;
  readonly port: Key;
  /** '' for none, likewise the virtual service. */
  readonly service: Key;
  readonly virtualService: Key;
  /** As `isNear` says. */
  readonly near: Key;
}

export interface OutboundHostOptions {
  /** The Host must name the port, unless it is 80: the listener is for several. */
  readonly withPort: boolean;
  /** Default: those of its virtual service, or of the service itself. */
  readonly routes?: readonly RoutePlan[];
}

/** Its routes for callers in the mesh. */
export function outboundHostRoutes(view: View, target: OutboundHost): RoutePlan[] {
  const { host, service, virtualService, port } = target;
  return hostRoutes(view, {
    ...{ host, service, virtualService },
    port: Number(port),
    gateways: ['mesh'],
    tls: false,
  });
}

/** The virtual host by which sidecars reach a host; none without a route, or for a host that nobody defines. */
export function outboundHost(
  view: View,
  target: OutboundHost,
  { withPort, routes = outboundHostRoutes(view, target) }: OutboundHostOptions,
): VirtualHostPlan | undefined {
  const { host, service, virtualService, near, port } = target;
  if (routes.length === 0) return undefined;
  const object = view.get(virtualServiceKind, virtualService);
  const origin = view.get(serviceKind, service)?.origin ?? (object && originIn(object, 'spec.hosts'));
  if (!origin) return undefined;
  const names = hostDomains(view, host, service, near);
  const domains = withPort
    ? names.flatMap((name) => (port === '80' ? [name, `${name}:80`] : [`${name}:${port}`]))
    : names;
  return virtualHostPlan({ name: `${host}:${port}`, domains, routes, origin });
}
