import type { ConfigObject } from '../config/object.ts';
import { serviceNameLabel } from '../registry/kubernetes-services.ts';
import { LabelIndex } from '../registry/label-index.ts';
import type { EndpointSlice, KubernetesService, Pod } from '../registry/schema.ts';
import { AddressPool } from './addresses.ts';
import { groupOf, type ObjectMap, objectsOfKind } from './model-objects.ts';

/** Whether an object has a say in the addresses and endpoints of Services. */
export function shapesServices(object: ConfigObject): boolean {
  const kind = `${groupOf(object)}/${object.kind}`;
  return [
    '/Service',
    'discovery.k8s.io/EndpointSlice',
    '/Endpoints',
    'networking.istio.io/WorkloadEntry',
  ].includes(kind);
}

/** What a cluster adds to Services in files: a virtual address each, and slices with the pods that they select. */
export function fillServices(objects: ObjectMap, pods: readonly Pod[]): ConfigObject[] {
  const services = [...objectsOfKind<KubernetesService>(objects, '/Service')];
  const pool = new AddressPool(
    '10.96',
    services.flatMap(({ spec }) => spec?.clusterIP ?? []),
  );
  const sliced = new Set(
    [...objectsOfKind(objects, 'discovery.k8s.io/EndpointSlice')].map(
      ({ metadata }) => `${metadata.namespace}/${metadata.labels?.[serviceNameLabel]}`,
    ),
  );
  const byKey = new Map(pods.map((pod) => [nameOf(pod), pod]));
  const byLabels = new LabelIndex();
  // One that has an entry of its own is an endpoint by it.
  for (const [key, { metadata }] of byKey)
    if (!objects.has(`networking.istio.io/WorkloadEntry|${key}`))
      byLabels.set(key, metadata.namespace ?? '', metadata.labels ?? {});
  const made: ConfigObject[] = [];
  for (const service of services.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))) {
    if (wantsAddress(service)) {
      const clusterIP = pool.take(nameOf(service));
      if (clusterIP !== undefined) made.push({ ...service, spec: { ...service.spec, clusterIP } });
    }
    const { selector } = service.spec ?? {};
    const unknown = !sliced.has(nameOf(service)) && !objects.has(`/Endpoints|${nameOf(service)}`);
    if (!selector || Object.keys(selector).length === 0 || !unknown) continue;
    const own = byLabels
      .select(service.metadata.namespace ?? '', selector)
      .sort()
      .flatMap((key) => byKey.get(key) ?? []);
    made.push(...slicesOf(service, own));
  }
  return made;
}

function nameOf({ metadata }: ConfigObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function wantsAddress({ spec = {} }: KubernetesService): boolean {
  return !spec.clusterIP && !spec.clusterIPs?.length && spec.type !== 'ExternalName';
}

/** Pods whose named port has the same number share a slice. */
function slicesOf(service: KubernetesService, pods: readonly Pod[]): EndpointSlice[] {
  const groups = Map.groupBy(pods, (pod) => JSON.stringify(portsOf(service, pod)));
  return [...groups].map(([ports, members], index) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service.metadata.name}-${index}`,
      namespace: service.metadata.namespace ?? '',
      labels: { [serviceNameLabel]: service.metadata.name },
    },
    addressType: 'IPv4',
    ports: JSON.parse(ports) as NonNullable<EndpointSlice['ports']>,
    endpoints: members.flatMap(({ metadata, spec, status }) => {
      if (!status?.podIP || status.phase === 'Succeeded' || status.phase === 'Failed') return [];
      const ready = status.conditions?.find(({ type }) => type === 'Ready')?.status !== 'False';
      return [
        {
          addresses: [status.podIP],
          conditions: { ready },
          targetRef: { kind: 'Pod', name: metadata.name, namespace: metadata.namespace ?? '' },
          ...(spec?.nodeName ? { nodeName: spec.nodeName } : {}),
        },
      ];
    }),
  }));
}

function portsOf({ spec }: KubernetesService, pod: Pod) {
  return (spec?.ports ?? [])
    .filter(({ protocol }) => protocol !== 'UDP')
    .flatMap(({ name, port, targetPort = port }) => {
      const number = typeof targetPort === 'number' ? targetPort : namedPort(pod, targetPort);
      return number === undefined ? [] : [{ ...(name ? { name } : {}), port: number }];
    });
}

function namedPort(pod: Pod, name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  for (const { ports = [] } of pod.spec?.containers ?? [])
    for (const port of ports) if (port.name === name) return port.containerPort;
  return undefined;
}
