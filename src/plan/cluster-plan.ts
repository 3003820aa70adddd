import type { Origin } from '../config/origin.ts';
import { defineSlot, type Slotted } from './slot.ts';

/** The mesh's own service behind an outbound cluster. */
export interface ClusterService {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
  readonly subset: string;
}

/** One address of a cluster or an endpoint set. */
export interface EndpointPlan {
  /** IP, host name or `unix:///path`. */
  readonly address: string;
  /** Further addresses of the same endpoint, tried where the first does not answer. */
  readonly additionalAddresses?: readonly string[];
  readonly port: number;
  /** Relative within its locality, at least 1. */
  readonly weight: number;
  readonly healthy: boolean;
  /** mTLS is spoken there. Read where a cluster's endpoints differ. */
  readonly mtls: boolean;
  /** What telemetry and people want to know of the workload (see kit/workload-facts.ts); '' where nothing is known. */
  readonly workload: string;
}

export interface LocalityPlan {
  /** `region/zone/subzone`, '' where unknown. */
  readonly locality: string;
  /** 0 is tried first; without gaps. */
  readonly priority: number;
  /** 0: the endpoints' weights count alone, not their place. */
  readonly weight: number;
  readonly endpoints: readonly EndpointPlan[];
}

export type Discovery =
  /** `serviceName`: the endpoint set's name where it is not the cluster's. */
  | { readonly type: 'eds'; readonly serviceName?: string }
  | { readonly type: 'strict-dns' | 'logical-dns'; readonly localities: readonly LocalityPlan[] }
  | { readonly type: 'static'; readonly localities: readonly LocalityPlan[] }
  | { readonly type: 'original-destination' }
  /** Resolves the Host header of each request. */
  | { readonly type: 'dynamic-dns' }
  /** No endpoint: every request fails. */
  | { readonly type: 'nothing' };

/**
 * What is spoken to the endpoints. `http-auto`: as the client spoke (HTTP/1.1 or HTTP/2); `http-alpn`: what the TLS handshake with the
 * endpoint comes to.
 */
export type UpstreamProtocol = 'tcp' | 'http1' | 'http2' | 'http-auto' | 'http-alpn';

/** How a proxy secures connections to a cluster. */
export type UpstreamTls =
  | {
      readonly type: 'mesh';
      /** False: plaintext to endpoints without mTLS (`tlsMode` of the endpoint's metadata decides). */
      readonly everyEndpoint: boolean;
      readonly sni: string;
      /** SPIFFE identities that the peer may have; empty: any of the trust domains. */
      readonly identities: readonly string[];
      readonly trustDomains: readonly string[];
      /** TLS 1.3 is spoken where the other end has it; otherwise Envoy's clients go up to 1.2. */
      readonly newest?: true;
    }
  | {
      readonly type: 'origination';
      /** '': none sent. */
      readonly sni: string;
      /** Take the SNI from the request's Host. */
      readonly autoSni: boolean;
      readonly subjectAltNames: readonly string[];
      /** Workload certificate of the mesh, or a secret delivered by the control plane. */
      readonly client?: CertificateSource;
      /** Trust anchors; absent: the server's certificate is not verified. */
      readonly trust?: TrustSource;
      readonly cipherSuites?: readonly string[];
      readonly ecdhCurves?: readonly string[];
    };

export type CertificateSource =
  | { readonly type: 'mesh' }
  | { readonly type: 'secret'; readonly name: string };

export type TrustSource =
  | { readonly type: 'mesh' }
  | { readonly type: 'system' }
  | { readonly type: 'secret'; readonly name: string };

export interface ClusterPlan extends Slotted {
  readonly name: string;
  readonly direction: 'outbound' | 'inbound' | 'passthrough';
  discovery: Discovery;
  protocol: UpstreamProtocol;
  readonly service?: ClusterService;
  tls?: UpstreamTls;
  readonly connectTimeoutMs: number;
  /** Source addresses of upstream connections, one per family, by which the kernel's capture rules tell them from the application's own. */
  readonly bindAddresses?: readonly string[];
  /** Which addresses of a name are called. Default `ipv4-first`. */
  readonly lookup?: 'ipv4-first' | 'ipv6-first' | 'both';
  readonly origin: Origin;
}

export interface EndpointsPlan extends Slotted {
  readonly cluster: string;
  readonly localities: readonly LocalityPlan[];
  readonly origin: Origin;
}

export function clusterPlan(fields: Omit<ClusterPlan, 'slots'>): ClusterPlan {
  return { ...fields, slots: new Map() };
}

export function endpointsPlan(fields: Omit<EndpointsPlan, 'slots'>): EndpointsPlan {
  return { ...fields, slots: new Map() };
}

/** Endpoints of one address in no particular place. */
export function singleEndpoint(
  address: string,
  port: number,
  additionalAddresses: readonly string[] = [],
): readonly LocalityPlan[] {
  return [
    {
      locality: '',
      priority: 0,
      weight: 0,
      endpoints: [
        {
          address,
          ...(additionalAddresses.length > 0 ? { additionalAddresses } : {}),
          port,
          weight: 1,
          healthy: true,
          mtls: false,
          workload: '',
        },
      ],
    },
  ];
}

/** Limits of HTTP connections to a cluster, in milliseconds and counts. */
export interface HttpOptionsPlan {
  readonly idleTimeoutMs?: number;
  readonly maxConnectionDurationMs?: number;
  readonly maxRequestsPerConnection?: number;
  readonly maxConcurrentStreams?: number;
  readonly keepaliveIntervalMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Statuses that count as errors of the endpoint, besides every 5xx. */
  readonly errorStatuses?: readonly number[];
}

/** A PROXY protocol header of that version opens every connection. */
export const proxyProtocolSlot = defineSlot<'V1' | 'V2'>('proxyProtocol');
export const httpOptionsSlot = defineSlot<HttpOptionsPlan>('httpOptions');
/** The cluster is ready only after a secret or a health check came: its users wait for its ACK. */
export const slowWarmingSlot = defineSlot<boolean>('slowWarming');

/** What requests to the cluster are told apart by for a consistent hash. */
export type HashPlan =
  | { readonly type: 'header'; readonly name: string }
  | { readonly type: 'query'; readonly name: string }
  | { readonly type: 'source-ip' }
  | {
      readonly type: 'cookie';
      readonly name: string;
      readonly path: string;
      /** Absent: a cookie of the application, never made by the proxy. 0: a session cookie. */
      readonly ttlMs?: number;
      readonly attributes: readonly (readonly [name: string, value: string])[];
    };

export const hashSlot = defineSlot<HashPlan>('hash');
