import type { VirtualServiceHttp, VirtualServiceSpec } from '../../gen/crd/types/istio/virtual-service.ts';
import type { ConfigObject } from '../config/object.ts';
import { compareText } from '../kit/maps.ts';
import { configKind } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';
import { inNamespace } from './attributes.ts';
import { exported } from './exports.ts';
import { hostKey, isWildcard, resolveHost } from './hosts.ts';

export type VirtualService = ConfigObject<VirtualServiceSpec>;

export const virtualServiceKind = configKind<VirtualServiceSpec>('VirtualService');

export function namespaceOf(service: VirtualService): string {
  return service.metadata.namespace ?? 'default';
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

/** Namespace → virtual services of the mesh in it. */
export const virtualServicesByNamespace = defineIndex(
  'virtual-services-by-namespace',
  virtualServiceKind,
  (service) => (hostsForMesh(service).length > 0 ? [namespaceOf(service)] : []),
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
  /** Oldest first, then by name and namespace: Istio's order among those of one reach (see inPrecedence). */
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

/**
 * Keys of the virtual services that are exported to the asking proxy, in order of precedence: those that only the proxy's namespace has for
 * itself, those that another namespace has exported to it by name, then those for everybody; the oldest first among equals. So a
 * namespace can have its own way with a host for which somebody routes everybody's requests.
 */
export function inPrecedence(view: View, keys: readonly Key[]): Key[] {
  const found = keys.flatMap((key) => {
    const facts = view.call(virtualServiceFacts, key);
    return facts && exported(view, facts.exportTo, facts.namespace) ? [{ key, facts }] : [];
  });
  const alike = found.every(({ facts }) => isPublic(facts));
  return found
    .map(({ key, facts }) => ({ key, rank: `${alike ? '' : reachOf(view, facts)} ${facts.order}` }))
    .sort((a, b) => compareText(a.rank, b.rank))
    .map(({ key }) => key);
}

export function isPublic({ exportTo }: VirtualServiceFacts): boolean {
  return exportTo.includes('*');
}

function reachOf(view: View, facts: VirtualServiceFacts): 0 | 1 | 2 {
  if (isPublic(facts)) return 2;
  return view.attribute(inNamespace(facts.namespace)) ? 0 : 1;
}

/** The hosts that a virtual service may send something to (mirrors and delegates included), by their full names, sorted. */
export const virtualServiceDestinations = defineQuery(
  'virtual-service.destinations',
  (view, key: Key): readonly string[] => {
    const found = new Set<string>();
    const seen = new Set<Key>();
    const visit = (at: Key): void => {
      const service = view.get(virtualServiceKind, at);
      if (!service || seen.has(at)) return;
      seen.add(at);
      const namespace = namespaceOf(service);
      for (const host of namedHosts(service))
        found.add(resolveHost(host, namespace, view.mesh('domainSuffix')));
      for (const { delegate } of service.spec?.http ?? [])
        if (delegate?.name) visit(`${delegate.namespace || namespace}/${delegate.name}`);
    };
    visit(key);
    return [...found].sort();
  },
);

function namedHosts(service: VirtualService): string[] {
  const { http = [], tcp = [], tls = [] } = service.spec ?? {};
  return [
    ...[...http, ...tcp, ...tls].flatMap(({ route = [] }) =>
      route.map(({ destination }) => destination.host),
    ),
    ...http.flatMap(mirrorHosts),
  ];
}

function mirrorHosts({ mirror, mirrors = [] }: VirtualServiceHttp): string[] {
  return [mirror, ...mirrors.map(({ destination }) => destination)].flatMap((target) =>
    target ? [target.host] : [],
  );
}
