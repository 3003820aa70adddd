import { type MeshProxy, parseProxy } from './proxy.ts';
import type { Resource } from './resource.ts';

/** A sidecar for tests. */
export function testProxy(
  name: string,
  options: { namespace?: string; labels?: Record<string, string>; metadata?: Record<string, unknown> } = {},
): MeshProxy {
  const namespace = options.namespace ?? 'default';
  const parsed = parseProxy(
    {
      id: `sidecar~10.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: name,
      metadata: { NAMESPACE: namespace, LABELS: options.labels ?? {}, ...options.metadata },
    },
    { vhds: true },
  );
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.proxy;
}

const encoder = new TextEncoder();

/** A resource whose content, and so its version, is a text. */
export function testResource(typeUrl: string, name: string, content: string): Resource {
  return { typeUrl, name, version: content, bytes: encoder.encode(content), origins: [] };
}
