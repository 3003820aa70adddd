import { parseAllDocuments } from 'yaml';
import type { ConfigObject } from '../../src/config/object.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { Registry } from '../../src/registry/registry.ts';
import { type MeshProxy, parseProxy } from '../../src/snapshot/proxy.ts';
import { World } from '../../src/snapshot/world.ts';

/** The proxy that a golden or test asks for; everything is optional. */
export interface ProxySpec {
  type?: 'sidecar' | 'router';
  name?: string;
  namespace?: string;
  ip?: string;
  labels?: Record<string, string>;
  metadata?: Record<string, unknown>;
  locality?: { region?: string; zone?: string; subZone?: string };
  /** Default true. */
  vhds?: boolean;
}

export function makeProxy(spec: ProxySpec = {}): MeshProxy {
  const namespace = spec.namespace ?? 'default';
  const parsed = parseProxy(
    {
      id: `${spec.type ?? 'sidecar'}~${spec.ip ?? '10.0.0.1'}~${spec.name ?? 'client'}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: spec.name ?? 'client',
      metadata: { NAMESPACE: namespace, LABELS: spec.labels ?? {}, ...spec.metadata },
      ...(spec.locality ? { locality: spec.locality } : {}),
    },
    { vhds: spec.vhds ?? true },
  );
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.proxy;
}

/** Every object of a YAML text; those without a namespace belong to `default`. */
export function parseObjects(text: string): ConfigObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as ConfigObject | null;
    if (!object?.kind) return [];
    object.metadata.namespace ??= 'default';
    return [object];
  });
}

/** A world of the objects, as the control plane would hold it. */
export function makeWorld(objects: readonly ConfigObject[], mesh: MeshConfig = defaultMeshConfig): World {
  const world = new World();
  world.setMesh(mesh);
  const changes = objects.map((object) => ({
    group: object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '',
    kind: object.kind,
    key: `${object.metadata.namespace}/${object.metadata.name}`,
    object,
  }));
  world.apply(changes.map(({ kind, key, object }) => ({ kind, key, value: object })));
  world.apply(new Registry({ mesh }).apply(changes));
  return world;
}
