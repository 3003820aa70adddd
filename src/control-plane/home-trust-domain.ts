import type { AdmissionHook } from '../config/api-server/admission-hooks.ts';
import { type MeshConfig, overlayMeshConfig } from '../registry/mesh-config.ts';
import type { MeshStateOptions } from './mesh-state.ts';

/**
 * Every certificate of a mesh names its trust domain, and every proxy asks for it: another one while the mesh runs would cut all
 * connections. So it is fixed when the control plane starts; aliases may come and go.
 */
export function otherTrustDomain(home: string, mesh: Pick<MeshConfig, 'trustDomain'>): string | undefined {
  if (mesh.trustDomain === home) return undefined;
  return (
    `trustDomain is ${mesh.trustDomain}, but this mesh was started as ${home}, which its certificates name; ` +
    `set trustDomain in mesh.yaml (--trust-domain of the control plane) and start the mesh anew, or list ${mesh.trustDomain} under trustDomainAliases`
  );
}

/** Refuses mesh settings that name another trust domain. */
export function keepTrustDomain(mesh: MeshConfig, parseMesh: MeshStateOptions['parseMesh']): AdmissionHook {
  return {
    name: 'trust-domain',
    validate({ object, kind, namespace, name }) {
      if (kind.kind !== 'ConfigMap' || namespace !== mesh.rootNamespace || name !== 'istio') return [];
      const text = (object?.data as Record<string, unknown> | undefined)?.mesh;
      const parsed = typeof text === 'string' ? parseMesh(text) : undefined;
      if (!parsed?.ok) return [];
      const message = otherTrustDomain(mesh.trustDomain, overlayMeshConfig(mesh, parsed.value));
      return message === undefined
        ? []
        : [{ path: 'data.mesh', severity: 'error', code: 'FieldValueInvalid', message }];
    },
  };
}
