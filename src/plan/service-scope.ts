import { splitKey } from '../config/object.ts';
import type { MeshService, ServicePort } from '../registry/service.ts';
import { allServices, serviceKind } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';
import { dnsCapture, hasIpv4, hasIpv6 } from './attributes.ts';
import type { UpstreamProtocol } from './cluster-plan.ts';
import { exportedServices, preferredService } from './exports.ts';
import { egressListeners, listenerOfPort, scopeOf } from './sidecar.ts';
import { importedService, scopedHosts, scopedPort, scopedService } from './sidecar-scope.ts';

/** Service port number → services that have it. */
export const servicesByPort = defineIndex('services-by-port', serviceKind, (service) => [
  ...new Set(service.ports.map((port) => String(port.port))),
]);

/** Virtual IP → services that have it. */
export const servicesByVirtualIp = defineIndex('services-by-virtual-ip', serviceKind, (service) => [
  ...new Set([...service.addresses, ...(service.autoAddresses ?? [])]),
]);

/**
 * The key of the service that a host name means to the asking proxy, '' for none. Where several namespaces define it: the
 * proxy's own, then Kubernetes services, then the oldest. A Sidecar hides what its egress listeners do not let in.
 */
export const serviceFor = defineQuery('scope.service-for', (view, host: Key): Key => {
  const scope = view.call(scopeOf);
  return scope === ''
    ? preferredService(view, exportedServices(view, host))
    : view.call(scopedService, scope, host);
});

/** The same for what is called on one port: a Sidecar may let in other services on other ports. */
export function serviceOn(view: View, host: string, port: number | string): Key {
  const scope = view.call(scopeOf);
  if (scope === '') return view.call(serviceFor, host);
  const position = listenerOfPort(view.call(egressListeners, scope), Number(port));
  return position < 0 ? '' : view.call(importedService, scope, String(position), host);
}

/** Whether the asking proxy may need a cluster for a port of a host that it sees. */
export function needsPort(view: View, host: string, port: number): boolean {
  const scope = view.call(scopeOf);
  return scope === '' || view.call(scopedPort, scope, host, String(port));
}

/** Whether a Sidecar hides from the asking proxy, on a port, a host that the mesh has. */
export function isHidden(view: View, host: string, port: number | string): boolean {
  return (
    view.call(scopeOf) !== '' && serviceOn(view, host, port) === '' && exportedServices(view, host).length > 0
  );
}

/** A service that a host means on some ports. */
export interface SeenService {
  readonly service: Key;
  readonly sees: (port: number | string) => boolean;
}

/** What a visible host means to the asking proxy: one service on all ports, unless a Sidecar lets in others on others. */
export function seenServices(view: View, host: string): readonly SeenService[] {
  const scope = view.call(scopeOf);
  if (scope === '') return [{ service: view.call(serviceFor, host), sees: () => true }];
  const listeners = view.call(egressListeners, scope);
  return listeners.flatMap((_, position): SeenService[] => {
    const service = view.call(importedService, scope, String(position), host);
    const sees = (port: number | string) => listenerOfPort(listeners, Number(port)) === position;
    return service === '' ? [] : [{ service, sees }];
  });
}

/** Every host that the asking proxy can call, sorted. The one list of that length: root collections only. */
export const visibleHosts = defineQuery('scope.hosts', (view): readonly string[] => {
  const scope = view.call(scopeOf);
  const hosts =
    scope === ''
      ? [...new Set(view.list(allServices, '').map((key) => splitKey(key).name))]
      : view.call(scopedHosts, scope);
  return hosts.filter((host) => view.call(serviceFor, host) !== '').sort();
});

/** The ports of a service. */
export const portsOf = defineQuery('scope.ports', (view, key: Key): readonly ServicePort[] => {
  return view.get(serviceKind, key)?.ports ?? [];
});

/** Services whose hosts are resolved per request, under ''. */
const dynamicDnsServices = defineIndex('services-dynamic-dns', serviceKind, (service) =>
  service.resolution === 'dynamic-dns' ? [''] : [],
);

/** Whether the asking proxy may call a host that is resolved per request: its HTTP chains then need the filter that does it. */
export const usesDynamicDns = defineQuery('scope.dynamic-dns', (view): boolean =>
  view.list(dynamicDnsServices, '').some((key) => view.call(serviceFor, splitKey(key).name) === key),
);

/** The services that answer on a port and that the asking proxy sees there, by key. */
export function servicesOnPort(view: View, port: string): Key[] {
  if (view.call(scopeOf) === '')
    return view.list(servicesByPort, port).filter((key) => view.call(serviceFor, splitKey(key).name) === key);
  return view
    .call(visibleHosts)
    .flatMap((host) => serviceOn(view, host, port) || [])
    .filter((key) => view.call(portsOf, key).some((candidate) => String(candidate.port) === port))
    .sort();
}

/** The first service, by key, that owns a virtual IP: two that claim one must not make the same domain or listener. */
export function ownsVirtualIp(view: View, key: Key, address: string): boolean {
  const owners = view.list(servicesByVirtualIp, address);
  if (owners.length < 2) return true;
  return owners.find((owner) => view.call(serviceFor, splitKey(owner).name) === owner) === key;
}

/** Addresses and ranges by which a proxy's application calls a service: as given, else the automatic ones that its DNS answers with. */
export function addressesFor(view: View, service: MeshService): readonly string[] {
  const { addresses, autoAddresses = [] } = service;
  if (addresses.length > 0 || autoAddresses.length === 0 || !view.attribute(dnsCapture)) return addresses;
  return autoAddresses.filter((address) => view.attribute(address.includes(':') ? hasIpv6 : hasIpv4));
}

export function isHttp(port: Pick<ServicePort, 'protocol'>): boolean {
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPCWeb'].includes(port.protocol);
}

/** Nothing says what is spoken: the first bytes of a connection decide. */
export function isSniffed(port: Pick<ServicePort, 'protocol'>): boolean {
  return port.protocol === 'Unsupported';
}

export function speaksHttp2(port: Pick<ServicePort, 'protocol'>): boolean {
  return ['HTTP2', 'GRPC', 'GRPCWeb'].includes(port.protocol);
}

/** What a port's endpoints are spoken to: as declared; an undeclared one gets what the client spoke. */
export function spokenTo(port: Pick<ServicePort, 'protocol'>): UpstreamProtocol {
  if (speaksHttp2(port)) return 'http2';
  if (port.protocol === 'HTTP') return 'http1';
  return isSniffed(port) ? 'http-auto' : 'tcp';
}

export function isTlsPort(port: Pick<ServicePort, 'protocol'>): boolean {
  return port.protocol === 'HTTPS' || port.protocol === 'TLS';
}

/** UDP is not carried. */
export function isCarried(port: Pick<ServicePort, 'protocol'>): boolean {
  return port.protocol !== 'UDP';
}

export function findPort(service: Pick<MeshService, 'ports'>, port: number): ServicePort | undefined {
  return service.ports.find((candidate) => candidate.port === port);
}
