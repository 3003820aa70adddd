import { typeUrls } from '../snapshot/resource.ts';

export interface XdsMethod {
  readonly delta: boolean;
  /** The type of a separate stream; undefined for an aggregated one. */
  readonly typeUrl: string | undefined;
}

const methods = new Map<string, XdsMethod>();

function service(name: string, plural: string, typeUrl: string | undefined, sotw = true): void {
  if (sotw) methods.set(`/envoy.service.${name}/Stream${plural}`, { delta: false, typeUrl });
  methods.set(`/envoy.service.${name}/Delta${plural}`, { delta: true, typeUrl });
}

service('discovery.v3.AggregatedDiscoveryService', 'AggregatedResources', undefined);
service('cluster.v3.ClusterDiscoveryService', 'Clusters', typeUrls.cluster);
service('endpoint.v3.EndpointDiscoveryService', 'Endpoints', typeUrls.endpoints);
service('listener.v3.ListenerDiscoveryService', 'Listeners', typeUrls.listener);
service('route.v3.RouteDiscoveryService', 'Routes', typeUrls.route);
service('route.v3.VirtualHostDiscoveryService', 'VirtualHosts', typeUrls.virtualHost, false);
service('secret.v3.SecretDiscoveryService', 'Secrets', typeUrls.secret);
service('extension.v3.ExtensionConfigDiscoveryService', 'ExtensionConfigs', typeUrls.extension);

/** The method of a gRPC path, or undefined. The unary Fetch methods are not offered: they cannot be pushed to. */
export function findMethod(path: string): XdsMethod | undefined {
  return methods.get(path);
}
