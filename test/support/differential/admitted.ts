import { createBuiltInRegistry } from '../../../src/config/kinds/built-in-kinds.ts';
import { type ConfigObject, objectKey } from '../../../src/config/object.ts';
import { admitSchema } from '../../../src/config/schema/admit-schema.ts';

const kinds = createBuiltInRegistry();
const coreGroup = /^v\d/;

function groupOf({ apiVersion }: ConfigObject): string {
  return coreGroup.test(apiVersion) ? '' : (apiVersion.split('/')[0] ?? '');
}

/** The object as the admission leaves it; none where it refuses. */
export function admitted(object: ConfigObject): ConfigObject[] {
  const group = groupOf(object);
  const version = object.apiVersion.split('/').at(-1) ?? '';
  const known = kinds.byKind(group, object.kind);
  const found = known && kinds.byResource(group, version, known.plural);
  if (!found) return [];
  const verdict = admitSchema({ ...found, object, old: undefined });
  const isFatal = ({ severity }: { readonly severity: string }) => severity === 'error';
  if (verdict.issues.some(isFatal)) return [];
  return (found.kind.validate?.(verdict.object) ?? []).some(isFatal) ? [] : [verdict.object];
}

/** As `CompiledMesh.apply` takes objects away. Istio's kinds need no group, others of the same name do. */
export function removableId(object: ConfigObject): string {
  const group = groupOf(object);
  const suffix = group.endsWith('.k8s.io') ? `.${group}` : '';
  return `${object.kind}${suffix}/${objectKey(object)}`;
}
