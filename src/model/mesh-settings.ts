import { validateMeshConfig } from '../config/kinds/istio/validate-mesh-config.ts';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { messageOf } from '../kit/coded-error.ts';

export type ParsedSettings =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly error: string };

/** Reads mesh settings as the key `mesh` of the ConfigMap `istio` holds them: YAML with the names of Istio's MeshConfig. */
export function parseMeshSettings(text: string): ParsedSettings {
  try {
    // The reader wants objects with apiVersion and kind: mesh settings are wrapped into one.
    const wrapped = `apiVersion: v1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec:\n${text.replaceAll(/^/gm, '  ')}`;
    const parsed = parseYamlDocuments(wrapped, 'mesh');
    const problem = parsed.problems[0];
    if (problem) return { ok: false, error: `line ${Math.max(1, problem.line - 4)}: ${problem.message}` };
    const value = (parsed.objects[0]?.object.spec ?? {}) as Record<string, unknown>;
    const wrong = validateMeshConfig(value).filter(({ severity }) => severity !== 'warning');
    if (wrong.length > 0)
      return { ok: false, error: wrong.map(({ path, message }) => `${path}: ${message}`).join('; ') };
    return { ok: true, value };
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}
