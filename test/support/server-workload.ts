import type { MeshEnvoys } from './compiled-mesh.ts';
import type { TestEnvoy } from './envoy.ts';

/** A service of one workload, whose sidecar listens for its application. */
export interface ServerWorkload {
  /** Of the Service and, with `-v1`, of its workload; its label `app` and its service account. */
  readonly name: string;
  /** Default `default`. */
  readonly namespace?: string;
  /** Of its Service. */
  readonly port: number;
  /** Of the sidecar: what others call. */
  readonly listen: number;
  readonly application: number;
}

/** Its Service and its WorkloadEntry. */
export function serverObjects({ name, namespace = 'default', port, listen }: ServerWorkload): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {clusterIP: 10.1.0.1, selector: {app: ${name}}, ports: [{name: http, port: ${port}}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}-v1, namespace: ${namespace}}
spec: {address: 127.0.0.1, ports: {http: ${listen}}, labels: {app: ${name}, security.istio.io/tlsMode: istio}, serviceAccount: ${name}}
---`;
}

/** Its sidecar. */
export function startServerProxy(mesh: MeshEnvoys, server: ServerWorkload): Promise<TestEnvoy> {
  const { name, namespace = 'default', port, listen, application } = server;
  const inbound = [{ servicePort: port, listen, app: application, protocol: 'http' }];
  return mesh.envoy(
    {
      name: `${name}-v1`,
      namespace,
      labels: { app: name },
      metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound, httpProxy: 0 } },
    },
    { serviceAccount: name },
  );
}
