/** Istio's cluster name: `outbound|9080|v1|reviews.default.svc.cluster.local`. */
export function outboundCluster(port: number | string, subset: string, host: string): string {
  return `outbound|${port}|${subset}|${host}`;
}

export function inboundCluster(port: number | string): string {
  return `inbound|${port}||`;
}

export interface ClusterName {
  readonly direction: string;
  readonly port: number;
  readonly subset: string;
  readonly host: string;
}

export function parseClusterName(name: string): ClusterName | undefined {
  const parts = name.split('|');
  const [direction, port, subset, host] = parts;
  if (parts.length !== 4 || direction === undefined || subset === undefined || host === undefined)
    return undefined;
  return { direction, port: Number(port), subset, host };
}

/** The endpoints of a cluster of which some take mTLS and some do not. */
export function mixedEndpoints(cluster: string): string {
  return `${cluster}|mixed`;
}

/** Server name by which sidecars and east-west gateways address a cluster: `outbound_.9080_.v1_.host`. */
export function clusterSni(port: number | string, subset: string, host: string): string {
  return `outbound_.${port}_.${subset}_.${host}`;
}

export const passthroughCluster = 'PassthroughCluster';
/** Unknown hosts by DNS, one for all: the outbound policy ALLOW_ANY_DYNAMIC_DNS. */
export const dynamicDnsCluster = 'AllowAnyDynamicDNSCluster';
export const blackHoleCluster = 'BlackHoleCluster';
export const inboundPassthroughCluster = 'InboundPassthroughCluster';
/** The agent's SDS server, a static cluster of the bootstrap: workload certificate `default` and trust bundle `ROOTCA`. */
export const sdsCluster = 'sds-grpc';
/** A static cluster of the bootstrap, by Istio's name: the endpoints of the proxy's own service. */
export const localCluster = 'local_cluster';
