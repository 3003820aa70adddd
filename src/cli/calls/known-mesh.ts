import {
  type AuthorizationPolicy,
  appliedPolicy,
} from '../../features/security/authorization-policy/schema.ts';
import type { KnownMesh } from '../../observe/group-failures.ts';
import { defaultMeshConfig, type MeshConfig } from '../../registry/mesh-config.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import type { ApiClient } from '../api/api-client.ts';

/** What explains records beyond themselves: the policies of a running mesh and its trust domains. Less where they cannot be read. */
export async function readKnownMesh(
  client: ApiClient,
): Promise<KnownMesh & { readonly rootNamespace: string }> {
  const [policies, settings] = await Promise.all([
    readMesh(client, new Set(['AuthorizationPolicy.security.istio.io'])).then(
      ({ sources, unread }) =>
        unread.length > 0
          ? undefined
          : sources.map(({ object }) => appliedPolicy(object as AuthorizationPolicy)),
      () => undefined,
    ),
    client.get<{ readonly inForce: MeshConfig }>('/debug/mesh-config').then(
      ({ inForce }) => inForce,
      () => defaultMeshConfig,
    ),
  ]);
  return {
    ...(policies ? { policies } : {}),
    rootNamespace: settings.rootNamespace,
    trustDomains: [settings.trustDomain, ...settings.trustDomainAliases],
  };
}
