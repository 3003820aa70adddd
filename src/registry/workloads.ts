import { canonicalAddress } from '../kit/ip.ts';
import type { Pod, WorkloadEntry, WorkloadEntrySpec } from './schema.ts';
import type { Workload } from './service.ts';

export const tlsModeLabel = 'security.istio.io/tlsMode';
const networkLabel = 'topology.istio.io/network';

/** Locality labels of a Node, as `region/zone/subzone`; trailing empty parts are cut. */
export function localityOfLabels(labels: Readonly<Record<string, string>>): string {
  return joinLocality(
    labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '',
    labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '',
    labels['topology.istio.io/subzone'] ?? '',
  );
}

export function joinLocality(region: string, zone: string, subZone: string): string {
  if (subZone !== '') return `${region}/${zone}/${subZone}`;
  return zone !== '' ? `${region}/${zone}` : region;
}

/** A pod as a workload; undefined while it has no address or is over. */
export function workloadOfPod(
  pod: Pod,
  nodeLabels: Readonly<Record<string, string>>,
  clusterId: string,
): Workload | undefined {
  const phase = pod.status?.phase;
  const address = pod.status?.podIP ?? pod.status?.podIPs?.[0]?.ip;
  if (!address || phase === 'Succeeded' || phase === 'Failed') return undefined;
  const labels = pod.metadata.labels ?? {};
  const ready = pod.status?.conditions?.find((condition) => condition.type === 'Ready');
  const ports: Record<string, number> = {};
  for (const container of pod.spec?.containers ?? [])
    for (const port of container.ports ?? []) if (port.name) ports[port.name] = port.containerPort;
  const controller = controllerOf(pod);
  return {
    name: pod.metadata.name,
    ...(controller === undefined ? {} : { controller }),
    namespace: pod.metadata.namespace ?? '',
    addresses: (pod.status?.podIPs?.map(({ ip }) => ip) ?? [address]).map(canonicalAddress),
    labels,
    serviceAccount: pod.spec?.serviceAccountName ?? 'default',
    network: labels[networkLabel] ?? '',
    locality: localityLabel(labels) ?? localityOfLabels(nodeLabels),
    weight: 0,
    clusterId,
    ports,
    healthy: ready === undefined ? true : ready.status === 'True',
    nodeName: pod.spec?.nodeName ?? '',
    tlsMode: labels[tlsModeLabel] === 'istio' ? 'istio' : 'disabled',
    origin: { kind: 'Pod', namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, path: '' },
  };
}

/**
 * The Deployment, StatefulSet, Job and so on of a pod, by its controlling owner: a ReplicaSet is named for its Deployment and a hash, a
 * CronJob's Job for it and a time.
 */
function controllerOf({ metadata }: Pod): string | undefined {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (!owner) return undefined;
  const hash = metadata.labels?.['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`))
    return owner.name.slice(0, -hash.length - 1);
  return owner.kind === 'Job' ? owner.name.replace(/-\d{8,}$/, '') : owner.name;
}

/** Label `istio-locality` overrides a workload's locality; its parts are separated by dots. */
function localityLabel(labels: Readonly<Record<string, string>>): string | undefined {
  const value = labels['istio-locality'];
  return value ? value.replaceAll('.', '/') : undefined;
}

export function workloadOfEntry(entry: WorkloadEntry, clusterId: string): Workload {
  const spec = entry.spec ?? {};
  const namespace = entry.metadata.namespace ?? '';
  return {
    ...workloadFields(spec, { ...entry.metadata.labels, ...spec.labels }),
    name: entry.metadata.name,
    namespace,
    clusterId,
    healthy: isHealthy(entry),
    origin: { kind: 'WorkloadEntry', namespace, name: entry.metadata.name, path: '' },
  };
}

/** What a WorkloadEntry and an inline endpoint of a ServiceEntry have in common. */
export function workloadFields(
  spec: WorkloadEntrySpec,
  labels: Readonly<Record<string, string>>,
): Pick<
  Workload,
  | 'addresses'
  | 'labels'
  | 'serviceAccount'
  | 'network'
  | 'locality'
  | 'weight'
  | 'ports'
  | 'nodeName'
  | 'tlsMode'
> {
  return {
    addresses: spec.address ? [canonicalAddress(spec.address)] : [],
    labels,
    serviceAccount: spec.serviceAccount ?? '',
    network: spec.network ?? labels[networkLabel] ?? '',
    locality: spec.locality ?? localityLabel(labels) ?? '',
    weight: spec.weight ?? 0,
    ports: spec.ports ?? {},
    nodeName: '',
    tlsMode: tlsModeOf(labels, spec.serviceAccount ?? ''),
  };
}

/** The label decides; without one, whoever has a service account is taken to have a sidecar. */
function tlsModeOf(labels: Readonly<Record<string, string>>, serviceAccount: string): Workload['tlsMode'] {
  const label = labels[tlsModeLabel];
  if (label !== undefined) return label === 'istio' ? 'istio' : 'disabled';
  return serviceAccount !== '' ? 'istio' : 'disabled';
}

/** An entry whose agent reports health is out until it reports `Healthy`; one that never reports is taken as healthy. */
function isHealthy(entry: WorkloadEntry): boolean {
  const condition = entry.status?.conditions?.find(({ type }) => type === 'Healthy');
  if (condition) return condition.status === 'True';
  return entry.metadata.annotations?.['proxy.istio.io/health-checks-enabled'] !== 'true';
}
