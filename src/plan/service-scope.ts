import { splitKey } from '../config/object.ts';
import { compareText } from '../kit/maps.ts';
import type { MeshService, ServicePort } from '../registry/service.ts';
import { allServices, serviceKind, servicesByHost } from '../snapshot/kinds.ts';
import { defineQuery, type Key } from '../snapshot/query.ts';
import type { View } from '../snapshot/view.ts';
import { defineIndex } from '../snapshot/world.ts';
import { dnsCapture, hasIpv4, hasIpv6, inNamespace } from './attributes.ts';
import type { UpstreamProtocol } from './cluster-plan.ts';

/** Service port number → services that have it. */
export const servicesByPort = defineIndex('services-by-port', serviceKind, (service) => [
  ...new Set(service.ports.map((port) => String(port.port))),
]);

/** Virtual IP → services that have it. */
export const servicesByVirtualIp = defineIndex('services-by-virtual-ip', serviceKind, (service) => [
  ...new Set([...service.addresses, ...(service.autoAddresses ?? [])]),
]);

/** Whether an `exportTo` list lets the asking proxy see an object of `namespace`. `*` reads nothing of the proxy. */
export function exported(view: View, exportTo: readonly string[], namespace: string): boolean {
  if (exportTo.includes('*')) return true;
  return exportTo.some(
    (target) => target !== '~' && view.attribute(inNamespace(target === '.' ? namespace : target)),
  );
}

interface Candidate {
  readonly namespace: string;
  readonly exportTo: readonly string[];
  readonly createdAt: string;
  readonly kubernetes: boolean;
}

const candidate = defineQuery('scope.candidate', (view, key: Key): Candidate | undefined => {
  const service = view.get(serviceKind, key);
  return service
    ? {
        namespace: service.namespace,
        exportTo: service.exportTo,
        createdAt: service.createdAt,
        kubernetes: service.source === 'kubernetes',
      }
    : undefined;
});

/**
 * The key of the service that a host name means to the asking proxy, '' for none. Where several namespaces define it: the
 * proxy's own, then Kubernetes services, then the oldest.
 */
export const serviceFor = defineQuery('scope.service-for', (view, host: Key): Key => {
  const visible = view.list(servicesByHost, host).filter((key) => {
    const found = view.call(candidate, key);
    return found !== undefined && exported(view, found.exportTo, found.namespace);
  });
  const [only] = visible;
  if (visible.length < 2) return only ?? '';
  const own = visible.find((key) => view.attribute(inNamespace(splitKey(key).namespace)));
  if (own !== undefined) return own;
  const rank = (key: Key): string => {
    const found = view.call(candidate, key);
    return `${found?.kubernetes ? 0 : 1} ${found?.createdAt ?? ''} ${key}`;
  };
  return [...visible].sort((a, b) => compareText(rank(a), rank(b)))[0] ?? '';
});

/** Every host that the asking proxy can call, sorted. The one list of that length: root collections only. */
export const visibleHosts = defineQuery('scope.hosts', (view): readonly string[] => {
  const hosts = new Set<string>();
  for (const key of view.list(allServices, '')) hosts.add(splitKey(key).name);
  return [...hosts].filter((host) => view.call(serviceFor, host) !== '').sort();
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

/** The services that answer on a port and that the asking proxy sees, by key. */
export function servicesOnPort(view: View, port: string): Key[] {
  return view.list(servicesByPort, port).filter((key) => view.call(serviceFor, splitKey(key).name) === key);
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
