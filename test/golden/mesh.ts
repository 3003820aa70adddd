import { type MeshProxy, parseProxy } from '../../src/snapshot/proxy.ts';

/** The proxy that a golden or test asks for; everything is optional. */
export interface ProxySpec {
  /** Default sidecar. */
  type?: 'sidecar' | 'router';
  /** Default `client`. */
  name?: string;
  /** Default `default`. */
  namespace?: string;
  ip?: string;
  labels?: Record<string, string>;
  metadata?: Record<string, unknown>;
  locality?: { region?: string; zone?: string; subZone?: string };
  /** Default true. */
  vhds?: boolean;
}

/** The node id that describes a proxy. */
export function nodeId(spec: ProxySpec): string {
  const namespace = spec.namespace ?? 'default';
  return `${spec.type ?? 'sidecar'}~${spec.ip ?? '10.0.0.1'}~${spec.name ?? 'client'}.${namespace}~${namespace}.svc.cluster.local`;
}

export function nodeMetadata(spec: ProxySpec): Record<string, unknown> {
  return { NAMESPACE: spec.namespace ?? 'default', LABELS: spec.labels ?? {}, ...spec.metadata };
}

export function makeProxy(spec: ProxySpec = {}): MeshProxy {
  const parsed = parseProxy(
    {
      id: nodeId(spec),
      cluster: spec.name ?? 'client',
      metadata: nodeMetadata(spec),
      ...(spec.locality ? { locality: spec.locality } : {}),
    },
    { vhds: spec.vhds ?? true },
  );
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.proxy;
}
