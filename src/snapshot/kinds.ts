import type { ConfigObject } from '../config/object.ts';
import type { MeshService, ServiceEndpoints } from '../registry/service.ts';
import { defineIndex, defineKindToken } from './world.ts';

/** Derived by the registry from every platform. Keys: `namespace/hostname`. */
export const serviceKind = defineKindToken<MeshService>('service');
export const endpointsKind = defineKindToken<ServiceEndpoints>('endpoints');

/** Every service, under the key ''. */
export const allServices = defineIndex('services', serviceKind, () => ['']);
/** Services by host name: the same host may be defined in several namespaces. */
export const servicesByHost = defineIndex('services-by-host', serviceKind, (service) => [service.hostname]);
/** `namespace/workload name` → services that it is an endpoint of. */
export const endpointsByWorkload = defineIndex('endpoints-by-workload', endpointsKind, (value) => [
  ...new Set(value.endpoints.filter((e) => e.workload !== '').map((e) => `${e.namespace}/${e.workload}`)),
]);
/** Endpoint address → services. */
export const endpointsByAddress = defineIndex('endpoints-by-address', endpointsKind, (value) => [
  ...new Set(value.endpoints.flatMap((e) => [e.address, ...(e.additionalAddresses ?? [])])),
]);

/** Configuration objects keep their Kubernetes kind as the token's name and `namespace/name` as key. */
export function configKind<Spec>(kind: string) {
  return defineKindToken<ConfigObject<Spec>>(kind);
}
