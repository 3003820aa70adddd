import type { MeshConfig } from '../../src/registry/mesh-config.ts';
import { type CompiledMesh, rejectedUpdates, startCompiledMesh } from './compiled-mesh.ts';
import type { TestEnvoy } from './envoy.ts';
import { freePorts } from './ports.ts';

export interface SidecarPairOptions {
  /** The service port's name, which says what is spoken. */
  readonly protocol: string;
  /** The service's port. */
  readonly port: number;
  /** Where the server listens. */
  readonly app: number;
  /** Default STRICT. */
  readonly mode?: MeshConfig['defaultMtlsMode'];
  /** Default 0s: as long as it takes. */
  readonly protocolDetectionTimeout?: string;
  /** The filters that are asked for. */
  readonly filters?: boolean;
}

/** A client's and a server's sidecar around one port of one service, `app`. */
export interface SidecarPair {
  readonly mesh: CompiledMesh;
  readonly client: TestEnvoy;
  readonly server: TestEnvoy;
  /** What the client's application calls. */
  readonly local: number;
  /** What whoever has no sidecar calls. */
  readonly inbound: number;
  /** Name of the client's cluster, and of its chain. */
  readonly cluster: string;
  /** Throws where Envoy refused anything. */
  check(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSidecarPair(options: SidecarPairOptions): Promise<SidecarPair> {
  const { protocol, port, app, mode = 'STRICT', protocolDetectionTimeout = '0s', filters } = options;
  const [local = 0, inbound = 0] = await freePorts(2);
  const host = 'app.default.svc.cluster.local';
  const annotations =
    filters === undefined ? '' : `, annotations: {networking.ostria.io/protocol-filters: '${filters}'}`;
  const mesh = await startCompiledMesh(
    `
apiVersion: v1
kind: Service
metadata: {name: app${annotations}}
spec: {clusterIP: 10.1.0.1, selector: {app: app}, ports: [{name: ${protocol}, port: ${port}}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: app-0}
spec: {address: 127.0.0.1, labels: {app: app, security.istio.io/tlsMode: istio}, ports: {${protocol}: ${inbound}}}
`,
    { defaultMtlsMode: mode, protocolDetectionTimeout },
  );
  const capture = (fields: object) => ({
    OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy: 0, ...fields },
  });
  try {
    const [client, server] = [
      await mesh.envoy({ name: 'client', metadata: capture({ outbound: { [`${host}:${port}`]: local } }) }),
      await mesh.envoy({
        name: 'app-0',
        metadata: capture({ inbound: [{ servicePort: port, listen: inbound, app }] }),
      }),
    ];
    return {
      ...{ mesh, client, server, local, inbound },
      cluster: `outbound|${port}||${host}`,
      async check() {
        const rejected = (await rejectedUpdates(client)) + (await rejectedUpdates(server));
        if (rejected > 0 || mesh.refusals.length > 0)
          throw new Error(`Envoy refused ${rejected} updates: ${mesh.refusals.join('\n')}`);
      },
      stop: () => mesh.stop(),
    };
  } catch (error) {
    await mesh.stop();
    throw error;
  }
}
