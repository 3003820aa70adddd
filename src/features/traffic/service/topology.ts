import type { Endpoint } from '../../../registry/service.ts';
import type { Attribute } from '../../../snapshot/attribute.ts';
import type { MeshProxy } from '../../../snapshot/proxy.ts';

export const regionLabel = 'topology.kubernetes.io/region';
export const zoneLabel = 'topology.kubernetes.io/zone';
export const subzoneLabel = 'topology.istio.io/subzone';
export const networkLabel = 'topology.istio.io/network';
export const clusterLabel = 'topology.istio.io/cluster';
export const hostnameLabel = 'kubernetes.io/hostname';

/** A label of an endpoint; those of its place are known whether its workload carries them or not. */
export function endpointLabel(endpoint: Endpoint, name: string): string {
  const [region = '', zone = '', subZone = ''] = endpoint.locality.split('/');
  switch (name) {
    case regionLabel:
      return region;
    case zoneLabel:
      return zone;
    case subzoneLabel:
      return subZone;
    case networkLabel:
      return endpoint.network;
    case clusterLabel:
      return endpoint.clusterId;
    case hostnameLabel:
      return endpoint.nodeName || (endpoint.labels[name] ?? '');
    default:
      return endpoint.labels[name] ?? '';
  }
}

function proxyLabel(proxy: MeshProxy, name: string): string {
  switch (name) {
    case regionLabel:
      return proxy.locality.region;
    case zoneLabel:
      return proxy.locality.zone;
    case subzoneLabel:
      return proxy.locality.subZone;
    case networkLabel:
      return proxy.network;
    case clusterLabel:
      return proxy.clusterId;
    case hostnameLabel:
      return String(proxy.metadata.NODE_NAME ?? proxy.labels[name] ?? '');
    default:
      return proxy.labels[name] ?? '';
  }
}

/** The caller's side of label priorities, as JSON: a value per label, that of `name=value` included. */
export function priorityValues(priorities: readonly string[]): Attribute<string> {
  return {
    id: `priorities=${priorities.join(',')}`,
    value: (proxy) =>
      JSON.stringify(
        priorities.map((label) => {
          const [name = '', value] = splitPriority(label);
          return value ?? proxyLabel(proxy, name);
        }),
      ),
  };
}

export function splitPriority(label: string): [name: string, value: string | undefined] {
  const equals = label.indexOf('=');
  return equals < 0 ? [label, undefined] : [label.slice(0, equals), label.slice(equals + 1)];
}
