import type { Workload } from '../registry/service.ts';
import { type ExplicitCapture, type MeshProxy, parseProxy } from '../snapshot/proxy.ts';

export interface ProxyFacts {
  readonly type: 'sidecar' | 'router';
  readonly domainSuffix: string;
  /** What a supervisor allocated; absent: the kernel redirects. */
  readonly capture?: ExplicitCapture;
  /** Further node metadata. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** The proxy of a workload, as its agent would describe it to the control plane. */
export function proxyOfWorkload(workload: Workload, facts: ProxyFacts): MeshProxy {
  const { name, namespace, addresses, labels, serviceAccount, network, clusterId, locality } = workload;
  const [region = '', zone = '', subZone = ''] = locality.split('/');
  const parsed = parseProxy(
    {
      id: `${facts.type}~${addresses[0]}~${name}.${namespace}~${namespace}.svc.${facts.domainSuffix}`,
      cluster: `${labels['service.istio.io/canonical-name'] ?? labels.app ?? name}.${namespace}`,
      locality: { region, zone, subZone },
      metadata: {
        ...facts.metadata,
        NAME: name,
        NAMESPACE: namespace,
        SERVICE_ACCOUNT: serviceAccount || 'default',
        LABELS: labels,
        INSTANCE_IPS: addresses.join(','),
        CLUSTER_ID: clusterId,
        NETWORK: network,
        ...(facts.capture
          ? { INTERCEPTION_MODE: 'NONE', OSTRIA_CAPTURE: facts.capture }
          : { INTERCEPTION_MODE: 'REDIRECT' }),
      },
    },
    { vhds: true },
  );
  if (!parsed.ok) throw new Error(`workload ${namespace}/${name}: ${parsed.error}`);
  return parsed.proxy;
}
