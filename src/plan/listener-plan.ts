import type { Origin } from '../config/origin.ts';
import type { CertificateSource, TrustSource } from './cluster-plan.ts';
import type { Destination, VirtualHostPlan } from './route-plan.ts';
import { defineSlot, type Slotted } from './slot.ts';

/** Which connections a filter chain takes; what is absent is not looked at. */
export interface ChainMatch {
  /** The original destination port. */
  readonly port?: number;
  /** Destination ranges in CIDR form. */
  readonly ranges?: readonly string[];
  /** Source ranges in CIDR form. */
  readonly sourceRanges?: readonly string[];
  /** Exact names or `*.example.com`. */
  readonly serverNames?: readonly string[];
  readonly transport?: 'tls' | 'raw_buffer';
  /** ALPN of TLS connections, or what the HTTP inspector detected. */
  readonly applicationProtocols?: readonly string[];
}

export interface DownstreamTls {
  readonly certificates: readonly CertificateSource[];
  /** Trust anchors for client certificates; absent: none is asked for. */
  readonly trust?: TrustSource;
  readonly requireClientCertificate: boolean;
  /** Client identities that are accepted: exact subject alternative names; empty: all that the anchors vouch for. */
  readonly subjectAltNames: readonly string[];
  /** Trust domains that clients must belong to (mesh identities). */
  readonly trustDomains?: readonly string[];
  readonly verifySpki?: readonly string[];
  readonly verifyHash?: readonly string[];
  readonly alpn: readonly string[];
  readonly minVersion?: string;
  readonly maxVersion?: string;
  readonly cipherSuites?: readonly string[];
  readonly ecdhCurves?: readonly string[];
  /** Client certificates that no anchor vouches for are taken too, and told on. */
  readonly acceptUntrusted?: boolean;
}

/** What an edge believes of the proxies in front of it. */
export interface EdgeTrust {
  /** Addresses at the end of x-forwarded-for that trusted proxies wrote. */
  readonly trustedHops: number;
  /** What becomes of x-forwarded-client-cert: names as in Envoy's HttpConnectionManager. */
  readonly forwardClientCert: string;
}

export interface HttpChain {
  readonly type: 'http';
  /** The route configuration: delivered by RDS, or part of the listener. */
  readonly routes:
    | { readonly type: 'discovered'; readonly name: string }
    | { readonly type: 'inline'; readonly name: string; readonly hosts: readonly VirtualHostPlan[] };
  readonly statPrefix: string;
  readonly role: 'inbound' | 'outbound' | 'gateway' | 'forward-proxy';
  /** Peers present a client certificate, to be told on in x-forwarded-client-cert. */
  readonly mutualTls: boolean;
  /** Browsers speak gRPC-Web here. */
  readonly grpcWeb?: boolean;
  /** What is asked for when a request needs it: clusters alone, or virtual hosts too. */
  readonly onDemand?: 'clusters' | 'hosts';
  /** Requests may go to hosts that only DNS knows. */
  readonly dynamicForwardProxy?: boolean;
  /** Gateways. Default: nothing is trusted, and the client's certificate is told on instead of what the client says. */
  readonly edge?: EdgeTrust;
  /** HTTP/3 over QUIC; the listener is a UDP one. */
  readonly http3?: boolean;
}

/** What is spoken on a chain that carries bytes, and the object whose port says so. */
export interface Application {
  readonly protocol: 'Mongo' | 'Redis' | 'Thrift' | 'Dubbo' | 'ZooKeeper';
  readonly owner: Origin;
}

export interface TcpChain {
  readonly type: 'tcp';
  readonly statPrefix: string;
  readonly destinations: readonly Destination[];
  /** Upstream TLS offers this protocol instead of the cluster's: raw bytes on a port that could carry HTTP. */
  readonly offerOnly?: string;
  /** Where Envoy has a filter that understands what is spoken. */
  readonly application?: Application;
  /** 0: none. */
  readonly idleTimeoutMs: number;
}

/** The cluster is the one that the client's server name spells (`outbound_.9080_._.host`); the destinations are for none. */
export const sniRoutedSlot = defineSlot<true>('sniRouted');

export interface FilterChainPlan extends Slotted {
  /** Unique in its listener. */
  readonly name: string;
  readonly match: ChainMatch;
  tls?: DownstreamTls;
  readonly network: HttpChain | TcpChain;
  readonly direction: 'inbound' | 'outbound' | 'gateway';
  /** The port that users know the chain by, where it listens on an allocated one. */
  readonly policyPort?: number;
  readonly origin: Origin;
}

export interface ListenerPlan extends Slotted {
  readonly name: string;
  /** IP; further addresses of the same port listen too. */
  readonly address: string;
  readonly additionalAddresses?: readonly string[];
  readonly port: number;
  readonly direction: 'inbound' | 'outbound';
  /** False: only connections that another listener hands over (transparent capture). */
  readonly bind: boolean;
  /** Connections go to the listener of their original destination. */
  readonly originalDestination: boolean;
  readonly transparent?: boolean;
  /** Connections begin with a PROXY protocol header that tells the client's address. */
  readonly proxyProtocol?: boolean;
  /** UDP: QUIC is spoken. */
  readonly quic?: boolean;
  readonly chains: readonly FilterChainPlan[];
  /** Takes what no chain matches. */
  readonly defaultChain?: FilterChainPlan;
  /** A UDP port: its datagrams go to this cluster, and there are no chains. */
  readonly udpCluster?: string;
  /** Listener filters beyond those that the chains' matches need. */
  readonly origin: Origin;
  /** How long an inspector waits for the client's first bytes, in milliseconds; 0: until they come. */
  readonly detectionTimeoutMs: number;
}

/** Something behind the chains asks for the server name of TLS connections, even where no chain is told apart by it. */
export const serverNameSlot = defineSlot<true>('serverName');

/** What rules for the destinations say of a TCP chain's connections. Absent parts: Envoy's defaults. */
export interface TcpOptionsPlan {
  /** 0: never closed for being idle. */
  readonly idleTimeoutMs?: number;
  readonly maxDurationMs?: number;
  /** Bytes travel inside an HTTP tunnel that the destination, a proxy itself, opens to `target`. */
  readonly tunnel?: { readonly target: string; readonly method: 'CONNECT' | 'POST' };
  /** Connections of one client keep to one endpoint. */
  readonly hashSourceIp?: boolean;
}

export const tcpOptionsSlot = defineSlot<TcpOptionsPlan>('tcpOptions');

/** A secret delivered by the control plane to a gateway. */
export interface SecretPlan extends Slotted {
  readonly name: string;
  readonly content:
    | { readonly type: 'certificate'; readonly certificate: Uint8Array; readonly privateKey: Uint8Array }
    | { readonly type: 'trust'; readonly certificates: Uint8Array; readonly crl?: Uint8Array }
    /** Paths on the proxy's machine. */
    | { readonly type: 'certificate-files'; readonly certificate: string; readonly privateKey: string }
    | { readonly type: 'trust-files'; readonly certificates: string; readonly crl?: string };
  readonly origin: Origin;
}

const applications: readonly string[] = [
  'Mongo',
  'Redis',
  'Thrift',
  'Dubbo',
  'ZooKeeper',
] satisfies Application['protocol'][];

/** The part of a TCP chain that says what is spoken on it; nothing for protocols that no filter understands. */
export function spokenOn(protocol: string, owner: Origin): { readonly application?: Application } {
  if (!applications.includes(protocol)) return {};
  return { application: { protocol: protocol as Application['protocol'], owner } };
}

export function listenerPlan(fields: Omit<ListenerPlan, 'slots'>): ListenerPlan {
  return { ...fields, slots: new Map() };
}

export function filterChainPlan(fields: Omit<FilterChainPlan, 'slots'>): FilterChainPlan {
  return { ...fields, slots: new Map() };
}

export function secretPlan(fields: Omit<SecretPlan, 'slots'>): SecretPlan {
  return { ...fields, slots: new Map() };
}
