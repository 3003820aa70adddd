import { canonicalAddress } from '../kit/ip.ts';
import { endpointOfWorkload, isDeliverable, type WorkloadLookup } from './kubernetes-services.ts';
import type { LabelIndex } from './label-index.ts';
import type { ServiceSettings } from './mesh-config.ts';
import { parseProtocol } from './protocol.ts';
import type { ServiceEntry, ServiceEntrySpec } from './schema.ts';
import {
  type Endpoint,
  endpointSet,
  type MeshService,
  type Resolution,
  type ServiceClaim,
  type ServicePort,
  type Workload,
} from './service.ts';
import type { HostAddress } from './virtual-ips.ts';
import { workloadFields } from './workloads.ts';

const resolutions: Readonly<Record<string, Resolution>> = {
  NONE: 'passthrough',
  STATIC: 'static',
  DNS: 'dns',
  DNS_ROUND_ROBIN: 'dns-round-robin',
  DYNAMIC_DNS: 'dynamic-dns',
};

/** One service per host of the entry. */
export function servicesOfEntry(
  entry: ServiceEntry,
  mesh: ServiceSettings,
  automatic: readonly HostAddress[] = [],
): MeshService[] {
  const spec = entry.spec ?? {};
  const namespace = entry.metadata.namespace ?? 'default';
  const labels = entry.metadata.labels ?? {};
  const selector = spec.workloadSelector?.labels;
  return (spec.hosts ?? []).map((hostname, index) => ({
    hostname,
    namespace,
    name: entry.metadata.name,
    source: 'service-entry',
    ports: (spec.ports ?? []).map((port) => ({
      name: port.name ?? '',
      port: port.number,
      protocol: parseProtocol(port.protocol ?? ''),
      ...(port.targetPort ? { targetPort: port.targetPort } : {}),
    })),
    resolution: resolutions[spec.resolution ?? 'NONE'] ?? 'passthrough',
    external: spec.location !== 'MESH_INTERNAL',
    addresses: (spec.addresses ?? []).map(canonicalAddress),
    ...autoAddresses(automatic, hostname),
    exportTo: spec.exportTo && spec.exportTo.length > 0 ? spec.exportTo : mesh.defaultServiceExportTo,
    subjectAltNames: spec.subjectAltNames ?? [],
    labels,
    publishNotReady: false,
    sessionAffinity: false,
    trafficDistribution: 'any',
    ...(selector ? { selector } : {}),
    createdAt: entry.metadata.creationTimestamp ?? '',
    origin: { kind: entry.kind, namespace, name: entry.metadata.name, path: `spec.hosts[${index}]` },
  }));
}

/**
 * One service out of what several objects say of its host, the oldest first. Younger ServiceEntries that agree with the first on how
 * the host is found add their ports, addresses and endpoints; whatever disagrees is passed over (and told so on its status).
 */
export function mergeClaims(claims: readonly ServiceClaim[]): ServiceClaim | undefined {
  const [first, ...others] = claims;
  if (!first) return undefined;
  const alike = others.filter(({ service }) => canMerge(first.service, service));
  if (alike.length === 0) return first;
  const all = [first, ...alike];
  const ports = new Map<number, ServicePort>();
  for (const port of all.flatMap(({ service }) => service.ports))
    if (!ports.has(port.port)) ports.set(port.port, port);
  const service: MeshService = {
    ...first.service,
    ports: [...ports.values()],
    addresses: [...new Set(all.flatMap((claim) => claim.service.addresses))],
    subjectAltNames: [...new Set(all.flatMap((claim) => claim.service.subjectAltNames))],
    mergedFrom: alike.map((claim) => claim.service.name).sort(),
  };
  const endpoints = new Map(
    all.flatMap((claim) => claim.endpoints.endpoints).map((endpoint) => [endpointId(endpoint), endpoint]),
  );
  return { service, endpoints: endpointSet(service, [...endpoints.values()]) };
}

function autoAddresses(automatic: readonly HostAddress[], hostname: string): Partial<MeshService> {
  const own = automatic.filter(({ host }) => host === hostname).map(({ value }) => value);
  return own.length > 0 ? { autoAddresses: own } : {};
}

function canMerge(a: MeshService, b: MeshService): boolean {
  return (
    a.source === 'service-entry' &&
    b.source === 'service-entry' &&
    a.resolution === b.resolution &&
    a.external === b.external &&
    [...a.exportTo].sort().join() === [...b.exportTo].sort().join()
  );
}

function endpointId({ servicePort, address, port, workload }: Endpoint): string {
  return `${servicePort}|${address}|${port}|${workload}`;
}

/** Inline endpoints, selected workloads, or, for DNS without any, the host itself. */
export function endpointsOfEntry(
  entry: ServiceEntry,
  service: MeshService,
  lookup: WorkloadLookup & { pods: LabelIndex },
): Endpoint[] {
  const spec = entry.spec ?? {};
  if (service.resolution === 'passthrough' || service.resolution === 'dynamic-dns') return [];
  const workloads = service.selector
    ? selectedWorkloads(service, service.selector, lookup)
    : inlineWorkloads(spec, service, lookup.clusterId);
  if (workloads.length === 0 && !service.selector && isDns(service.resolution))
    workloads.push(bareWorkload(service, lookup.clusterId));
  const found: Endpoint[] = [];
  for (const workload of workloads) {
    const address = workload.addresses[0];
    if (address === undefined || (service.resolution === 'static' && !isDeliverable(address))) continue;
    for (const port of spec.ports ?? [])
      found.push(endpointOfWorkload(workload, address, endpointPort(workload, port), port.number, service));
  }
  return found;
}

function endpointPort(
  workload: Workload,
  port: { number: number; name?: string; targetPort?: number },
): number {
  return workload.ports[port.name ?? ''] ?? (port.targetPort || port.number);
}

function isDns(resolution: Resolution): boolean {
  return resolution === 'dns' || resolution === 'dns-round-robin';
}

function inlineWorkloads(spec: ServiceEntrySpec, service: MeshService, clusterId: string): Workload[] {
  return (spec.endpoints ?? []).map((endpoint) => ({
    ...workloadFields(endpoint, endpoint.labels ?? {}),
    name: '',
    namespace: service.namespace,
    clusterId,
    healthy: true,
    origin: service.origin,
  }));
}

function bareWorkload(service: MeshService, clusterId: string): Workload {
  return {
    ...workloadFields({ address: service.hostname }, {}),
    name: '',
    namespace: service.namespace,
    clusterId,
    healthy: true,
    origin: service.origin,
  };
}

function selectedWorkloads(
  service: MeshService,
  selector: Readonly<Record<string, string>>,
  lookup: WorkloadLookup & { pods: LabelIndex },
): Workload[] {
  const found: Workload[] = [];
  for (const key of lookup.entries.select(service.namespace, selector)) {
    const workload = lookup.workload(key);
    if (workload) found.push(workload);
  }
  for (const key of lookup.pods.select(service.namespace, selector)) {
    // A workload that has both a Pod and a WorkloadEntry (standalone mode) counts once, by its entry.
    const pod = lookup.entries.labels(key) ? undefined : lookup.pod(key);
    if (pod) found.push(pod);
  }
  return found;
}
