import { holdsLabels } from '../../kit/labels.ts';
import type { Endpoint, MeshService, Resolution } from '../../registry/service.ts';
import { allServices, endpointsKind, serviceKind } from '../../snapshot/kinds.ts';
import type { World } from '../../snapshot/world.ts';
import type { ConnectedProxy } from './connected-proxies.ts';

/** Istio's `model.Resolution`, by number. */
const resolutionNumbers: Readonly<Record<Resolution, number>> = {
  static: 0,
  dns: 1,
  passthrough: 2,
  'dns-round-robin': 3,
  alias: 4,
  'dynamic-dns': 5,
};

export function services(world: World): MeshService[] {
  return world.list(allServices, '').flatMap((key) => world.get(serviceKind, key) ?? []);
}

/** `/debug/registryz`: the services, with the field names of Istio's model. */
export function registryJson(world: World, clusterId: string): unknown[] {
  return services(world).map((service) => serviceJson(service, clusterId));
}

function serviceJson(service: MeshService, clusterId: string): Record<string, unknown> {
  const [address = '0.0.0.0'] = [...service.addresses, ...(service.autoAddresses ?? [])];
  return {
    Attributes: {
      ServiceRegistry: service.source === 'kubernetes' ? 'Kubernetes' : 'External',
      Name: service.name,
      Namespace: service.namespace,
      Labels: service.labels,
      ExportTo: Object.fromEntries(service.exportTo.map((to) => [to, {}])),
      LabelSelectors: service.selector ?? null,
      Aliases: null,
      ClusterExternalAddresses: {},
      ClusterExternalPorts: null,
      ...(service.externalName === undefined
        ? {}
        : { K8sAttributes: { Type: 'ExternalName', ExternalName: service.externalName } }),
    },
    ports: service.ports.map(({ name, port, protocol }) => ({ name, port, protocol })),
    ...(service.createdAt === '' ? {} : { creationTime: service.createdAt }),
    hostname: service.hostname,
    clusterVIPs: { Addresses: service.addresses.length > 0 ? { [clusterId]: service.addresses } : null },
    defaultAddress: address,
    ...(service.autoAddresses?.[0] === undefined
      ? {}
      : { autoAllocatedIPv4Address: service.autoAddresses[0] }),
    ...(service.subjectAltNames.length > 0 ? { serviceAccounts: service.subjectAltNames } : {}),
    Resolution: resolutionNumbers[service.resolution],
    MeshExternal: service.external,
    ResourceVersion: '',
  };
}

/** `/debug/endpointShardz`: host → namespace → the endpoints by where they come from. */
export function endpointShards(world: World): Record<string, Record<string, unknown>> {
  const out: Record<string, Record<string, unknown>> = {};
  for (const service of services(world)) {
    const endpoints = world.get(endpointsKind, `${service.namespace}/${service.hostname}`)?.endpoints ?? [];
    if (endpoints.length === 0) continue;
    const registry = service.source === 'kubernetes' ? 'Kubernetes' : 'External';
    const shards: Record<string, unknown> = {};
    for (const [clusterId, own] of Map.groupBy(endpoints, (one) => one.clusterId || 'Kubernetes'))
      shards[`${registry}/${clusterId}`] = own.map((one) => endpointJson(one, service));
    const accounts = new Set(endpoints.map((one) => `ns/${one.namespace}/sa/${one.serviceAccount}`));
    out[service.hostname] = {
      ...out[service.hostname],
      [service.namespace]: {
        Shards: shards,
        ServiceAccounts: Object.fromEntries([...accounts].map((name) => [name, {}])),
      },
    };
  }
  return out;
}

function endpointJson(endpoint: Endpoint, service: MeshService): Record<string, unknown> {
  return {
    Labels: endpoint.labels,
    Addresses: [endpoint.address, ...(endpoint.additionalAddresses ?? [])],
    ServicePortName: service.ports.find(({ port }) => port === endpoint.servicePort)?.name ?? '',
    ServiceAccount: endpoint.serviceAccount,
    Network: endpoint.network,
    Locality: { Label: endpoint.locality, ClusterID: endpoint.clusterId },
    EndpointPort: endpoint.port,
    LbWeight: endpoint.weight,
    TLSMode: endpoint.tlsMode,
    Namespace: endpoint.namespace,
    WorkloadName: endpoint.workload,
    HostName: '',
    SubDomain: '',
    HealthStatus: endpoint.healthy ? 1 : 2,
    NodeName: endpoint.nodeName,
  };
}

/** `/debug/instancesz`: for each proxy the ports of services that it serves. */
export function instancesJson(world: World, proxies: readonly ConnectedProxy[], clusterId: string): unknown {
  const all = services(world);
  return Object.fromEntries(
    proxies.map(({ proxy }) => [
      proxy.id,
      all
        .filter(
          ({ namespace, selector }) =>
            namespace === proxy.namespace && selector !== undefined && holdsLabels(proxy.labels, selector),
        )
        .flatMap((service) =>
          service.ports.map((port) => ({
            service: serviceJson(service, clusterId),
            port: {
              name: port.name,
              port: port.port,
              protocol: port.protocol,
              targetPort: port.targetPort ?? port.port,
            },
          })),
        ),
    ]),
  );
}
