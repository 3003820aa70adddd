export interface KnownAnnotation {
  /** Kinds that it means something on; `Any` is every kind. */
  readonly on: readonly string[];
  /** It belongs to an alpha feature. */
  readonly alpha?: true;
  readonly deprecated?: true;
  /** Set by programs, not by users. */
  readonly hidden?: true;
  /** The form of its value, where a wrong one can be told. */
  readonly value?: AnnotationValue;
}

/** `ports`: numbers or `*`, separated by commas; `cidrs` alike. */
export type AnnotationValue = 'boolean' | 'count' | 'port' | 'ports' | 'cidrs';

/** @see https://istio.io/latest/docs/reference/config/annotations/ */
export const knownAnnotations: Readonly<Record<string, KnownAnnotation>> = {
  'alpha.istio.io/canonical-serviceaccounts': {
    on: ['Service'],
    alpha: true,
    deprecated: true,
    hidden: true,
  },
  'alpha.istio.io/kubernetes-serviceaccounts': {
    on: ['Service'],
    alpha: true,
    deprecated: true,
    hidden: true,
  },
  'ambient.istio.io/bypass-inbound-capture': { on: ['Pod'], alpha: true, value: 'boolean' },
  'ambient.istio.io/dns-capture': { on: ['Pod'], alpha: true, hidden: true },
  'ambient.istio.io/redirection': { on: ['Pod'] },
  'ambient.istio.io/waypoint-inbound-binding': { on: ['GatewayClass', 'Gateway'], alpha: true, hidden: true },
  'galley.istio.io/analyze-suppress': { on: ['Any'], alpha: true },
  'gateway.istio.io/controller-version': { on: ['Any'], alpha: true, hidden: true },
  'gateway.istio.io/name-override': { on: ['Gateway'], alpha: true, hidden: true },
  'gateway.istio.io/service-account': { on: ['Gateway'], alpha: true, hidden: true },
  'inject.istio.io/templates': { on: ['Pod'], alpha: true },
  'istio.io/autoRegistrationGroup': { on: ['WorkloadEntry'], alpha: true, hidden: true },
  'istio.io/connectedAt': { on: ['WorkloadEntry'], alpha: true, hidden: true },
  'istio.io/disconnectedAt': { on: ['WorkloadEntry'], alpha: true, hidden: true },
  'istio.io/dry-run': { on: ['AuthorizationPolicy'], alpha: true, value: 'boolean' },
  'istio.io/reroute-virtual-interfaces': { on: ['Pod'], alpha: true, value: 'boolean' },
  'istio.io/rev': { on: ['Pod'], alpha: true },
  'istio.io/use-waypoint-canary-weight': { on: ['Service', 'ServiceEntry', 'Namespace'], alpha: true },
  'istio.io/workloadController': { on: ['WorkloadEntry'], alpha: true, hidden: true },
  'kubernetes.io/ingress.class': { on: ['Ingress'] },
  'networking.istio.io/exportTo': { on: ['Service'], alpha: true },
  'networking.istio.io/service-type': { on: ['Gateway'], alpha: true, hidden: true },
  'networking.istio.io/traffic-distribution': { on: ['Namespace', 'Service', 'ServiceEntry'], alpha: true },
  'prometheus.istio.io/merge-metrics': { on: ['Pod'], alpha: true, value: 'boolean' },
  'proxy.istio.io/config': { on: ['Pod'] },
  'proxy.istio.io/overrides': { on: ['Pod'], alpha: true, hidden: true },
  'readiness.status.sidecar.istio.io/applicationPorts': { on: ['Pod'], alpha: true, value: 'ports' },
  'readiness.status.sidecar.istio.io/failureThreshold': { on: ['Pod'], alpha: true, value: 'count' },
  'readiness.status.sidecar.istio.io/initialDelaySeconds': { on: ['Pod'], alpha: true, value: 'count' },
  'readiness.status.sidecar.istio.io/periodSeconds': { on: ['Pod'], alpha: true, value: 'count' },
  'sidecar.istio.io/agentLogLevel': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/bootstrapOverride': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/componentLogLevel': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/discoveryAddress': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/extraStatTags': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/inject': { on: ['Pod'], deprecated: true, value: 'boolean' },
  'sidecar.istio.io/interceptionMode': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/logLevel': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/nativeSidecar': { on: ['Pod'], alpha: true, value: 'boolean' },
  'sidecar.istio.io/proxyCPU': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/proxyCPULimit': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/proxyImage': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/proxyImageType': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/proxyMemory': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/proxyMemoryLimit': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/rewriteAppHTTPProbers': { on: ['Pod'], alpha: true, value: 'boolean' },
  'sidecar.istio.io/statsCompression': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/statsEvictionInterval': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/statsFlushInterval': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/statsHistogramBins': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/statsHistogramBuckets': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/statsInclusionPrefixes': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/statsInclusionRegexps': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/statsInclusionSuffixes': { on: ['Pod'], alpha: true, deprecated: true },
  'sidecar.istio.io/status': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/userVolume': { on: ['Pod'], alpha: true },
  'sidecar.istio.io/userVolumeMount': { on: ['Pod'], alpha: true },
  'status.sidecar.istio.io/port': { on: ['Pod'], alpha: true, value: 'port' },
  'topology.istio.io/controlPlaneClusters': { on: ['Namespace'], alpha: true },
  'traffic.istio.io/nodeSelector': { on: ['Service'] },
  'traffic.sidecar.istio.io/excludeInboundPorts': { on: ['Pod'], alpha: true, value: 'ports' },
  'traffic.sidecar.istio.io/excludeInterfaces': { on: ['Pod'], alpha: true },
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': { on: ['Pod'], alpha: true, value: 'cidrs' },
  'traffic.sidecar.istio.io/excludeOutboundPorts': { on: ['Pod'], alpha: true, value: 'ports' },
  'traffic.sidecar.istio.io/includeInboundPorts': { on: ['Pod'], alpha: true, value: 'ports' },
  'traffic.sidecar.istio.io/includeOutboundIPRanges': { on: ['Pod'], alpha: true, value: 'cidrs' },
  'traffic.sidecar.istio.io/includeOutboundPorts': { on: ['Pod'], alpha: true, value: 'ports' },
  'traffic.sidecar.istio.io/kubevirtInterfaces': { on: ['Pod'], alpha: true, deprecated: true },
};
