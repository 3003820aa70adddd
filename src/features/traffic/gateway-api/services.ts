import { findPort } from '../../../plan/service-scope.ts';
import type { MeshService } from '../../../registry/service.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { gatewayNameLabel, type ParentId } from './kinds.ts';

export function hostOf(view: View, namespace: string, name: string): string {
  return `${name}.${namespace}.svc.${view.mesh('domainSuffix')}`;
}

/** What references need to know of a service; endpoints and labels move nothing. */
export interface ServiceFacts {
  readonly host: string;
  readonly ports: MeshService['ports'];
}

const factsOf = defineQuery('gateway-api.service', (view, key: Key): ServiceFacts | undefined => {
  const service = view.get(serviceKind, key);
  return service && { host: service.hostname, ports: service.ports };
});

/** A Kubernetes service by namespace and name. */
export function serviceOf(view: View, namespace: string, name: string): ServiceFacts | undefined {
  return view.call(factsOf, `${namespace}/${hostOf(view, namespace, name)}`);
}

export function serviceByKey(view: View, key: Key): ServiceFacts | undefined {
  return view.call(factsOf, key);
}

export function hasPort(facts: ServiceFacts, port: number): boolean {
  return findPort(facts, port) !== undefined;
}

/** The Gateway (`namespace/name`) that a service names as its waypoint, '' for none. */
export const waypointOf = defineQuery('gateway-api.waypoint', (view, key: Key): Key => {
  const service = view.get(serviceKind, key);
  const name = service?.labels['istio.io/use-waypoint'] ?? '';
  if (!service || name === '' || name === 'none') return '';
  return `${service.labels['istio.io/use-waypoint-namespace'] ?? service.namespace}/${name}`;
});

/** `namespace/name` of a ServiceEntry → keys of the services that it makes. */
const servicesByEntry = defineIndex('gateway-api-services-by-entry', serviceKind, (service) =>
  service.origin.kind === 'ServiceEntry' ? [`${service.origin.namespace}/${service.origin.name}`] : [],
);

export const serviceEntryHosts = defineQuery('gateway-api.entry-hosts', (view, entry: Key): readonly Key[] =>
  view.list(servicesByEntry, entry),
);

/** `namespace/gateway` → keys of the Services that lead to the workloads of a Gateway. */
export const servicesByGateway = defineIndex('gateway-api-services-by-gateway', serviceKind, (service) => {
  const name = service.labels[gatewayNameLabel];
  return name === undefined ? [] : [`${service.namespace}/${name}`];
});

/** A service as routes and policies name it. */
export function parentOfService(service: MeshService): ParentId {
  const { kind, namespace, name } = service.origin;
  return kind === 'ServiceEntry'
    ? `ServiceEntry/${namespace}/${name}`
    : `Service/${service.namespace}/${service.name}`;
}
