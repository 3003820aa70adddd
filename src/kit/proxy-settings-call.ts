/*
 * How an agent asks the control plane what to start its Envoy with: one unary gRPC call on the control plane's TLS port, whose messages
 * are JSON. Whoever asks proves its identity by its certificate.
 */

export const proxySettingsPath = '/ostria.v1.ProxySettingsService/Get';

/** What the settings of a proxy depend on. */
export interface ProxySettingsRequest {
  readonly workload: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly proxyType: 'sidecar' | 'router';
  /** WorkloadGroup of the namespace. */
  readonly group?: string;
  /** Of its node: EnvoyFilters may ask for it. */
  readonly metadata: Readonly<Record<string, unknown>>;
}
