import type { Origin } from '../config/origin.ts';
import { canonicalAddress, parseIp } from '../kit/ip.ts';
import { getOrMake } from '../kit/maps.ts';
import type { LabelIndex } from './label-index.ts';
import type { ServiceSettings } from './mesh-config.ts';
import { servicePortProtocol } from './protocol.ts';
import type { EndpointSlice, KubernetesEndpoints, KubernetesService } from './schema.ts';
import type { Endpoint, MeshService, ServicePort, Workload } from './service.ts';

const exportToAnnotation = 'networking.istio.io/exportTo';
const distributionAnnotation = 'networking.istio.io/traffic-distribution';
/** EndpointSlice label that names its Service. */
export const serviceNameLabel = 'kubernetes.io/service-name';

/** What endpoint computation looks up; the registry keeps it current. */
export interface WorkloadLookup {
  entries: LabelIndex;
  workload(key: string): Workload | undefined;
  pod(key: string): Workload | undefined;
  podByAddress(address: string): Workload | undefined;
  nodeLocality(nodeName: string): string;
  clusterId: string;
}

export function serviceOfKubernetes(service: KubernetesService, mesh: ServiceSettings): MeshService {
  const { name } = service.metadata;
  const namespace = service.metadata.namespace ?? 'default';
  const spec = service.spec ?? {};
  const headless = spec.clusterIP === 'None';
  const alias = spec.type === 'ExternalName';
  const addresses = [
    ...(spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : [])),
    ...(spec.externalIPs ?? []),
  ];
  const origin: Origin = { kind: 'Service', namespace, name, path: '' };
  return {
    hostname: `${name}.${namespace}.svc.${mesh.domainSuffix}`,
    namespace,
    name,
    source: 'kubernetes',
    ports: (spec.ports ?? []).map(
      (port): ServicePort => ({
        name: port.name ?? '',
        port: port.port,
        protocol: servicePortProtocol(port),
      }),
    ),
    resolution: alias ? 'alias' : headless ? 'passthrough' : 'static',
    external: alias,
    addresses: [...new Set(addresses.filter((ip) => ip !== '' && ip !== 'None').map(canonicalAddress))],
    exportTo: exportToOf(service.metadata.annotations?.[exportToAnnotation], mesh.defaultServiceExportTo),
    subjectAltNames: [],
    labels: service.metadata.labels ?? {},
    ...(spec.externalName ? { externalName: spec.externalName } : {}),
    publishNotReady: spec.publishNotReadyAddresses ?? false,
    sessionAffinity: spec.sessionAffinity === 'ClientIP',
    trafficDistribution: distributionOf(
      service.metadata.annotations?.[distributionAnnotation] ?? spec.trafficDistribution ?? '',
    ),
    ...(spec.selector && Object.keys(spec.selector).length > 0 ? { selector: spec.selector } : {}),
    createdAt: service.metadata.creationTimestamp ?? '',
    origin,
  };
}

function exportToOf(annotation: string | undefined, defaults: readonly string[]): readonly string[] {
  const values = (annotation ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  return values.length > 0 ? values : defaults;
}

export function distributionOf(value: string): MeshService['trafficDistribution'] {
  if (value === 'PreferClose' || value === 'PreferSameZone') return 'prefer-close';
  return value === 'PreferSameNode' ? 'prefer-same-node' : 'any';
}

/** Endpoints of EndpointSlices; several slices of a service may hold the same address (while Kubernetes moves it): once is enough. */
export function endpointsOfSlices(
  service: MeshService,
  slices: readonly EndpointSlice[],
  lookup: WorkloadLookup,
): Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.addressType === 'FQDN') continue;
    for (const { name, port } of slice.ports ?? []) {
      const servicePort = service.ports.find((candidate) => candidate.name === (name ?? ''));
      if (!servicePort || !port) continue;
      for (const item of slice.endpoints ?? []) {
        const ready = item.conditions?.ready ?? true;
        const terminating = item.conditions?.terminating ?? false;
        if (terminating && !service.publishNotReady) continue;
        for (const address of item.addresses ?? []) {
          const pod = podOf(service.namespace, item.targetRef, address, lookup);
          const endpoint = endpointOf(
            canonicalAddress(address),
            port,
            servicePort.port,
            pod,
            service,
            lookup,
            {
              nodeName: item.nodeName ?? '',
              zone: item.zone ?? '',
              healthy: ready || service.publishNotReady,
            },
          );
          const id = `${servicePort.port}|${address}|${port}`;
          if (!found.has(id) || endpoint.healthy) found.set(id, endpoint);
        }
      }
    }
  }
  return byWorkload([...found.values()], lookup);
}

/** Kubernetes lists each family of a dual-stack pod in a slice of its own: one endpoint with both addresses, the pod's first one first. */
function byWorkload(endpoints: readonly Endpoint[], lookup: WorkloadLookup): Endpoint[] {
  const groups = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const { servicePort, port, namespace, workload, address } = endpoint;
    const who = workload === '' ? address : `${namespace}/${workload}`;
    getOrMake(groups, `${servicePort}|${port}|${who}`, () => []).push(endpoint);
  }
  return [...groups.values()].flatMap((group): Endpoint[] => {
    if (group.length === 1) return group;
    const addresses = lookup.pod(`${group[0]?.namespace}/${group[0]?.workload}`)?.addresses ?? [];
    const rank = ({ address }: Endpoint): number => addresses.indexOf(address) + 1 || addresses.length + 1;
    const [first, ...others] = [...group].sort((a, b) => rank(a) - rank(b));
    if (!first) return [];
    return [{ ...first, additionalAddresses: others.map(({ address }) => address) }];
  });
}

/** Legacy Endpoints objects. */
export function endpointsOfEndpoints(
  service: MeshService,
  object: KubernetesEndpoints,
  lookup: WorkloadLookup,
): Endpoint[] {
  const found: Endpoint[] = [];
  for (const subset of object.subsets ?? []) {
    for (const { name, port } of subset.ports ?? []) {
      const servicePort = service.ports.find((candidate) => candidate.name === (name ?? ''));
      if (!servicePort) continue;
      const add = (list: typeof subset.addresses, healthy: boolean): void => {
        for (const item of list ?? []) {
          const pod = podOf(service.namespace, item.targetRef, item.ip, lookup);
          found.push(
            endpointOf(item.ip, port, servicePort.port, pod, service, lookup, {
              nodeName: item.nodeName ?? '',
              zone: '',
              healthy: healthy || service.publishNotReady,
            }),
          );
        }
      };
      add(subset.addresses, true);
      add(subset.notReadyAddresses, false);
    }
  }
  return found;
}

function podOf(
  namespace: string,
  ref: { kind?: string; name?: string; namespace?: string } | undefined,
  address: string,
  lookup: WorkloadLookup,
): Workload | undefined {
  if (ref?.kind === 'Pod' && ref.name) return lookup.pod(`${ref.namespace ?? namespace}/${ref.name}`);
  return ref ? undefined : lookup.podByAddress(address);
}

function endpointOf(
  address: string,
  port: number,
  servicePort: number,
  pod: Workload | undefined,
  service: MeshService,
  lookup: WorkloadLookup,
  facts: { nodeName: string; zone: string; healthy: boolean },
): Endpoint {
  return {
    address,
    port,
    servicePort,
    labels: pod?.labels ?? {},
    locality: pod?.locality || lookup.nodeLocality(facts.nodeName) || (facts.zone ? `/${facts.zone}` : ''),
    network: pod?.network ?? '',
    clusterId: lookup.clusterId,
    weight: 0,
    serviceAccount: pod?.serviceAccount ?? '',
    namespace: pod?.namespace ?? service.namespace,
    workload: pod?.name ?? '',
    ...(pod?.controller === undefined ? {} : { controller: pod.controller }),
    tlsMode: pod?.tlsMode ?? 'disabled',
    healthy: facts.healthy,
    nodeName: pod?.nodeName || facts.nodeName,
  };
}

/** WorkloadEntries that a Kubernetes Service's selector matches join its endpoints, as VMs do in Istio. */
export function endpointsOfEntries(
  service: MeshService,
  object: KubernetesService,
  lookup: WorkloadLookup,
): Endpoint[] {
  if (!service.selector) return [];
  const found: Endpoint[] = [];
  for (const key of lookup.entries.select(service.namespace, service.selector)) {
    const workload = lookup.workload(key);
    const address = workload?.addresses[0];
    // Names cannot be delivered as endpoints: a proxy would refuse all of them.
    if (!workload || address === undefined || !isDeliverable(address)) continue;
    for (const port of object.spec?.ports ?? []) {
      if (port.protocol === 'UDP') continue;
      found.push(endpointOfWorkload(workload, address, entryPort(workload, port), port.port, service));
    }
  }
  return found;
}

/** Port map by the service port's name, by its named target port, then the numeric target port, then the port itself. */
function entryPort(
  workload: Workload,
  port: { name?: string; port: number; targetPort?: number | string },
): number {
  const named = workload.ports[port.name ?? ''];
  if (named !== undefined) return named;
  if (typeof port.targetPort === 'number') return port.targetPort;
  return (port.targetPort !== undefined ? workload.ports[port.targetPort] : undefined) ?? port.port;
}

/** Whether an address can be told to proxies as it is: names must be looked up by themselves. */
export function isDeliverable(address: string): boolean {
  return address.startsWith('unix://') || parseIp(address) !== undefined;
}

/** `address` is the workload's first. */
export function endpointOfWorkload(
  workload: Workload,
  address: string,
  port: number,
  servicePort: number,
  service: MeshService,
): Endpoint {
  const additionalAddresses = workload.addresses.slice(1);
  return {
    address,
    ...(additionalAddresses.length > 0 ? { additionalAddresses } : {}),
    port,
    servicePort,
    labels: workload.labels,
    locality: workload.locality,
    network: workload.network,
    clusterId: workload.clusterId,
    weight: workload.weight,
    serviceAccount: workload.serviceAccount,
    namespace: workload.namespace,
    workload: workload.name,
    ...(workload.controller === undefined ? {} : { controller: workload.controller }),
    tlsMode: workload.tlsMode,
    healthy: workload.healthy || service.publishNotReady,
    nodeName: workload.nodeName,
  };
}
