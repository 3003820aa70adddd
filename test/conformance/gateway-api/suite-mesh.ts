import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { createBuiltInRegistry } from '../../../src/config/kinds/built-in-kinds.ts';
import { type ConfigObject, objectKey } from '../../../src/config/object.ts';
import { createAdmitObject } from '../../../src/control-plane/admit-object.ts';
import { withStatus } from '../../../src/control-plane/with-status.ts';
import { features } from '../../../src/features/index.ts';
import { roots } from '../../../src/pipeline/roots.ts';
import { createStatuses, decodeStatus, statusesType } from '../../../src/pipeline/statuses.ts';
import { makeProxy, nodeId } from '../../golden/mesh.ts';
import { type CompiledMesh, startCompiledMesh } from '../../support/compiled-mesh.ts';
import type { TestEnvoy } from '../../support/envoy.ts';
import { freePorts } from '../../support/ports.ts';
import { type Pod, startPod } from './backends.ts';
import { certificateObjects, makeCertificates, type SuiteCertificates } from './certificates.ts';

const className = 'conformance';
const group = 'gateway.networking.k8s.io';
const observer = { name: 'observer', namespace: 'ostria-system' };

/** The cluster that the suite runs in: the mesh compiled from its manifests, its pods as real servers, its Gateways as real Envoys. */
export interface SuiteMesh {
  readonly certificates: SuiteCertificates;
  readonly pods: readonly Pod[];
  /** Applies manifests and gives the way to take them back. */
  apply(files: readonly string[]): Promise<() => Promise<void>>;
  /** Changes an object, as a user would. */
  edit(kind: string, key: string, change: (object: ConfigObject) => ConfigObject | undefined): void;
  create(object: ConfigObject): void;
  /** Every object of a kind of the Gateway API that tests brought. */
  removeAll(kind: string): void;
  /** An object with the status that the mesh gives it. */
  get(kind: string, key: string): ConfigObject | undefined;
  /** The local port of a Gateway's port; starts its Envoy at the first call. */
  portOf(gateway: string, port: number): Promise<number>;
  /** The HTTP proxy port of a sidecar with some labels. */
  sidecar(namespace: string, labels: Record<string, string>): Promise<number>;
  readonly refusals: readonly string[];
  stop(): Promise<void>;
}

export const statuses = createStatuses(features);

export async function startSuiteMesh(directory: string): Promise<SuiteMesh> {
  const certificates = makeCertificates();
  const admit = createAdmitObject(createBuiltInRegistry());
  const mesh = await startCompiledMesh('', {}, { collections: [...roots.collections, statuses] });
  mesh.engine.connect(makeProxy(observer));
  const objects = new Map<string, ConfigObject>();
  const pods: Pod[] = [];
  /** By a test itself; goes with it. */
  const created: ConfigObject[] = [];
  const envoys = new Map<string, { envoy: TestEnvoy; ports: Map<number, number> }>();

  const idOf = (object: ConfigObject) => `${kindOf(object)}|${objectKey(object)}`;
  const put = (all: readonly ConfigObject[]): void => {
    const admitted = all.map((object) => {
      const verdict = admit(object);
      const errors = verdict.issues.filter(({ severity }) => severity === 'error');
      if (errors.length > 0) throw new Error(`${idOf(object)}: ${JSON.stringify(errors)}`);
      const generation = (objects.get(idOf(verdict.object))?.metadata.generation ?? 0) + 1;
      return { ...verdict.object, metadata: { ...verdict.object.metadata, generation } };
    });
    for (const object of admitted) objects.set(idOf(object), object);
    mesh.apply(admitted.map((object) => stringify(object)).join('---\n'));
  };
  const remove = (all: readonly ConfigObject[]): void => {
    for (const object of all) objects.delete(idOf(object));
    mesh.apply(
      '',
      all.map((object) => `${fullKind(object)}/${objectKey(object)}`),
    );
  };
  const suite: SuiteMesh = {
    certificates,
    pods,
    refusals: mesh.refusals,
    async apply(files) {
      const read = files.flatMap((file) => readManifest(join(directory, file)));
      const before = pods.length;
      for (const object of read)
        if (object.kind === 'Deployment') pods.push(...(await startPods(object, certificates)));
      const made = read.filter(({ kind }) => kind !== 'Deployment');
      const all = [...made, ...made.flatMap((object) => gatewayService(object))];
      const replaced = all.flatMap((object) => objects.get(idOf(placed(object))) ?? []);
      put(all.map(placed));
      const slices = publish([...objects.values()], pods, objects);
      put(slices);
      const started = pods.slice(before);
      return async () => {
        for (const object of [...all.map(placed), ...slices])
          if (object.kind === 'Gateway') await end(envoys, objectKey(object));
        for (const pod of started) {
          await pod.stop();
          pods.splice(pods.indexOf(pod), 1);
        }
        remove([...all.map(placed), ...slices, ...created.splice(0)]);
        if (replaced.length > 0) put(replaced);
      };
    },
    edit(kind, key, change) {
      const object = objects.get(`${kind}|${key}`);
      const changed = object && change(object);
      if (changed) put([changed]);
      else if (object) remove([object]);
    },
    removeAll(kind) {
      remove([...objects.values()].filter((object) => object.kind === kind));
    },
    create(object) {
      created.push(object);
      put([object]);
    },
    get(kind, key) {
      const object = objects.get(`${kind}|${key}`);
      const worldName = kind.endsWith(`.${group}`) ? `${group}/${kind.slice(0, -group.length - 1)}` : kind;
      const resource = mesh.engine.resources(nodeId(observer), statusesType).get(`${worldName}|${key}`);
      return object && resource
        ? withStatus(object, decodeStatus(resource), object.metadata.generation, new Date())
        : object;
    },
    async portOf(gateway, port) {
      const running = envoys.get(gateway) ?? (await startGateway(mesh, objects, gateway));
      envoys.set(gateway, running);
      const local = running.ports.get(port);
      if (local === undefined) throw new Error(`Gateway ${gateway} has no port ${port}`);
      return local;
    },
    async sidecar(namespace, labels) {
      const id = `${namespace} ${JSON.stringify(labels)}`;
      const running = envoys.get(id) ?? (await startSidecar(mesh, namespace, labels));
      envoys.set(id, running);
      return running.ports.get(0) ?? 0;
    },
    async stop() {
      await mesh.stop();
      for (const pod of pods) await pod.stop();
    },
  };
  put(
    [
      {
        apiVersion: `${group}/v1`,
        kind: 'GatewayClass',
        metadata: { name: className },
        spec: { controllerName: 'istio.io/gateway-controller' },
      },
      ...certificateObjects(certificates),
    ].map((object) => placed(object as ConfigObject)),
  );
  return suite;
}

/** `Kind`, or `Kind.group` for the Gateway API's. */
function kindOf(object: ConfigObject): string {
  const [objectGroup = ''] = object.apiVersion.split('/');
  return objectGroup === group ? `${object.kind}.${group}` : object.kind;
}

function fullKind({ apiVersion, kind }: ConfigObject): string {
  return apiVersion.includes('/') ? `${kind}.${apiVersion.split('/')[0]}` : kind;
}

function placed(object: ConfigObject): ConfigObject {
  if (object.kind === 'Namespace' || object.kind === 'GatewayClass') return object;
  return { ...object, metadata: { namespace: 'default', ...object.metadata } };
}

function readManifest(file: string): ConfigObject[] {
  const text = readFileSync(file, 'utf8').replaceAll('{GATEWAY_CLASS_NAME}', className);
  return parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as ConfigObject | null;
    return object ? [object] : [];
  });
}

interface Deployment {
  replicas?: number;
  template: {
    metadata?: { labels?: Record<string, string> };
    spec: { containers: { image: string; env?: { name: string; value?: string }[] }[] };
  };
}

async function startPods(object: ConfigObject, certificates: SuiteCertificates): Promise<Pod[]> {
  const { replicas = 1, template } = object.spec as Deployment;
  const [container] = template.spec.containers;
  const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? '']));
  return Promise.all(
    Array.from({ length: replicas }, (_, index) =>
      startPod(
        {
          namespace: object.metadata.namespace ?? 'default',
          name: `${object.metadata.name}-${index}`,
          labels: template.metadata?.labels ?? {},
          env,
          image: container?.image.split('/').at(-1) ?? '',
        },
        certificates.checks,
      ),
    ),
  );
}

interface ServicePortSpec {
  name?: string;
  port: number;
  targetPort?: number;
  protocol?: string;
}

/** One slice per Service and pod: each pod has ports of its own here. */
function publish(
  all: readonly ConfigObject[],
  pods: readonly Pod[],
  known: ReadonlyMap<string, ConfigObject>,
): ConfigObject[] {
  return all
    .filter((object) => object.kind === 'Service')
    .flatMap((service) => {
      const { selector, ports = [] } = service.spec as {
        selector?: Record<string, string>;
        ports?: ServicePortSpec[];
      };
      const { namespace = 'default', name } = service.metadata;
      if (!selector) return [];
      return pods
        .filter(
          (pod) =>
            pod.namespace === namespace &&
            Object.entries(selector).every(([key, value]) => pod.labels[key] === value),
        )
        .map(
          (pod): ConfigObject => ({
            apiVersion: 'discovery.k8s.io/v1',
            kind: 'EndpointSlice',
            metadata: {
              name: `${name}-${pod.name}`,
              namespace,
              labels: { 'kubernetes.io/service-name': name },
            },
            addressType: 'IPv4',
            ports: ports.flatMap(({ name: portName, port, targetPort, protocol }) => {
              const local = pod.ports[targetPort ?? port];
              return local === undefined
                ? []
                : [{ name: portName ?? '', port: local, protocol: protocol ?? 'TCP' }];
            }),
            endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
          }),
        )
        .filter((slice) => !known.has(`EndpointSlice|${objectKey(slice)}`));
    });
}

/** The Service by which the workload of a Gateway is reached, as whoever runs that workload makes it. */
function gatewayService(object: ConfigObject): ConfigObject[] {
  if (kindOf(object) !== `Gateway.${group}`) return [];
  const { namespace = 'default', name } = object.metadata;
  const ports = portsOf(object);
  const short = name.length > 50 ? name.slice(0, 50).replace(/-$/, '') : name;
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: `${short}-gateway`,
        namespace,
        labels: { 'gateway.networking.k8s.io/gateway-name': name },
      },
      spec: {
        ports: [...ports, ...listenerSetPorts]
          .filter(unique)
          .map(({ port, protocol }) => ({ name: `${protocol.toLowerCase()}-${port}`, port, protocol })),
      },
    } as ConfigObject,
  ];
}

interface Port {
  port: number;
  protocol: 'TCP' | 'UDP';
}

/** ListenerSets of the suite add no others than these. */
const listenerSetPorts: Port[] = [80, 443, 8080, 8443, 88, 90, 8000].map((port) => ({
  port,
  protocol: 'TCP',
}));

function portsOf(object: ConfigObject): Port[] {
  const listeners = (object.spec as { listeners?: { port: number; protocol: string }[] }).listeners ?? [];
  return listeners.map(({ port, protocol }) => ({ port, protocol: protocol === 'UDP' ? 'UDP' : 'TCP' }));
}

function unique(one: Port, index: number, all: readonly Port[]): boolean {
  return all.findIndex((other) => other.port === one.port && other.protocol === one.protocol) === index;
}

async function startGateway(mesh: CompiledMesh, objects: ReadonlyMap<string, ConfigObject>, key: string) {
  const [namespace = '', name = ''] = key.split('/');
  const gateway = objects.get(`Gateway.${group}|${key}`);
  if (!gateway) throw new Error(`there is no Gateway ${key}`);
  const sets = [...objects.values()].filter((object) => object.kind === 'ListenerSet');
  const wanted = [
    ...new Set([gateway, ...sets].flatMap((object) => portsOf(object).map(({ port }) => port))),
  ];
  const free = await freePorts(wanted.length);
  const ports = new Map(wanted.map((port, index) => [port, free[index] as number]));
  const envoy = await mesh.envoy({
    type: 'router',
    name,
    namespace,
    labels: { 'gateway.networking.k8s.io/gateway-name': name },
    metadata: {
      OSTRIA_CAPTURE: { outbound: {}, inbound: [], gateway: Object.fromEntries(ports), httpProxy: 0 },
    },
  });
  return { envoy, ports };
}

async function startSidecar(mesh: CompiledMesh, namespace: string, labels: Record<string, string>) {
  const [httpProxy = 0] = await freePorts(1);
  const envoy = await mesh.envoy({
    name: Object.values(labels).join('-'),
    namespace,
    labels,
    metadata: { OSTRIA_CAPTURE: { outbound: {}, inbound: [], httpProxy } },
  });
  return { envoy, ports: new Map([[0, httpProxy]]) };
}

async function end(envoys: Map<string, { envoy: TestEnvoy }>, key: string): Promise<void> {
  const running = envoys.get(key);
  if (!running) return;
  envoys.delete(key);
  await running.envoy.stop();
}
