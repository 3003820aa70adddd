import type { ConfigObject } from '../config/object.ts';
import type { Pod } from '../registry/schema.ts';
import { tlsModeLabel } from '../registry/workloads.ts';
import { AddressPool } from './addresses.ts';
import { groupOf, idOf, type ObjectMap, objectsOfKind } from './model-objects.ts';

interface PodTemplate {
  readonly metadata?: {
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec?: PodSpec;
}

interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly [field: string]: unknown;
}

interface Container {
  readonly name?: string;
  readonly [field: string]: unknown;
}

interface ControllerSpec {
  readonly replicas?: number;
  readonly template?: PodTemplate;
  readonly jobTemplate?: { readonly spec?: { readonly template?: PodTemplate } };
}

/** Kinds that make pods, and whether they make several. */
const controllers: Readonly<Record<string, 'many' | 'one'>> = {
  'apps/Deployment': 'many',
  'apps/StatefulSet': 'many',
  'apps/ReplicaSet': 'many',
  '/ReplicationController': 'many',
  'apps/DaemonSet': 'one',
  'batch/Job': 'one',
  'batch/CronJob': 'one',
};

/** More copies of one pod tell nothing new. */
const mostReplicas = 5;

/** The container by which a proxy is known. */
export const proxyContainer = 'istio-proxy';

export interface FilledPods {
  readonly pods: readonly ConfigObject[];
  /** No object says who has a sidecar: everybody is taken to have one. */
  readonly sidecarsAssumed: boolean;
}

/** Whether an object has a say in which pods there are. */
export function shapesPods(object: ConfigObject): boolean {
  const kind = `${groupOf(object)}/${object.kind}`;
  return kind in controllers || kind === '/Pod' || kind === '/Namespace';
}

/** The pods that a cluster would make of the workloads in files, ready and with an address; pods in files get one too. */
export function fillPods(objects: ObjectMap): FilledPods {
  const own = [...objectsOfKind<Pod>(objects, '/Pod')];
  const made = Object.keys(controllers).flatMap((kind) =>
    [...objectsOfKind<ConfigObject<ControllerSpec>>(objects, kind)].flatMap((object) =>
      podsOf(object, controllers[kind] === 'one' ? 1 : (object.spec?.replicas ?? 1)),
    ),
  );
  // A pod in the files, recorded from a cluster, is better than one that is made up.
  const owned = new Set(
    own.flatMap(({ metadata }) =>
      (metadata.ownerReferences ?? []).map(({ name }) => `${metadata.namespace}/${name}`),
    ),
  );
  const fresh = made.filter(
    (pod) =>
      !objects.has(idOf(pod)) &&
      !owned.has(`${pod.metadata.namespace}/${pod.metadata.ownerReferences?.[0]?.name}`),
  );
  const pool = new AddressPool(
    '10.244',
    own.flatMap(({ status }) => status?.podIP ?? []),
  );
  const injects = injectionOf(objects, [...own, ...fresh]);
  const pods = [...own.filter((pod) => !pod.status?.podIP), ...fresh]
    .sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
    .map((pod) => running(injects.into(pod) ? withSidecar(pod) : pod, pool));
  return { pods, sidecarsAssumed: injects.assumed && pods.length > 0 };
}

function podsOf(object: ConfigObject<ControllerSpec>, replicas: number): Pod[] {
  const { kind, apiVersion, metadata, spec } = object;
  const template = spec?.template ?? spec?.jobTemplate?.spec?.template;
  if (!template) return [];
  return Array.from({ length: Math.min(replicas, mostReplicas) }, (_, index) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${metadata.name}-${index}`,
      namespace: metadata.namespace ?? '',
      labels: { ...template.metadata?.labels },
      ...(template.metadata?.annotations ? { annotations: { ...template.metadata.annotations } } : {}),
      ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: '', controller: true }],
    },
    spec: { ...template.spec } as NonNullable<Pod['spec']>,
  }));
}

function running(pod: Pod, pool: AddressPool): Pod {
  const address = pool.take(`${pod.metadata.namespace}/${pod.metadata.name}`);
  if (address === undefined) return pod;
  return {
    ...pod,
    status: {
      ...pod.status,
      phase: pod.status?.phase ?? 'Running',
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: pod.status?.conditions ?? [{ type: 'Ready', status: 'True' }],
    },
  };
}

/** Whether a pod has a proxy in it. */
export function hasProxyContainer(pod: Pod): boolean {
  return containersOf(pod).includes(proxyContainer);
}

/** Whether a pod is nothing but a proxy: a gateway. */
export function isProxyOnly(pod: Pod): boolean {
  const { containers = [] } = (pod.spec ?? {}) as PodSpec;
  return containers.length === 1 && containers[0]?.name === proxyContainer;
}

function containersOf(pod: Pod): (string | undefined)[] {
  const { containers = [], initContainers = [] } = (pod.spec ?? {}) as PodSpec;
  return [...containers, ...initContainers].map(({ name }) => name);
}

function withSidecar(pod: Pod): Pod {
  if (isProxyOnly(pod)) return pod;
  const { containers = [] } = (pod.spec ?? {}) as PodSpec;
  const spec = hasProxyContainer(pod)
    ? pod.spec
    : { ...pod.spec, containers: [...containers, { name: proxyContainer }] };
  return {
    ...pod,
    metadata: { ...pod.metadata, labels: { [tlsModeLabel]: 'istio', ...pod.metadata.labels } },
    spec: spec as NonNullable<Pod['spec']>,
  };
}

const injectLabel = 'sidecar.istio.io/inject';
const namespaceLabel = 'istio-injection';
const revisionLabel = 'istio.io/rev';

interface Injection {
  readonly assumed: boolean;
  into(pod: Pod): boolean;
}

/**
 * Who gets a sidecar, as Istio's webhook decides it: never on the host's network; the pod's own word, then its namespace's.
 * Files in which nobody says anything of sidecars are taken to be of a mesh in which everybody has one.
 */
function injectionOf(objects: ObjectMap, pods: readonly Pod[]): Injection {
  const namespaces = new Map<string, boolean | undefined>();
  for (const { metadata } of objectsOfKind(objects, '/Namespace')) {
    const { [namespaceLabel]: word, [revisionLabel]: revision } = metadata.labels ?? {};
    namespaces.set(metadata.name, word === undefined ? (revision ? true : undefined) : word === 'enabled');
  }
  const said = [...namespaces.values(), ...pods.map(wordOf)].includes(true);
  const assumed = !said && !pods.some((pod) => hasProxyContainer(pod) && !isProxyOnly(pod));
  return {
    assumed,
    into(pod) {
      const { namespace = '' } = pod.metadata;
      if ((pod.spec as PodSpec | undefined)?.hostNetwork === true) return false;
      if (namespace === 'kube-system' || namespace === 'kube-public') return false;
      return hasProxyContainer(pod) || (wordOf(pod) ?? namespaces.get(namespace) ?? assumed);
    },
  };
}

function wordOf({ metadata }: Pod): boolean | undefined {
  const word = metadata.labels?.[injectLabel] ?? metadata.annotations?.[injectLabel];
  if (word !== undefined) return word === 'true';
  return metadata.labels?.[revisionLabel] ? true : undefined;
}
