import type {
  VirtualServiceHttp,
  VirtualServiceHttpMatch,
  VirtualServiceSpec,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { compareText } from '../../../kit/maps.ts';
import { hostCovers, hostKey, hostKeys, isWildcard, resolveHost } from '../../../plan/hosts.ts';
import { exported } from '../../../plan/service-scope.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export type VirtualService = ConfigObject<VirtualServiceSpec>;
export type HttpRoute = VirtualServiceHttp;
export type HttpMatch = VirtualServiceHttpMatch;

export const virtualServiceKind = configKind<VirtualServiceSpec>('VirtualService');

export function namespaceOf(service: VirtualService): string {
  return service.metadata.namespace ?? 'default';
}

export function originIn(service: VirtualService, path: string): Origin {
  return {
    kind: 'VirtualService',
    namespace: namespaceOf(service),
    name: service.metadata.name,
    path,
  };
}

/** No gateway named: the sidecars of the mesh. */
export function gatewaysOf(service: VirtualService): readonly string[] {
  const gateways = service.spec?.gateways ?? [];
  return gateways.length === 0
    ? ['mesh']
    : gateways.map((gateway) => gatewayKey(gateway, namespaceOf(service)));
}

/** `mesh`, or `namespace/name` of a Gateway; a bare name belongs to the object's own namespace. */
export function gatewayKey(gateway: string, namespace: string): string {
  return gateway === 'mesh' || gateway.includes('/') ? gateway : `${namespace}/${gateway}`;
}

function hostsForMesh(service: VirtualService): readonly string[] {
  return gatewaysOf(service).includes('mesh') ? (service.spec?.hosts ?? []) : [];
}

/** Exact hosts (see hostKey) → virtual services of the mesh. */
export const virtualServicesByHost = defineIndex('virtual-services-by-host', virtualServiceKind, (service) =>
  hostsForMesh(service)
    .filter((host) => !isWildcard(host))
    .map((host) => hostKey(host, namespaceOf(service))),
);

/** Virtual services of the mesh with a wildcard host, under ''. */
export const wildcardVirtualServices = defineIndex(
  'virtual-services-wildcard',
  virtualServiceKind,
  (service) => (hostsForMesh(service).some(isWildcard) ? [''] : []),
);

/** All virtual services of the mesh, under ''. */
export const meshVirtualServices = defineIndex('virtual-services-of-mesh', virtualServiceKind, (service) =>
  hostsForMesh(service).length > 0 ? [''] : [],
);

/** `namespace/gateway` → virtual services bound to it. */
export const virtualServicesByGateway = defineIndex(
  'virtual-services-by-gateway',
  virtualServiceKind,
  (service) => gatewaysOf(service).filter((gateway) => gateway !== 'mesh'),
);

export interface VirtualServiceFacts {
  readonly namespace: string;
  /** Full names. */
  readonly hosts: readonly string[];
  readonly exportTo: readonly string[];
  /** Oldest first, then by name and namespace: Istio's order of precedence. */
  readonly order: string;
  readonly hasHttp: boolean;
  readonly hasTcp: boolean;
  readonly hasTls: boolean;
}

/** What the lookup needs; changes of routes stop here. */
export const virtualServiceFacts = defineQuery(
  'virtual-service.facts',
  (view, key: Key): VirtualServiceFacts | undefined => {
    const service = view.get(virtualServiceKind, key);
    if (!service) return undefined;
    const { spec, metadata } = service;
    const namespace = namespaceOf(service);
    const exportTo = spec?.exportTo ?? [];
    return {
      namespace,
      hosts: (spec?.hosts ?? []).map((host) => resolveHost(host, namespace, view.mesh('domainSuffix'))),
      exportTo: exportTo.length > 0 ? exportTo : view.mesh('defaultVirtualServiceExportTo'),
      order: `${metadata.creationTimestamp ?? ''} ${metadata.name}.${namespace}`,
      hasHttp: (spec?.http?.length ?? 0) > 0,
      hasTcp: (spec?.tcp?.length ?? 0) > 0,
      hasTls: (spec?.tls?.length ?? 0) > 0,
    };
  },
);

/** Keys of the virtual services that the asking proxy sees, in order of precedence. */
export function inPrecedence(view: View, keys: readonly Key[]): Key[] {
  return keys
    .flatMap((key) => {
      const facts = view.call(virtualServiceFacts, key);
      return facts && exported(view, facts.exportTo, facts.namespace) ? [{ key, facts }] : [];
    })
    .sort((a, b) => compareText(a.facts.order, b.facts.order))
    .map(({ key }) => key);
}

/**
 * The virtual service that decides for a host in the mesh, '' for none: the oldest that names it, else the oldest of those with
 * the longest wildcard that covers it.
 */
export const virtualServiceFor = defineQuery('virtual-service.for', (view, host: Key): Key => {
  const exact = hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => [
    ...view.list(virtualServicesByHost, key),
  ]);
  const [first] = inPrecedence(view, exact);
  if (first !== undefined) return first;
  let best = '';
  let length = 0;
  for (const key of inPrecedence(view, view.list(wildcardVirtualServices, '')))
    for (const pattern of view.call(virtualServiceFacts, key)?.hosts ?? [])
      if (isWildcard(pattern) && pattern.length > length && hostCovers(pattern, host)) {
        best = key;
        length = pattern.length;
      }
  return best;
});

/** On routes made from an HTTP route: its text, for the decorators; the origin is the HTTP route's. */
export const httpRouteSlot = defineSlot<HttpRoute>('httpRoute', { visible: false });
