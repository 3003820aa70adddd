import type { Origin } from '../config/origin.ts';
import { compareText } from '../kit/maps.ts';

/** Application protocol of a service port, chosen by port name prefix, then appProtocol, then `Unsupported` (sniff). */
export type Protocol =
  | 'HTTP'
  | 'HTTP2'
  | 'GRPC'
  | 'GRPCWeb'
  | 'HTTPS'
  | 'TLS'
  | 'TCP'
  | 'UDP'
  | 'Mongo'
  | 'Redis'
  | 'Thrift'
  | 'Dubbo'
  | 'ZooKeeper'
  | 'MySQL'
  | 'Postgres'
  | 'Kafka'
  | 'HBONE'
  | 'Unsupported';

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** ServiceEntry `targetPort`, where given. */
  readonly targetPort?: number;
}

/** How a sidecar finds the endpoints. `passthrough`: headless or NONE, the original destination. */
export type Resolution = 'static' | 'dns' | 'dns-round-robin' | 'dynamic-dns' | 'passthrough' | 'alias';

/** A service of any platform, by its fully qualified host. World kind `service`, key `namespace/hostname`. */
export interface MeshService {
  readonly hostname: string;
  readonly namespace: string;
  /** The object's own name (`reviews`), for short names and metrics. */
  readonly name: string;
  readonly source: 'kubernetes' | 'service-entry';
  readonly ports: readonly ServicePort[];
  readonly resolution: Resolution;
  readonly external: boolean;
  /** Virtual IPs (cluster IPs, ServiceEntry addresses). */
  readonly addresses: readonly string[];
  /** Virtual IPs that nobody wrote: proxies use them where their DNS answers with them. */
  readonly autoAddresses?: readonly string[];
  /** `*` (all), `.` (own namespace), `~` (none) or namespaces; never empty: mesh defaults are filled in. */
  readonly exportTo: readonly string[];
  /** Identities that the endpoints may have; empty: derived from the endpoints' service accounts. */
  readonly subjectAltNames: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** ExternalName or alias target. */
  readonly externalName?: string;
  readonly publishNotReady: boolean;
  readonly sessionAffinity: boolean;
  readonly trafficDistribution: 'any' | 'prefer-close' | 'prefer-same-node';
  /** Pod label selector (Kubernetes) or workloadSelector; absent: endpoints are given by hand. */
  readonly selector?: Readonly<Record<string, string>>;
  /** RFC 3339, '' where unknown: older objects win conflicts. */
  readonly createdAt: string;
  readonly origin: Origin;
  /** Younger ServiceEntries of the same host that add ports, addresses and endpoints to it, by name. */
  readonly mergedFrom?: readonly string[];
}

/** One address that serves a service port. */
export interface Endpoint {
  /** IP, host name (DNS resolutions) or `unix:///path`. */
  readonly address: string;
  /** Further addresses of the same workload, of its other IP family. */
  readonly additionalAddresses?: readonly string[];
  /** The port to call. */
  readonly port: number;
  /** The service port's name and number that it serves. */
  readonly servicePort: number;
  readonly labels: Readonly<Record<string, string>>;
  /** `region/zone/subzone`. */
  readonly locality: string;
  readonly network: string;
  readonly clusterId: string;
  /** 0 means 1. */
  readonly weight: number;
  readonly serviceAccount: string;
  readonly namespace: string;
  /** Workload (pod or WorkloadEntry) name; '' where unknown. Proxies find their own endpoints by it. */
  readonly workload: string;
  /** Name of the Deployment or its like behind the workload; absent: nobody knows of one. */
  readonly controller?: string;
  /** `istio`: a sidecar accepts mTLS there; `disabled`: plaintext only. */
  readonly tlsMode: 'istio' | 'disabled';
  readonly healthy: boolean;
  readonly nodeName: string;
}

/** All endpoints of a service. World kind `endpoints`, key as the service's. Sorted by port, then address. */
export interface ServiceEndpoints {
  readonly hostname: string;
  readonly namespace: string;
  readonly endpoints: readonly Endpoint[];
}

/** A running workload: a Pod or a WorkloadEntry. World kind `workload`, key `namespace/name`. */
export interface Workload {
  readonly name: string;
  /** Name of the Deployment or its like that made it. */
  readonly controller?: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly network: string;
  readonly locality: string;
  readonly weight: number;
  readonly clusterId: string;
  /** WorkloadEntry port names → port numbers. */
  readonly ports: Readonly<Record<string, number>>;
  readonly healthy: boolean;
  readonly nodeName: string;
  readonly tlsMode: 'istio' | 'disabled';
  readonly origin: Origin;
}

/** What one object says of a host. */
export interface ServiceClaim {
  readonly service: MeshService;
  readonly endpoints: ServiceEndpoints;
}

export function endpointSet(service: MeshService, endpoints: Endpoint[]): ServiceEndpoints {
  endpoints.sort(
    (a, b) =>
      a.servicePort - b.servicePort ||
      compareText(a.address, b.address) ||
      a.port - b.port ||
      compareText(a.workload, b.workload),
  );
  return { hostname: service.hostname, namespace: service.namespace, endpoints };
}
