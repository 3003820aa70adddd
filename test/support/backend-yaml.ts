/** A server of this machine, as a service of the mesh. */
export interface Backend {
  readonly clusterIP: string;
  /** Port that callers use. */
  readonly port: number;
  /** Port that it listens on. */
  readonly on: number;
  /** Default http. */
  readonly portName?: string;
}

/** A Service without a selector and its one endpoint on the loopback address: two YAML documents. */
export function backendYaml(name: string, { clusterIP, port, on, portName = 'http' }: Backend): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: ${clusterIP}, ports: [{name: ${portName}, port: ${port}}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, labels: {kubernetes.io/service-name: ${name}}}
ports: [{name: ${portName}, port: ${on}}]
endpoints: [{addresses: [127.0.0.1]}]
`;
}
