import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../src/cli/api/api-client.ts';
import { discover, resourceOfObject, resourcePath } from '../../src/cli/api/discovery.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { readKubeconfig } from '../../src/kit/kubeconfig.ts';
import { type Ostria, openOstria, root } from './ostria.ts';
import { takePortBase } from './port-base.ts';

/** A mesh of two versions of one service, with what its tests need at hand. */
export interface HelloMesh {
  readonly ostria: Ostria;
  /** Through the ingress gateway. */
  readonly ingress: string;
  /** This machine's port of a port of the ingress gateway. */
  gatewayPort(port: 80 | 443 | 8080): number;
  /** Through the sidecar of the workload `sleep`: helloworld, and httpbin, which nothing in these tests changes. */
  readonly helloFromSleep: string;
  readonly httpbinFromSleep: string;
  /** This machine's port by which the workload `sleep` calls a service, `name:port`. */
  fromSleep(service: string): number;
  readonly client: ApiClient;
  /** Server-side apply of each object, one after the other; resolves when the last is acknowledged. */
  apply(...objects: ConfigObject[]): Promise<void>;
  /** Objects that are gone already count as deleted. */
  remove(...objects: ConfigObject[]): Promise<void>;
  /** The object as the API server holds it. */
  read(object: ConfigObject): Promise<ConfigObject>;
  /** Changes the number of copies of helloworld v1 as a user does: in the mesh file, then `ostria up`. */
  scale(replicas: number): Promise<void>;
  /** Starts (or takes over) the mesh. */
  up(): Promise<void>;
  /** A file of its state directory. */
  state(...path: string[]): string;
  close(): Promise<void>;
}

const meshFile = (replicas: number, more: string, services: string): string => `name: hello
${more}gateways:
  istio-ingressgateway:
    labels: { istio: ingressgateway }
    ports: ["80", "443", "8080"]
apply: [${join(root, 'samples', 'helloworld', 'gateway.yaml')}]
services:
  helloworld-v1:
    service: helloworld
    replicas: ${replicas}
    command: node ${join(root, 'samples', 'helloworld', 'helloworld.ts')}
    ports: [5000]
    healthcheck: { test: [HTTP, /health], interval: 500ms }
  helloworld-v2:
    service: helloworld
    version: v2
    command: node ${join(root, 'samples', 'helloworld', 'helloworld.ts')}
    ports: [5000]
    healthcheck: { test: [HTTP, /health], interval: 500ms }
  httpbin:
    command: node ${join(root, 'samples', 'httpbin', 'httpbin.ts')}
    ports: [8000]
    healthcheck: { test: [HTTP, /health] }
  sleep:
    command: node ${join(root, 'samples', 'sleep', 'sleep.ts')}
    ports: [80]
    healthcheck: { test: [HTTP, /health] }
${services}`;

/** `flags`: further ones of `ostria up`. `more`: further lines at the top of its mesh file; `services`: of its services, at the end. */
export async function openHelloMesh(
  flags: readonly string[] = [],
  more = '',
  services = '',
): Promise<HelloMesh> {
  const ostria = await openOstria();
  const { base, release } = await takePortBase();
  const file = join(ostria.home, 'mesh.yaml');
  const state: HelloMesh['state'] = (...path) => join(ostria.home, 'hello', ...path);
  const up: HelloMesh['up'] = async () => {
    const args = ['up', '-f', file, '--detach', '--port-base', String(base), ...flags];
    const { code, stdout, stderr } = await ostria.run(args);
    if (code !== 0) throw new Error(`ostria up ended with ${code}: ${stderr}${stdout}`);
  };
  let client: ApiClient | undefined;
  try {
    writeFileSync(file, meshFile(1, more, services));
    await up();
    const api = new ApiClient(readKubeconfig(state('kubeconfig')));
    client = api;
    const resources = await discover(api);
    const pathOf = (object: ConfigObject): string => {
      const resource = resourceOfObject(resources, object);
      if (!resource) throw new Error(`no resource for ${object.kind}`);
      const namespace = resource.namespaced ? (object.metadata.namespace ?? 'default') : undefined;
      return resourcePath(resource, namespace, object.metadata.name);
    };
    const { ports } = JSON.parse(readFileSync(state('ports.json'), 'utf8')) as {
      ports: Record<string, number>;
    };
    const gatewayPort = (port: number) => ports[`istio-ingressgateway/gateway/${port}`] as number;
    const fromSleep = (service: string) =>
      ports[`sleep-0/outbound/${service.replace(':', '.default.svc.cluster.local:')}`] as number;
    const outbound = (service: string) => `http://127.0.0.1:${fromSleep(service)}`;
    return {
      ostria,
      client: api,
      state,
      up,
      gatewayPort,
      ingress: `http://127.0.0.1:${gatewayPort(80)}/hello`,
      helloFromSleep: `${outbound('helloworld:5000')}/hello`,
      fromSleep,
      httpbinFromSleep: `${outbound('httpbin:8000')}/status/200`,
      apply: async (...objects) => {
        for (const object of objects)
          await api.apply(pathOf(object), object, { fieldManager: 'ostria', force: true });
      },
      remove: async (...objects) => {
        for (const object of objects)
          await api
            .request({ method: 'DELETE', path: pathOf(object) })
            .catch((error: { status?: number }) => {
              if (error.status !== 404) throw error;
            });
      },
      read: async (object) => (await api.request({ path: pathOf(object) })).json as ConfigObject,
      scale: async (replicas) => {
        writeFileSync(file, meshFile(replicas, more, services));
        await up();
      },
      close: async () => {
        api.close();
        await ostria.close();
        release();
      },
    };
  } catch (error) {
    client?.close();
    await ostria.close();
    release();
    throw error;
  }
}

type Spec = Readonly<Record<string, unknown>>;

/** An object of Istio's networking group in the namespace default. */
export function networkingObject(kind: string, name: string, spec: Spec): ConfigObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace: 'default' }, spec };
}
