import { type ConfigObject, objectKey } from '../../src/config/object.ts';
import { worldKind } from '../../src/config/world-kind.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { defaultMeshConfig, type MeshConfig } from '../../src/registry/mesh-config.ts';
import { Registry } from '../../src/registry/registry.ts';
import { World } from '../../src/snapshot/world.ts';

const clusterScoped: ReadonlySet<string> = new Set([
  'Namespace',
  'Node',
  'GatewayClass',
  'IngressClass',
  'CustomResourceDefinition',
]);

/** A world made of YAML texts, as the control plane would make it: objects, registry, mesh settings. */
export function worldOfYaml(texts: readonly string[], mesh: MeshConfig = defaultMeshConfig): World {
  return worldOfObjects(
    texts.flatMap((text, index) => {
      const parsed = parseYamlDocuments(text, `input-${index}.yaml`);
      if (parsed.problems.length > 0) throw new Error(JSON.stringify(parsed.problems));
      return parsed.objects.map(({ object }) => object);
    }),
    mesh,
  );
}

export function worldOfObjects(
  objects: readonly ConfigObject[],
  mesh: MeshConfig = defaultMeshConfig,
): World {
  const world = new World();
  const registry = new Registry({ mesh });
  world.setMesh(mesh);
  const changes = objects.map((object) => {
    const namespace = clusterScoped.has(object.kind) ? '' : (object.metadata.namespace ?? 'default');
    const placed = { ...object, metadata: { ...object.metadata, namespace } };
    const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '';
    return { group, kind: object.kind, key: objectKey(placed), object: placed };
  });
  world.apply(
    changes.map((change) => ({
      kind: worldKind(change.group, change.kind),
      key: change.key,
      value: change.object,
    })),
  );
  world.apply(registry.apply(changes));
  return world;
}
