import { createHash } from 'node:crypto';
import type { ConfigObject, OwnerReference, StatusCondition } from '../../config/object.ts';
import type { MeshFile, MeshGateway } from '../mesh-file/mesh-file.ts';
import { type InstancePlan, loopbacks } from './mesh-plan.ts';
import { gatewayNameLabel } from './started-gateways.ts';

/** Field manager of everything that `mesh.yaml` owns. */
export const fieldManager = 'ostria-mesh';
/** Label on the same objects, by which those that are no longer wanted are found. */
export const managedByLabel = 'app.kubernetes.io/managed-by';

const managed = { [managedByLabel]: fieldManager };

/** Namespaces, service accounts and services of a mesh, in the order in which they must be written. */
export function sharedObjects(mesh: MeshFile, instances: readonly InstancePlan[]): ConfigObject[] {
  const objects = new Map<string, ConfigObject>();
  const add = (object: ConfigObject): void => {
    const key = `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    if (!objects.has(key)) objects.set(key, object);
  };
  const joined = instances.flatMap(({ workload }) => workload ?? []);
  const members = [...mesh.workloads, ...mesh.gateways, ...joined];
  for (const { namespace } of [...mesh.workloads, ...mesh.gateways.filter(isOfFile), ...joined])
    add({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { ...managed } } });
  for (const { namespace, serviceAccount } of members)
    add({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: serviceAccount, namespace, labels: { ...managed } },
    });
  for (const workload of [...mesh.workloads, ...instances.flatMap(({ workload }) => workload ?? [])])
    if (workload.ports.length > 0)
      add({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: {
          name: workload.service,
          namespace: workload.namespace,
          labels: { app: workload.service, service: workload.service, ...managed },
        },
        spec: {
          // Members are known by the label `app`, as in Istio's samples; `labels` may say otherwise.
          selector: { app: workload.labels.app ?? workload.service },
          ports: workload.ports.map(({ name, port, protocol }) => ({
            name,
            port,
            protocol: 'TCP',
            ...(protocol === 'auto' ? {} : { appProtocol: protocol }),
            targetPort: port,
          })),
        },
      });
  for (const gateway of mesh.gateways)
    add({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: gateway.name,
        namespace: gateway.namespace,
        labels: { ...gateway.labels, ...managed },
      },
      spec: {
        type: 'LoadBalancer',
        selector: isOfFile(gateway)
          ? { ...gateway.labels }
          : { [gatewayNameLabel]: gateway.labels[gatewayNameLabel] ?? '' },
        ports: gateway.ports.map(({ name, port }) => ({ name, port, protocol: 'TCP', targetPort: port })),
      },
    });
  return [...objects.values()];
}

/** Those that a Gateway object asked for live in a namespace of the users'. */
function isOfFile({ startedFor }: MeshGateway): boolean {
  return startedFor === undefined;
}

/** The status of a gateway's Service: where it answers on this machine. */
export function serviceStatus(gateway: InstancePlan): ConfigObject {
  const ports = gateway.endpoints.map(({ listen }) => ({ port: listen, protocol: 'TCP' }));
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: gateway.service, namespace: gateway.namespace },
    status: { loadBalancer: { ingress: loopbacks(gateway.capture).map((ip) => ({ ip, ports })) } },
  };
}

/** What was made for a gateway that is no more, besides its pod. */
export function gatewayObjects({ name, namespace, serviceAccount }: MeshGateway): ConfigObject[] {
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccount, namespace } },
  ];
}

/** What an instance is at a moment. */
export interface InstanceHealth {
  readonly ready: boolean;
  /** Why not; '' when it is. */
  readonly why: string;
  /** RFC 3339: since when. */
  readonly since: string;
  readonly restarts: number;
  /** RFC 3339; '' before the first start. */
  readonly startedAt: string;
  /** What is set for its proxy and cannot be acted on. */
  readonly proxyNotes: readonly string[];
}

/** Of Pods whose proxies have settings that cannot be acted on. */
const proxyCondition = 'ostria.io/ProxySettings';

function labelsOf(instance: InstancePlan): Record<string, string> {
  return {
    ...instance.labels,
    // What a gateway takes its servers say: callers speak mesh TLS to it where a DestinationRule asks for it.
    ...(instance.gateway ? {} : { 'security.istio.io/tlsMode': 'istio' }),
    'service.istio.io/canonical-name': instance.labels.app ?? instance.name,
    'service.istio.io/canonical-revision': instance.labels.version ?? 'latest',
    'service.istio.io/workload-name': workloadOf(instance),
  };
}

/** What a Deployment would be called: metrics are told by it, not by the instance. */
function workloadOf({ workload, gateway, name, labels }: InstancePlan): string {
  if (labels['service.istio.io/workload-name']) return labels['service.istio.io/workload-name'];
  return workload?.name ?? gateway?.name ?? name;
}

/** Labels that an instance's Envoy reports: those of its pod. */
export const podLabels = labelsOf;

/** What Istio's injector notes on a pod: Kiali knows by it which containers are the mesh's. */
const sidecarStatus = JSON.stringify({
  initContainers: null,
  containers: ['istio-proxy'],
  revision: 'default',
});

/**
 * What the mesh file calls a workload, as the controller of its copies: Kiali and others group pods by it and look for metrics under its
 * name. No object of this kind exists, and so none of a kind that somebody else's controller acts on.
 */
function ownerOf(instance: InstancePlan): OwnerReference {
  const name = workloadOf(instance);
  return {
    apiVersion: 'ostria.dev/v1',
    kind: 'Workload',
    name,
    uid: stableUid(`${instance.namespace}/${name}`),
    controller: true,
  };
}

/** The same for the same text, in the form of a UUID (RFC 9562, version 8). */
function stableUid(text: string): string {
  const digits = createHash('sha256').update(text).digest('hex');
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `8${digits.slice(13, 16)}`,
    `8${digits.slice(17, 20)}`,
    digits.slice(20, 32),
  ].join('-');
}

/** What Istio's injector notes for Prometheus, whose discovery of pods finds the metrics of agents by it. */
function scrapedAt(port: number): Record<string, string> {
  return {
    'prometheus.io/scrape': 'true',
    'prometheus.io/port': String(port),
    'prometheus.io/path': '/stats/prometheus',
  };
}

/** The pod and, where it serves something, the WorkloadEntry of an instance. */
export function instanceObjects(instance: InstancePlan): ConfigObject[] {
  const metadata = {
    name: instance.name,
    namespace: instance.namespace,
    labels: { ...labelsOf(instance), ...managed },
  };
  const pod: ConfigObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      annotations: { 'sidecar.istio.io/status': sidecarStatus, ...scrapedAt(instance.metricsPort) },
      ownerReferences: [ownerOf(instance)],
    },
    spec: {
      serviceAccountName: instance.serviceAccount,
      containers: [
        {
          name: instance.workload?.service ?? 'istio-proxy',
          image: 'ostria.dev/process',
          ...(instance.workload ? { command: [...instance.workload.command] } : {}),
          ports: instance.endpoints.map(({ name, servicePort }) => ({ name, containerPort: servicePort })),
        },
        ...(instance.workload ? [{ name: 'istio-proxy', image: 'ostria.dev/process' }] : []),
      ],
    },
  };
  if (instance.endpoints.length === 0 || instance.workload?.group !== undefined) return [pod];
  const entry: ConfigObject = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: {
      ...metadata,
      // Out of the endpoints until its condition `Healthy` says otherwise.
      annotations: { 'proxy.istio.io/health-checks-enabled': 'true' },
    },
    spec: {
      address: loopbacks(instance.capture)[0] ?? '',
      ports: Object.fromEntries(instance.endpoints.map(({ name, listen }) => [name, listen])),
      labels: labelsOf(instance),
      serviceAccount: instance.serviceAccount,
    },
  };
  return [pod, entry];
}

/** The status of the same objects: what makes an instance an endpoint, or withdraws it. */
export function instanceStatuses(instance: InstancePlan, health: InstanceHealth): ConfigObject[] {
  const status = health.ready ? 'True' : 'False';
  const conditions = (types: readonly string[]) =>
    types.map((type) => ({
      type,
      status,
      lastTransitionTime: health.since,
      ...(health.ready ? {} : { reason: 'NotReady', message: health.why }),
    }));
  const addresses = loopbacks(instance.capture);
  return instanceObjects(instance).map(({ apiVersion, kind, metadata }): ConfigObject => {
    const head = { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace ?? '' } };
    if (kind === 'WorkloadEntry') return { ...head, status: { conditions: conditions(['Healthy']) } };
    const containerNames = instance.workload ? [instance.workload.service, 'istio-proxy'] : ['istio-proxy'];
    return {
      ...head,
      status: {
        phase: health.startedAt === '' ? 'Pending' : 'Running',
        podIP: addresses[0] ?? '',
        podIPs: addresses.map((ip) => ({ ip })),
        hostIP: addresses[0] ?? '',
        ...(health.startedAt === '' ? {} : { startTime: health.startedAt }),
        conditions: [...conditions(['Ready', 'ContainersReady']), ...proxyConditions(health)],
        containerStatuses: containerNames.map((name, index) => ({
          name,
          ready: health.ready,
          restartCount: index === 0 ? health.restarts : 0,
          image: 'ostria.dev/process',
          imageID: '',
          ...(health.startedAt === '' ? {} : { state: { running: { startedAt: health.startedAt } } }),
        })),
      },
    };
  });
}

function proxyConditions({ proxyNotes }: InstanceHealth): StatusCondition[] {
  if (proxyNotes.length === 0) return [];
  return [{ type: proxyCondition, status: 'False', reason: 'NotActedOn', message: proxyNotes.join('; ') }];
}
