import type { ConfigObject } from '../config/object.ts';
import type { ServiceEntry } from './schema.ts';

export interface InferencePoolSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly targetPorts: readonly { readonly number: number }[];
  readonly appProtocol?: string;
  readonly endpointPickerRef: {
    readonly group?: string;
    readonly kind?: string;
    readonly name: string;
    readonly port?: { readonly number: number };
    readonly failureMode?: 'FailOpen' | 'FailClose';
  };
}

/** The name under which the registry keeps a pool's endpoints; nobody can ask for it by name. */
export function poolHost(namespace: string, name: string): string {
  return `${name}.${namespace}.inference-pool`;
}

/** A pool as an entry that finds its pods, and that no proxy sees. */
export function entryOfPool(pool: ConfigObject<InferencePoolSpec>): ServiceEntry {
  const { name } = pool.metadata;
  const namespace = pool.metadata.namespace ?? 'default';
  const { selector, targetPorts = [], appProtocol } = pool.spec ?? {};
  const protocol = appProtocol === 'kubernetes.io/h2c' ? 'HTTP2' : 'HTTP';
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'InferencePool',
    metadata: { name, namespace },
    spec: {
      hosts: [poolHost(namespace, name)],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      exportTo: ['~'],
      ports: targetPorts.map(({ number }) => ({ number, name: `port-${number}`, protocol })),
      workloadSelector: { labels: selector?.matchLabels ?? {} },
    },
  };
}
