import type { ConfigObject, StatusCondition } from '../config/object.ts';

/** The parts of foreign objects that the registry reads. Everything is optional: admission is somebody else's task. */
export type KubernetesService = ConfigObject<{
  type?: string;
  clusterIP?: string;
  clusterIPs?: string[];
  externalName?: string;
  externalIPs?: string[];
  selector?: Record<string, string>;
  ports?: {
    name?: string;
    port: number;
    protocol?: string;
    appProtocol?: string;
    targetPort?: number | string;
  }[];
  publishNotReadyAddresses?: boolean;
  sessionAffinity?: string;
  trafficDistribution?: string;
}>;

export interface EndpointSlice extends ConfigObject {
  addressType?: string;
  endpoints?: {
    addresses?: string[];
    conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
    targetRef?: { kind?: string; name?: string; namespace?: string };
    nodeName?: string;
    zone?: string;
  }[];
  ports?: { name?: string; port?: number; protocol?: string }[];
}

/** Legacy `v1` Endpoints: read where a service has no EndpointSlice. */
export interface KubernetesEndpoints extends ConfigObject {
  subsets?: {
    addresses?: { ip: string; nodeName?: string; targetRef?: { kind?: string; name?: string } }[];
    notReadyAddresses?: { ip: string; nodeName?: string; targetRef?: { kind?: string; name?: string } }[];
    ports?: { name?: string; port: number; protocol?: string }[];
  }[];
}

export type Pod = ConfigObject<
  {
    serviceAccountName?: string;
    nodeName?: string;
    containers?: { ports?: { name?: string; containerPort: number }[] }[];
  },
  { podIP?: string; podIPs?: { ip: string }[]; phase?: string; conditions?: StatusCondition[] }
>;

export interface WorkloadEntrySpec {
  address?: string;
  ports?: Record<string, number>;
  labels?: Record<string, string>;
  network?: string;
  locality?: string;
  weight?: number;
  serviceAccount?: string;
}

export type WorkloadEntry = ConfigObject<WorkloadEntrySpec, { conditions?: StatusCondition[] }>;

export interface ServiceEntrySpec {
  hosts?: string[];
  addresses?: string[];
  ports?: { number: number; protocol?: string; name?: string; targetPort?: number }[];
  location?: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
  resolution?: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';
  endpoints?: WorkloadEntrySpec[];
  workloadSelector?: { labels?: Record<string, string> };
  exportTo?: string[];
  subjectAltNames?: string[];
}

export type ServiceEntry = ConfigObject<
  ServiceEntrySpec,
  { addresses?: { value?: string; host?: string }[]; conditions?: StatusCondition[] }
>;
