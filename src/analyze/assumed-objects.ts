import type { ConfigObject } from '../config/object.ts';

/** The ingress gateway that every installation has, for files that do not bring it: its Pod and the ports of its Service. */
export function assumedIngressGateway(): ConfigObject[] {
  const labels = { app: 'istio-ingressgateway', istio: 'ingressgateway' };
  const metadata = { name: 'istio-ingressgateway', namespace: 'istio-system' };
  const ports = [15021, 80, 443, 31400, 15443].map((port) => ({
    name: `tcp-${port}`,
    port,
    protocol: 'TCP',
  }));
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, labels },
      spec: { containers: [{ name: 'istio-proxy', image: 'istio-proxy' }] },
    },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports } },
  ];
}
